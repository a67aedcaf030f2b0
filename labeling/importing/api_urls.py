"""REST addresses of import."""

from django.urls import path

from labeling.importing import api

ONE = "projects/<slug:slug>/imports/<uuid:uid>"

urlpatterns = [
    path("projects/<slug:slug>/imports", api.ImportsView.as_view(), name="api-imports"),
    path("projects/<slug:slug>/imports/hub", api.ImportHubView.as_view(), name="api-import-hub"),
    path(ONE, api.ImportView.as_view(), name="api-import"),
    path(f"{ONE}/problems", api.ImportProblemsView.as_view(), name="api-import-problems"),
    path(f"{ONE}/preview", api.ImportPreviewView.as_view(), name="api-import-preview"),
    path(f"{ONE}/check", api.ImportCheckView.as_view(), name="api-import-check"),
    path(f"{ONE}/confirm", api.ImportConfirmView.as_view(), name="api-import-confirm"),
    path(f"{ONE}/retry", api.ImportRetryView.as_view(), name="api-import-retry"),
]
