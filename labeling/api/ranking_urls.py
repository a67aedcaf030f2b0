"""REST addresses of ranking responses."""

from django.urls import path

from labeling.api import ranking

urlpatterns = [
    path("projects/<slug:slug>/rankings/next", ranking.NextRanking.as_view()),
    path("rankings/<uuid:uid>/submit", ranking.SubmitRanking.as_view()),
    path("rankings/<uuid:uid>/skip", ranking.SkipRanking.as_view()),
    path("rankings/<uuid:uid>/undo", ranking.UndoRanking.as_view()),
    path("rankings/<uuid:uid>/draft", ranking.DraftRanking.as_view()),
]
