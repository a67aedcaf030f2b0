"""Addresses of snapshots and export."""

from django.urls import path

from labeling.views import snapshot_diffs, snapshots

ONE = "projects/<slug:slug>/snapshots/<int:number>"

urlpatterns = [
    path("projects/<slug:slug>/snapshots/", snapshots.snapshot_list, name="snapshot-list"),
    path("projects/<slug:slug>/snapshots/new/", snapshots.snapshot_new, name="snapshot-new"),
    path(f"{ONE}/", snapshots.snapshot_detail, name="snapshot-detail"),
    path(f"{ONE}/export/", snapshots.export, name="snapshot-export"),
    path(f"{ONE}/export/data", snapshots.export_download, name="export-download"),
    path(f"{ONE}/export/manifest", snapshots.export_manifest_view, name="export-manifest"),
    path(f"{ONE}/diff/<int:other>/", snapshot_diffs.snapshot_diff, name="snapshot-diff"),
    path(f"{ONE}/diff/<int:other>/changes.parquet", snapshot_diffs.changes, name="snapshot-changes"),
    path("projects/<slug:slug>/export/", snapshots.export_newest, name="export"),
]
