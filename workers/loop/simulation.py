"""Simulated labelers at work: real leases, real submits, only the people are made up.

What a simulated labeler perceives comes from a `Truth`: the quality of both responses, 0 to 10. The demo has its
own, planted and hidden; for a file without labels `text_truth` guesses from the text alone, which is enough to
exercise the loop and says nothing about people.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from labeling.demo.data import NO_FLAW
from labeling.demo.simulate import LABELERS, Side, SimulatedLabeler, answer, label
from labeling.models import Assignment, Comparison, DrawnBy, Labeler, LabelerKind, PreferenceSource, Project
from labeling.services.allocation import by_priority, candidates, lease_take
from labeling.services.preferences import preference_submit

WORDS = re.compile(r"\w+")
QUALITY_TOP = 10.0
LEASED_BEFORE = timedelta(minutes=3)  # how long before the vote a lease of the demo says that it was taken


@dataclass(frozen=True)
class Perceived:
    """Quality (0–10) and flaw of both responses of a comparison."""

    quality_a: float
    quality_b: float
    flaw_a: str = NO_FLAW
    flaw_b: str = NO_FLAW


Truth = Callable[[Comparison], Perceived]


@dataclass
class Diary:
    """When simulated people vote: `a_day` times on each day from `began` on, two minutes apart; never in the future."""

    began: datetime
    a_day: int = 18
    given: Counter[int] = field(default_factory=Counter)

    def moment(self, labeler: Labeler) -> datetime:
        day, place = divmod(self.given[labeler.pk], self.a_day)
        self.given[labeler.pk] += 1
        return min(self.began + timedelta(days=day, minutes=2 * place), timezone.now())


@dataclass(frozen=True)
class Simulated:
    """A simulated person as a labeler of a project."""

    person: SimulatedLabeler
    labeler: Labeler


def text_quality(text: str) -> float:
    """A stand-in for quality, 0–10: grows with the logarithm of the number of distinct words (characters where a
    language does not part them), up to 400."""
    distinct = len(set(WORDS.findall(text.lower()))) + len({c for c in text if "\u4e00" <= c <= "\u9fff"})
    return QUALITY_TOP * min(1.0, math.log1p(distinct) / math.log1p(400))


def text_truth(comparison: Comparison) -> Perceived:
    return Perceived(text_quality(comparison.response_a.text), text_quality(comparison.response_b.text))


def simulated(project: Project, person: SimulatedLabeler) -> Simulated:
    row, _created = Labeler.objects.get_or_create(
        project=project, name=person.name, kind=LabelerKind.SIMULATED, user=None
    )
    return Simulated(person, row)


def simulate_labels(
    project: Project,
    *,
    truth: Truth = text_truth,
    people: Sequence[Simulated] = (),
    limit: int | None = None,
    diary: Diary | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Let simulated labelers (usual: those of the demo) take turns until nothing is left for them, or `limit` labels
    are given.

    Returns the counts `labels` and `labelers`. Idempotent by comparison and labeler, like any other labeling.
    """
    everybody = people or [simulated(project, person) for person in LABELERS]
    waiting = list(everybody)
    given = 0
    while waiting and (limit is None or given < limit):
        for who in list(waiting):
            lease = lease_readable(who, by_priority(candidates(who.labeler)), project)
            if lease is None:
                waiting.remove(who)
                continue
            simulate_answer(lease, who.person, truth, diary=diary, seed=seed)
            given += 1
            if limit is not None and given >= limit:
                break
    return {"labels": given, "labelers": len(everybody)}


def lease_readable(
    who: Simulated, rows: QuerySet[Comparison], project: Project, drawn: str = DrawnBy.PRIORITY
) -> Assignment | None:
    """The first of `rows` in a language that this person reads; one without a language is for everybody."""
    with transaction.atomic():
        comparison = rows.filter(prompt__language__in=[*who.person.languages, ""]).first()
        return None if comparison is None else lease_take(who.labeler, comparison, project, drawn)


def simulate_answer(
    lease: Assignment,
    person: SimulatedLabeler,
    truth: Truth,
    *,
    diary: Diary | None = None,
    seed: int = 0,
) -> None:
    """What this person would say of the comparison; without a diary, now."""
    comparison = lease.comparison
    seen = truth(comparison)
    language = comparison.prompt.language if comparison.prompt.language in ("en", "zh") else "en"
    shown_left: Side = "b" if lease.swapped else "a"
    outcome = label(
        person,
        seen.quality_a,
        seen.quality_b,
        max(1, len(comparison.response_a.text)),
        max(1, len(comparison.response_b.text)),
        shown_left,
        f"{seed}:{comparison.prompt.content_hash}:{comparison.response_a.content_hash}:"
        f"{comparison.response_b.content_hash}",
        flaw_a=seen.flaw_a,
        flaw_b=seen.flaw_b,
        language=language,
    )
    moment = diary.moment(lease.labeler) if diary else None
    preference_submit(
        assignment=lease,
        data=answer(outcome, shown_left)
        if comparison.project.scheme.get("aspects")
        else _bare(answer(outcome, shown_left)),
        idempotency_key=f"simulation:{lease.uid}",
        source=PreferenceSource.SIMULATION,
        now=moment,
    )
    if moment:
        leases_date(Assignment.objects.filter(pk=lease.pk), moment)


def leases_date(leases: QuerySet[Assignment], moment: datetime) -> None:
    """They were taken a little before the answer, which was given at this moment."""
    leases.update(created_at=moment - LEASED_BEFORE)


def _bare(data: dict[str, Any]) -> dict[str, Any]:
    """Without what the project's scheme does not ask for."""
    return {key: value for key, value in data.items() if key not in ("aspects", "reasons")}
