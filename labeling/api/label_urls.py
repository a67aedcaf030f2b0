"""REST addresses of labeling."""

from django.urls import path

from labeling.api import label

urlpatterns = [
    path("projects/<slug:slug>/comparisons/next", label.NextComparisons.as_view(), name="api-next"),
    path("assignments/<uuid:uid>/submit", label.SubmitAssignment.as_view(), name="api-submit"),
    path("assignments/<uuid:uid>/undo", label.UndoAssignment.as_view(), name="api-undo"),
    path("assignments/<uuid:uid>/draft", label.DraftAssignment.as_view(), name="api-draft"),
    path("assignments/<uuid:uid>/heartbeat", label.HeartbeatAssignment.as_view(), name="api-heartbeat"),
]
