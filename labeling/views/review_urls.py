"""Addresses of one comparison and its review."""

from django.urls import path

from labeling.views import history

urlpatterns = [
    path("projects/<slug:slug>/comparisons/<int:pk>/", history.comparison_detail, name="comparison"),
]
