"""Addresses of this storey's pages, one line for each feature."""

from django.urls import include, path

app_name = "labeling"
urlpatterns = [
    path("", include("labeling.views.label_urls")),
    path("", include("labeling.views.ranking_urls")),
    path("", include("labeling.views.project_urls")),
    path("", include("labeling.views.work_urls")),
    path("", include("labeling.importing.urls")),
    path("", include("labeling.views.item_urls")),
    path("", include("labeling.views.review_urls")),
    path("", include("labeling.views.quality_urls")),
    path("", include("labeling.views.model_ranking_urls")),
    path("", include("labeling.views.snapshot_urls")),
]
