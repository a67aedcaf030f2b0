"""Addresses of the ranking of models."""

from django.urls import path

from labeling.views import model_ranking

RANKING = "projects/<slug:slug>/model-ranking"

urlpatterns = [
    path(f"{RANKING}/", model_ranking.ranking_page, name="model-ranking"),
    path(f"{RANKING}/table.csv", model_ranking.ranking_csv, name="model-ranking-csv"),
]
