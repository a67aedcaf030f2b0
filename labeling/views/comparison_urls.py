"""Addresses of comparisons and agreement."""

from django.urls import path

from labeling.views import comparisons

urlpatterns = [
    path("projects/<slug:slug>/comparisons/", comparisons.comparison_list, name="comparison-list"),
    path("projects/<slug:slug>/comparisons/<int:pk>/", comparisons.comparison_detail, name="comparison"),
    path("projects/<slug:slug>/agreement/", comparisons.agreement, name="agreement"),
    path("projects/<slug:slug>/panels/agreement/", comparisons.agreement_panel, name="agreement-line"),
]
