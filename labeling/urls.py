"""Addresses of this storey's pages, one line for each feature."""

from django.urls import include, path

app_name = "labeling"
urlpatterns = [
    path("", include("labeling.views.label_urls")),
    path("", include("labeling.views.project_urls")),
    path("", include("labeling.importing.urls")),
    path("", include("labeling.views.comparison_urls")),
    path("", include("labeling.views.snapshot_urls")),
]
