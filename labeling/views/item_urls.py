"""Addresses of the list of comparisons."""

from django.urls import path

from labeling.views import items

urlpatterns = [
    path("projects/<slug:slug>/comparisons/", items.comparison_list, name="comparison-list"),
]
