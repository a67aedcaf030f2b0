"""REST addresses of projects, comparisons, preferences, agreement, snapshots and exports."""

from django.urls import path

from labeling.api import data, snapshots

PROJECT = "projects/<slug:slug>"
SNAPSHOT = f"{PROJECT}/snapshots/<int:number>"

urlpatterns = [
    path("projects", data.ProjectsView.as_view(), name="api-projects"),
    path(PROJECT, data.ProjectView.as_view(), name="api-project"),
    path(f"{PROJECT}/comparisons", data.ComparisonsView.as_view(), name="api-comparisons"),
    path(f"{PROJECT}/comparisons/<int:pk>", data.ComparisonView.as_view(), name="api-comparison"),
    path(f"{PROJECT}/preferences", data.PreferencesView.as_view(), name="api-preferences"),
    path(f"{PROJECT}/agreement", data.AgreementView.as_view(), name="api-agreement"),
    path(f"{PROJECT}/snapshots", snapshots.SnapshotsView.as_view(), name="api-snapshots"),
    path(SNAPSHOT, snapshots.SnapshotView.as_view(), name="api-snapshot"),
    path(f"{SNAPSHOT}/export", snapshots.ExportView.as_view(), name="api-export"),
    path(f"{SNAPSHOT}/manifest", snapshots.ManifestView.as_view(), name="api-manifest"),
]
