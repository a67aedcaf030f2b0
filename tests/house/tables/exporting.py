"""Differences of snapshots: addresses, budgets, and a difference with canaries."""

from __future__ import annotations

from typing import Any

from labeling.models import Snapshot
from labeling.services.diffs import diff_build, diff_start
from labeling.services.snapshots import snapshot_build, snapshot_create

RULES = """
projects/<slug:slug>/snapshots/<int:number>/diff/<int:other>/                 GET view  POST manage
projects/<slug:slug>/snapshots/<int:number>/diff/<int:other>/changes.parquet  GET view
api/v1/projects/<slug:slug>/snapshots/<int:number>/diff/<int:other>           GET view  POST manage
api/v1/projects/<slug:slug>/snapshots/<int:number>/diff/<int:other>/changes   GET view
"""
MAIN_PAGES = ("projects/<slug:slug>/snapshots/<int:number>/diff/<int:other>/",)
PANELS = ("changes.parquet",)


def fill(filled: Any, rows: int) -> None:
    """A snapshot that was made by other rules, all of it held out, and the difference from it to the newest one."""
    project, manager = filled.team.project, filled.team.manager
    newest = Snapshot.objects.filter(project=project, state="ready").exclude(file_hash="").latest("number")
    config = {"seed": 7, "fractions": {"test": 1.0}}
    made = snapshot_create(project=project, created_by=manager, config=config, enqueue=False)
    newer = snapshot_build(made)
    filled.words.watch(newer.content_hash, "snapshot hash")
    diff = diff_build(diff_start(older=newest, newer=newer, created_by=manager, enqueue=False))
    filled.words.watch(diff.summary["sha256"], "hash of the changes")
    filled.ids["<int:other>"] = str(newer.number)
