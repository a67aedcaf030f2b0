"""REST addresses of projects, preferences, snapshots and exports."""

from django.urls import path

from labeling.api import data, snapshot_diffs, snapshots

PROJECT = "projects/<slug:slug>"
SNAPSHOT = f"{PROJECT}/snapshots/<int:number>"

urlpatterns = [
    path("projects", data.ProjectsView.as_view(), name="api-projects"),
    path(PROJECT, data.ProjectView.as_view(), name="api-project"),
    path(f"{PROJECT}/preferences", data.PreferencesView.as_view(), name="api-preferences"),
    path(f"{PROJECT}/snapshots", snapshots.SnapshotsView.as_view(), name="api-snapshots"),
    path(SNAPSHOT, snapshots.SnapshotView.as_view(), name="api-snapshot"),
    path(f"{SNAPSHOT}/export", snapshots.ExportView.as_view(), name="api-export"),
    path(f"{SNAPSHOT}/manifest", snapshots.ManifestView.as_view(), name="api-manifest"),
    path(f"{SNAPSHOT}/diff/<int:other>", snapshot_diffs.DiffView.as_view(), name="api-snapshot-diff"),
    path(
        f"{SNAPSHOT}/diff/<int:other>/changes",
        snapshot_diffs.ChangesView.as_view(),
        name="api-snapshot-changes",
    ),
]
