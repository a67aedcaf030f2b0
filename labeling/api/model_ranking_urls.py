"""REST addresses of the ranking of models."""

from django.urls import path

from labeling.api import model_ranking

urlpatterns = [
    path(
        "projects/<slug:slug>/model-ranking",
        model_ranking.ModelRankingView.as_view(),
        name="api-model-ranking",
    ),
]
