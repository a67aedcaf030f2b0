"""What the label page shows. Invariant 3 lives here: a pair is built from an allow-list of texts alone.

A `Pair` knows the assignment's uid, the messages, the two texts and the person's own draft; nothing else of
the comparison, its prompt or its responses ever reaches a labeler's page or JSON before the vote.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from django.db.models import Case, DateTimeField, Exists, OuterRef, Q, QuerySet, Sum, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from labeling.models import (
    LABEL_OUTCOMES,
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    ComparisonUse,
    Labeler,
    Outcome,
    Preference,
    Project,
)
from labeling.scheme import STEPS
from labeling.selectors.preferences import is_change_of_mind
from labeling.selectors.progress import Counts, comparison_counts
from labeling.selectors.reveals import is_still_to_come
from labeling.services.preferences import undo_seconds_left
from webapp.kept import Kept
from webapp.users.models import User

COUNTED_S = 20


@dataclass(frozen=True)
class Turn:
    role: str
    content: str


@dataclass(frozen=True)
class Pair:
    """All that a labeler may see of a comparison before the vote."""

    uid: str
    history: list[Turn]
    prompt: Turn
    left: str
    right: str
    draft: dict[str, Any]
    lease_expires_at: datetime
    # The person's own unfinished rewrites, by side.
    rewrites: dict[str, str] = field(default_factory=dict)
    # The idempotency key of a form that is posted without the page's script.
    form_key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def to_json(self) -> dict[str, Any]:
        """The REST form."""
        return {
            "assignment": self.uid,
            "messages": [
                {"role": turn.role, "content": turn.content} for turn in (*self.history, self.prompt)
            ],
            "left": self.left,
            "right": self.right,
            "draft": self.draft,
            "lease_expires_at": self.lease_expires_at.isoformat(),
        }


@dataclass(frozen=True)
class LastAnswer:
    """The person's last answer, in terms of the screen on which it was given (A is the left side)."""

    pair: Pair
    comparison_id: int
    outcome: str  # "a" (left), "b" (right), "tie", "both_bad", "skip"
    p: float | None  # position on the bar as the preference for the left side, 0 to 1
    strength: int | None
    seconds: float | None
    is_change: bool
    is_open: bool  # nothing with one of its responses is left to label, so others' voices bias nothing
    undo_s: int
    left: str  # which response stood on the left: "a" or "b"

    @property
    def is_label(self) -> bool:
        return self.outcome in LABEL_OUTCOMES


@dataclass(frozen=True)
class NothingLeft:
    """Why there is nothing for this person. `kind`: no_items, qualified_wait, all_done, elsewhere or yours_done."""

    kind: str
    mine: int
    elsewhere: int


def pair_of(assignment: Assignment) -> Pair:
    comparison = assignment.comparison
    turns = [
        Turn(role=str(message.get("role", "")), content=str(message.get("content", "")))
        for message in comparison.prompt.messages
    ] or [Turn(role="user", content="")]
    sides = (comparison.response_a.text, comparison.response_b.text)
    left, right = reversed(sides) if assignment.swapped else sides
    return Pair(
        uid=str(assignment.uid),
        history=turns[:-1],
        prompt=turns[-1],
        left=left,
        right=right,
        draft=assignment.draft,
        rewrites=assignment.rewrites or {},
        lease_expires_at=assignment.lease_expires_at,
    )


def _today(labeler: Any, midnight: Any) -> QuerySet[Preference, tuple[int, int]]:
    """Labels since midnight, and how many of them have a later revision: one pass over the day's rows."""
    asked = Q(shown_left__isnull=False) | Q(ranking__isnull=False)
    before = Preference.objects.filter(
        asked,
        comparison=OuterRef("comparison"),
        labeler=OuterRef("labeler"),
        revision=OuterRef("revision") - 1,
        created_at__gte=midnight,
        outcome__in=LABEL_OUTCOMES,
    )
    of_labels = Case(When(asked, outcome__in=LABEL_OUTCOMES, then=1), default=0)
    of_revised = Case(When(Q(revision__lte=1), then=0), When(Exists(before), then=1), default=0)
    rows = Preference.objects.filter(labeler=labeler, created_at__gte=midnight)
    sums = (Coalesce(Sum(expression), 0) for expression in (of_labels, of_revised))
    return rows.order_by().values("labeler").values_list(*sums)


_TODAY = Kept(_today, labeler=None, midnight=DateTimeField())


def labels_today(labeler: Labeler) -> int:
    """Comparisons that this person has labeled since midnight, on a pair or in a ranking; skips, undone answers and
    rewrites do not count."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    labels, revised = _TODAY.first(labeler=labeler.pk, midnight=midnight) or (0, 0)
    return labels - revised


def settled_counts(project: Project) -> Counts:
    """How far the project is, up to COUNTED_S seconds old: counting millions of rows is not for each pair."""
    return comparison_counts([project.pk], max_age_s=COUNTED_S)[project.pk]


def last_answer(labeler: Labeler) -> LastAnswer | None:
    """What this person answered last on a pair, unless it was undone. Rankings, rewrites and imports had no sides."""
    rows = Preference.objects.filter(labeler=labeler, shown_left__isnull=False)
    row = rows.order_by("-created_at", "-id").first()
    if row is None or row.outcome == Outcome.WITHDRAWN:
        return None
    assignment = (
        Assignment.objects.filter(labeler=labeler, comparison_id=row.comparison_id)
        .select_related(
            "labeler__user", "comparison__prompt", "comparison__response_a", "comparison__response_b"
        )
        .first()
    )
    return None if assignment is None else _answer(assignment, row)


def answer_of(assignment: Assignment) -> LastAnswer | None:
    """The present answer to this assignment, None where there is none or it was undone."""
    rows = Preference.objects.filter(comparison_id=assignment.comparison_id, labeler_id=assignment.labeler_id)
    row = rows.order_by("-revision").first()
    return None if row is None or row.outcome == Outcome.WITHDRAWN else _answer(assignment, row)


def _answer(assignment: Assignment, row: Preference) -> LastAnswer:
    outcome = str(row.outcome)
    if assignment.swapped and outcome in ("a", "b"):
        outcome = "b" if outcome == "a" else "a"
    is_change = is_change_of_mind(row)
    return LastAnswer(
        pair=pair_of(assignment),
        comparison_id=row.comparison_id,
        outcome=outcome,
        p=_position(outcome, row.strength),
        strength=row.strength,
        seconds=None if row.duration_ms is None else row.duration_ms / 1000,
        is_change=is_change,
        is_open=not is_still_to_come(cast(User, assignment.labeler.user), assignment.comparison),
        undo_s=0 if is_change else undo_seconds_left(row),
        left="b" if assignment.swapped else "a",
    )


def _position(outcome: str, strength: int | None) -> float | None:
    """Where the chosen step stands on the bar: 1 is the left end, 0 the right end, ½ a tie."""
    if outcome not in ("a", "b"):
        return 0.5 if outcome == "tie" else None
    from_middle = ((strength or 2) - 0.5) / STEPS
    return 0.5 + from_middle if outcome == "a" else 0.5 - from_middle


def why_nothing(labeler: Labeler) -> NothingLeft:
    """Why `lease_next` found nothing, in a few short index look-ups."""
    comparisons = Comparison.objects.filter(project_id=labeler.project_id, use=ComparisonUse.WORK)
    mine = Assignment.objects.filter(labeler=labeler, state=AssignmentState.SUBMITTED).count()
    elsewhere = (
        Assignment.objects.filter(
            comparison__project_id=labeler.project_id,
            comparison__state=ComparisonState.OPEN,
            comparison__use=ComparisonUse.WORK,
            state=AssignmentState.LEASED,
        )
        .exclude(labeler=labeler)
        .count()
    )
    is_waiting = Labeler.objects.filter(
        pk=labeler.pk, failed_at__isnull=False, qualified_at__isnull=True, project__qualification_size__gt=0
    ).exists()
    if is_waiting:
        kind = "qualified_wait"
    elif not comparisons.exists():
        kind = "no_items"
    elif not comparisons.filter(state=ComparisonState.OPEN).exists():
        kind = "all_done"
    else:
        kind = "elsewhere" if elsewhere else "yours_done"
    return NothingLeft(kind=kind, mine=mine, elsewhere=elsewhere)
