"""What changed from one snapshot to another: the page, the job that finds it, and all changes as a file."""

from __future__ import annotations

import json
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from labeling.access import Capability, reveals_record, snapshot_pair_for
from labeling.models import Comparison, ResolvedOutcome, Snapshot, SnapshotDiff, SnapshotState
from labeling.pages import project_context
from labeling.selectors.reveals import responses_in_hand
from labeling.services.diffs import changes_open, diff_start
from labeling.snapshots import SnapshotError
from labeling.snapshots.diff import KINDS, SHOWN
from labeling.views.snapshot_form import SnapshotForm
from webapp.users.models import User

OTHERS = 50
KIND_NAMES = {
    "outcome": gettext_lazy("Another outcome"),
    "share": gettext_lazy("The share of votes moved by 20 points or more"),
    "added": gettext_lazy("Only in the newer one"),
    "removed": gettext_lazy("Only in the older one"),
    "split": gettext_lazy("Another split"),
}


@login_required
@require_http_methods(["GET", "POST"])
def snapshot_diff(request: HttpRequest, slug: str, number: int, other: int) -> HttpResponse:
    """GET shows what is known; POST, of a manager, has it found. For htmx only the state, which polls itself.

    That the person was shown the listed changes is recorded."""
    may = Capability.MANAGE if request.method == "POST" else Capability.VIEW
    older, newer = snapshot_pair_for(request.user, slug, number, other, may)
    problem = ""
    if request.method == "POST":
        try:
            diff_start(older=older, newer=newer, created_by=cast(User, request.user))
            return redirect("labeling:snapshot-diff", slug, newer.number, older.number)
        except SnapshotError as error:
            problem = str(error)
    diff = SnapshotDiff.objects.filter(older=older, newer=newer).first()
    user = cast(User, request.user)
    closed = responses_in_hand(user, newer.project)
    summary = diff.summary if diff is not None and diff.state == SnapshotState.READY else {}
    context = {
        "older": older,
        "newer": newer,
        "others": others_of(newer),
        "diff": diff,
        "problem": problem,
        "shown": SHOWN,
        "closed": closed,
        **(told(summary) if summary else {}),
    }
    is_part = bool(request.htmx)  # type: ignore[attr-defined]
    if not is_part:
        reveals_record(user, _shown(summary, newer, closed))
    template = "labeling/snapshots/_diff_state.html" if is_part else "labeling/snapshots/diff.html"
    page = project_context(request, newer.project, "snapshots") | context
    response = render(request, template, page, status=409 if problem else 200)
    if is_part and (diff is None or diff.state != SnapshotState.MAKING):
        response["HX-Refresh"] = "true"
    return response


def _shown(summary: dict[str, Any], newer: Snapshot, closed: set[int]) -> list[Comparison]:
    """The comparisons of the changes that the page lists, as far as they are not closed to the person."""
    rows = [row for rows in summary.get("first", {}).values() for row in rows]
    ids = [row["comparison_id"] for row in rows if not {row["response_a_id"], row["response_b_id"]} & closed]
    return list(Comparison.objects.filter(project=newer.project, pk__in=ids).only("pk"))


def others_of(newer: Snapshot) -> list[Snapshot]:
    """The snapshots that this one can be held against, newest first."""
    ready = Snapshot.objects.filter(project=newer.project, state=SnapshotState.READY)
    return list(ready.exclude(pk=newer.pk).order_by("-number")[:OTHERS])


def told(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary as the page shows it: sections of changes, the table of outcomes, settings by their names."""
    outcomes = [(value, ResolvedOutcome(value).label) for value in ResolvedOutcome.values]
    table = [
        (label, [(summary["outcomes"][before][after], before == after) for after, _label in outcomes])
        for before, label in outcomes
    ]
    sections = [
        (kind, name, summary["counts"][kind], summary["first"][kind]) for kind, name in KIND_NAMES.items()
    ]
    assert {kind for kind, *_rest in sections} == set(KINDS)
    return {
        "summary": summary,
        "outcome_names": [label for _value, label in outcomes],
        "outcome_table": table,
        "has_common": any(sum(row.values()) for row in summary["outcomes"].values()),
        "sections": sections,
        "settings": [
            (setting_name(entry["name"]), setting_text(entry["before"]), setting_text(entry["after"]))
            for entry in summary["settings"]
        ],
    }


def setting_name(name: str) -> str:
    if name == "fractions":
        return _("Shares of groups")
    field = SnapshotForm.base_fields.get(name)
    return str(field.label) if field else name


def setting_text(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict):
        return " · ".join(str(share) for share in value.values())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return value if isinstance(value, str) else json.dumps(value)


@login_required
@require_safe
def changes(request: HttpRequest, slug: str, number: int, other: int) -> HttpResponseBase:
    """All changes as Parquet; where there are none yet, the page that says so."""
    older, newer = snapshot_pair_for(request.user, slug, number, other)
    file = changes_open(older, newer)
    if file is None:
        return redirect("labeling:snapshot-diff", slug, newer.number, older.number)
    name = f"{newer.project.slug}-v{older.number}-v{newer.number}-changes.parquet"
    return FileResponse(
        file, as_attachment=True, filename=name, content_type="application/vnd.apache.parquet"
    )
