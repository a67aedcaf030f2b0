"""REST addresses of quality: agreement, labelers, reliabilities."""

from django.urls import path

from labeling.api import labelers, quality

urlpatterns = [
    path("projects/<slug:slug>/agreement", quality.AgreementView.as_view(), name="api-agreement"),
    path("projects/<slug:slug>/labelers", labelers.LabelersView.as_view(), name="api-labelers"),
    path("projects/<slug:slug>/labelers/me", labelers.OwnStatisticsView.as_view(), name="api-own-statistics"),
    path("projects/<slug:slug>/labelers/<uuid:uid>", labelers.LabelerView.as_view(), name="api-labeler"),
    path("projects/<slug:slug>/reliability", quality.ReliabilityView.as_view(), name="api-reliability"),
]
