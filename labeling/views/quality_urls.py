"""Addresses of quality: agreement."""

from django.urls import path

from labeling.views import quality

urlpatterns = [
    path("projects/<slug:slug>/agreement/", quality.agreement, name="agreement"),
    path("projects/<slug:slug>/panels/agreement/", quality.agreement_panel, name="agreement-line"),
]
