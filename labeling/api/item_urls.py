"""REST addresses of comparisons."""

from django.urls import path

from labeling.api import items

PROJECT = "projects/<slug:slug>"

urlpatterns = [
    path(f"{PROJECT}/comparisons", items.ComparisonsView.as_view(), name="api-comparisons"),
    path(f"{PROJECT}/comparisons/<int:pk>", items.ComparisonView.as_view(), name="api-comparison"),
]
