"""REST addresses of quality: agreement."""

from django.urls import path

from labeling.api import quality

urlpatterns = [
    path("projects/<slug:slug>/agreement", quality.AgreementView.as_view(), name="api-agreement"),
]
