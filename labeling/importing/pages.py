"""What the pages show of an import: its problems as sentences, its preview, its progress."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from labeling.importing.problems import ProblemGroup
from labeling.importing.sample import sample_keys
from labeling.importing.texts import layout_name
from labeling.models import IN_QUEUE, Comparison, Import, ImportState
from webapp.jobs.models import Job

ACTIVE = (ImportState.UPLOADED, ImportState.CHECKING, ImportState.WRITING)
RECHECKABLE = (ImportState.READY, ImportState.REFUSED)
REMEMBERED = 30
TONES = {
    ImportState.READY: "run",
    ImportState.DONE: "ok",
    ImportState.REFUSED: "bad",
    ImportState.FAILED: "bad",
}


def problems_of(import_: Import) -> list[ProblemGroup]:
    return [ProblemGroup.from_json(value) for value in import_.problems]


def remembered_mapping(import_: Import) -> dict[str, Any]:
    """The mapping of the project's last file with the same keys; empty where there is none."""
    keys = set(sample_keys(import_.sample))
    rows = Import.objects.filter(project=import_.project_id).exclude(pk=import_.pk).exclude(mapping={})
    found = rows.order_by("-pk").values_list("mapping", flat=True)[:REMEMBERED]
    return next((mapping for mapping in found if set(mapping.get("keys", [])) == keys), {})


def import_context(import_: Import) -> dict[str, Any]:
    """Context of an import's page. Two queries at most: the job that is at work, and what is open."""
    job = Job.objects.filter(uid=import_.job_uid).first() if import_.job_uid else None
    is_refused = import_.state == ImportState.REFUSED
    counts = import_.counts
    problems = problems_of(import_)
    return {
        "import": import_,
        "tone": TONES.get(ImportState(import_.state), "warn"),
        "is_active": import_.state in ACTIVE,
        "job": job,
        "is_fetching": not import_.path,
        "percent": round(100 * (job.share_done or 0)) if job else 0,
        "layout_name": layout_name(import_.layout),
        "problems": problems,
        "more_problems": import_.problem_count - sum(group.count for group in problems),
        "can_confirm": import_.state == ImportState.READY,
        "can_skip": is_refused and bool(counts.get("records")) and not counts.get("is_fatal"),
        "can_recheck": import_.state in RECHECKABLE,
        "can_map": import_.state in RECHECKABLE and bool(import_.sample),
        "is_unknown": is_refused and not import_.layout and not import_.mapping and bool(import_.sample),
        "can_discard": import_.state in (ImportState.READY, ImportState.REFUSED, ImportState.FAILED)
        and not import_.cursor,
        "preview": [preview_row(row) for row in import_.preview],
        "start_refused": start_refused(import_),
    }


def start_refused(import_: Import) -> str | Promise:
    """Why labeling cannot begin with what was imported; empty where it can. A query once the import is done."""
    if import_.state != ImportState.DONE:
        return _("Once the import is done.")
    if import_.project.is_paused:
        return _("Labeling in this project is paused.")
    if not Comparison.objects.filter(IN_QUEUE, project=import_.project_id).exists():
        return _("No comparison of this project waits for a label.")
    return ""


def preview_row(row: dict[str, Any]) -> dict[str, Any]:
    """A stored preview with each response's mark: how many votes of the file it won."""
    responses = [dict(response, wins=0) for response in row["responses"]]
    for vote in row["votes"]:
        winner = {"a": vote["first"], "b": vote["second"]}.get(vote["outcome"])
        if winner is not None and winner < len(responses):
            responses[winner]["wins"] += 1
    best = max((response["wins"] for response in responses), default=0)
    for response in responses:
        response["is_best"] = best > 0 and response["wins"] == best
    return row | {"responses": responses}
