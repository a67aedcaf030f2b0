"""REST addresses of ranking and rewriting responses."""

from django.urls import path

from labeling.api import ranking, rewriting

urlpatterns = [
    path("projects/<slug:slug>/rankings/next", ranking.NextRanking.as_view()),
    path("rankings/<uuid:uid>/submit", ranking.SubmitRanking.as_view()),
    path("rankings/<uuid:uid>/skip", ranking.SkipRanking.as_view()),
    path("rankings/<uuid:uid>/undo", ranking.UndoRanking.as_view()),
    path("rankings/<uuid:uid>/draft", ranking.DraftRanking.as_view()),
    path("assignments/<uuid:uid>/rewrite", rewriting.RewriteAssignment.as_view()),
    path("assignments/<uuid:uid>/rewrite/undo", rewriting.UndoRewrite.as_view()),
]
