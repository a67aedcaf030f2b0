"""REST addresses of this storey."""

from django.urls import include, path

urlpatterns = [
    path("", include("labeling.api.label_urls")),
    path("", include("labeling.importing.api_urls")),
    path("", include("labeling.api.data_urls")),
]
