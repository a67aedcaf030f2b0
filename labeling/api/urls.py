"""REST addresses of this storey."""

from django.urls import include, path

urlpatterns = [
    path("", include("labeling.api.label_urls")),
    path("", include("labeling.api.ranking_urls")),
    path("", include("labeling.api.work_urls")),
    path("", include("labeling.importing.api_urls")),
    path("", include("labeling.api.item_urls")),
    path("", include("labeling.api.review_urls")),
    path("", include("labeling.api.quality_urls")),
    path("", include("labeling.api.model_ranking_urls")),
    path("", include("labeling.api.data_urls")),
]
