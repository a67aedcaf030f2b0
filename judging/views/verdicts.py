"""One verdict in full, and the judges' rows of one comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from judging.access import revealed_comparison_for, verdict_for
from judging.selectors.verdicts import PairedVerdict, latest_paired, paired_verdicts, swapped_outcome
from judging.views.pages import SECTION
from labeling.access import Capability, may, reveal_to
from labeling.pages import project_context
from webapp.users.models import User


@dataclass(frozen=True)
class VoiceRow:
    """What `ui/_voice_row.html` shows, already turned to the screen's sides."""

    name: str
    outcome: str
    p: float | None
    note: str
    paired: PairedVerdict


def voice_rows(paired: list[PairedVerdict], *, left: str = "a") -> list[VoiceRow]:
    """Rows against the screen: `left` says which response stands on the left, as the screen's side A."""
    flipped = left == "b"
    rows = []
    for row in paired:
        p = (1.0 - row.p_a if flipped else row.p_a) if row.p_a is not None else None
        outcome = swapped_outcome(row.outcome) if flipped else row.outcome
        rows.append(VoiceRow(str(row.version), outcome, p, _note(row, p), row))
    return rows


def _note(row: PairedVerdict, p: float | None) -> str:
    """The probability for the screen's side A, and why there is no outcome where there is none."""
    words = [row.note] if row.note else []
    if p is not None:
        words.insert(0, _("P(A better) %(p).2f") % {"p": p})
    return " · ".join(words)


@login_required
@require_safe
def comparison_panel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The judges' rows (◆) of one comparison: members who may view, and labelers once they have voted."""
    comparison = revealed_comparison_for(request.user, slug, pk)
    left = "b" if request.GET.get("left") == "b" else "a"
    context = {
        "project": comparison.project,
        "rows": voice_rows(latest_paired(comparison), left=left),
        "may_view": may(request.user, comparison.project, Capability.VIEW),
    }
    response = render(request, "judging/_voices.html", context)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_safe
def verdict_detail(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    verdict = verdict_for(request.user, slug, uid)
    try:
        reveal_to(cast(User, request.user), verdict.comparison)
    except PermissionDenied:
        return redirect("labeling:comparison", slug, verdict.comparison_id)
    version = verdict.judge_version
    found = paired_verdicts([verdict.comparison_id], versions=[version])[verdict.comparison_id]
    other = next((v for v in (found[0].ab, found[0].ba) if v is not None and v.pk != verdict.pk), None)
    context = {
        "verdict": verdict,
        "version": version,
        "judge": version.judge,
        "paired": found[0],
        "row": voice_rows(found[:1])[0],
        "other": other,
        "first_name": _("Response A") if verdict.order == "ab" else _("Response B"),
    }
    return render(
        request,
        "judging/verdict.html",
        project_context(request, version.judge.project, SECTION) | context,
    )
