"""Comparisons with votes and voices."""

from __future__ import annotations

import itertools
from typing import Any

from labeling.models import Comparison, Labeler, Preference, Project
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit
from labeling.services.voices import VoiceRow, voices_publish
from tests.labeling.label.factories import make_labeler

_keys = itertools.count(1)


def answer(labeler: Labeler, choice: str, **data: Any) -> Preference:
    """The person answers what lies on top, through the label page's own services; the choice is meant as on an
    unswapped screen: "1" is much better for response_a."""
    lease = lease_next(labeler, count=1)[0]
    if lease.swapped and choice.isdigit():
        choice = str(9 - int(choice))
    return preference_submit(
        assignment=lease, data={"choice": choice, **data}, idempotency_key=f"t{next(_keys)}"
    )


def answers(project: Project, *choices: str) -> list[Labeler]:
    """A person for each choice, on the top comparison."""
    people = [make_labeler(project) for _ in choices]
    for person, choice in zip(people, choices, strict=True):
        answer(person, choice)
    return people


def voice(comparison: Comparison, outcome: str, p_a: float | None = None, *, source: str = "j1") -> int:
    kind = "model" if source == "champion" else "judge"
    row = VoiceRow(comparison.pk, outcome, p_a)
    return voices_publish(
        project=comparison.project, kind=kind, source=source, name=f"{source} v1", rows=[row]
    )


def kinds(comparison: Comparison, *, settled: bool = False) -> dict[str, float]:
    rows = comparison.disagreements.filter(settled_at__isnull=not settled)
    return {row.kind: round(row.size, 6) for row in rows}
