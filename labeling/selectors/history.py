"""The whole life of one comparison in the order of time: who was given it, said what, saw what, settled what.

What judges and models said lies in the storeys above, which fill panels of the same page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from labeling.models import (
    LABEL_OUTCOMES,
    AdjudicatedOutcome,
    Adjudication,
    Assignment,
    AssignmentState,
    Comment,
    Comparison,
    ItemDeed,
    Outcome,
    Preference,
    Reveal,
    SentBack,
)
from labeling.scheme import SKIP_REASONS

MOST = 500
_SPOKEN: dict[str, str] = {Outcome.SKIP: "skip", Outcome.WITHDRAWN: "undo"}


@dataclass(frozen=True)
class Event:
    """One thing that happened. `kind`: created, leased, lapsed, vote, change, skip, undo, seen, adjudicated,
    withdrawn, sent_back, comment, or a deed of a manager (ItemDeedKind) with its `value`. `outcome` is against the
    comparison's responses; `left` says which response stood on the left ("a", "b" or ""); `text` is what the person
    wrote, or the batch's name."""

    at: datetime
    kind: str
    person: str = ""
    outcome: str = ""
    strength: int | None = None
    left: str = ""
    seconds: float | None = None
    after_reveal: bool = False
    text: str = ""
    more: int = 0
    to: str = ""
    value: float | None = None


def history_of(comparison: Comparison, *, most: int = MOST) -> list[Event]:
    """The newest `most` events, oldest of them first. Seven queries."""
    parts = (_leases, _preferences, _reveals, _adjudications, _sent_back, _comments, _deeds)
    found = chain.from_iterable(part(comparison, most) for part in parts)
    created = Event(comparison.created_at, "created")
    return [created, *sorted(found, key=lambda event: event.at)[-most:]]


def _leases(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = Assignment.objects.filter(comparison=comparison).select_related("labeler").order_by("-created_at")
    for row in rows[:most]:
        yield Event(row.created_at, "leased", row.labeler.name)
        if row.state == AssignmentState.EXPIRED:
            yield Event(row.lease_expires_at, "lapsed", row.labeler.name)


def _preferences(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = Preference.objects.filter(comparison=comparison).select_related("labeler").order_by("-pk")
    found = list(rows[:most])
    standing = {(row.labeler_id, row.revision) for row in found if row.outcome in LABEL_OUTCOMES}
    for row in found:
        is_change = (row.labeler_id, row.revision - 1) in standing
        yield Event(
            row.created_at,
            _SPOKEN.get(row.outcome, "change" if is_change else "vote"),
            row.labeler.name,
            outcome=row.outcome,
            strength=row.strength,
            left=_side(comparison, row.shown_left_id),
            seconds=None if row.duration_ms is None else row.duration_ms / 1000,
            after_reveal=row.after_reveal,
            text=row.rationale or str(SKIP_REASONS.get(row.skip_reason, row.skip_reason)),
        )


def _side(comparison: Comparison, response_id: int | None) -> str:
    sides = {comparison.response_a_id: "a", comparison.response_b_id: "b"}
    return "" if response_id is None else sides.get(response_id, "")


def _reveals(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = Reveal.objects.filter(comparison=comparison).select_related("user").order_by("-pk")
    for row in rows[:most]:
        yield Event(row.created_at, "seen", str(row.user))


def _adjudications(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = Adjudication.objects.filter(comparison=comparison).select_related("reviewer").order_by("-pk")
    for row in rows[:most]:
        is_withdrawn = row.outcome == AdjudicatedOutcome.WITHDRAWN
        yield Event(
            row.created_at,
            "withdrawn" if is_withdrawn else "adjudicated",
            _name(row.reviewer),
            outcome=row.outcome,
            strength=row.strength,
            text=row.reason,
        )


def _sent_back(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = SentBack.objects.filter(comparison=comparison).select_related("actor").order_by("-pk")
    for row in rows[:most]:
        yield Event(row.created_at, "sent_back", _name(row.actor), text=row.note, more=row.more, to=row.to)


def _comments(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = Comment.objects.filter(comparison=comparison).select_related("author").order_by("-pk")
    for row in rows[:most]:
        yield Event(row.created_at, "comment", _name(row.author), text=row.text)


def _deeds(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = ItemDeed.objects.filter(comparison=comparison).select_related("actor").order_by("-pk")
    for row in rows[:most]:
        yield Event(row.created_at, row.kind, _name(row.actor), text=row.text, value=row.value)


def _name(user: object | None) -> str:
    return "" if user is None else str(user)


def comments_of(comparison: Comparison) -> list[Comment]:
    """All comments, oldest first, with author and mentions. Two queries."""
    rows = Comment.objects.filter(comparison=comparison).select_related("author").order_by("pk")
    return list(rows.prefetch_related("mentions__user"))
