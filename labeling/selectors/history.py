"""The whole life of one comparison in the order of time: who was given it, said what, saw what, settled what.

What judges and models said lies in the storeys above, which fill panels of the same page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

from django.db.models import Exists, OuterRef

from labeling.models import (
    LABEL_OUTCOMES,
    AdjudicatedOutcome,
    Adjudication,
    Assignment,
    AssignmentState,
    Comment,
    Comparison,
    ComparisonUse,
    ItemDeed,
    Outcome,
    Preference,
    Ranking,
    Reveal,
    SentBack,
)
from labeling.scheme import SKIP_REASONS
from labeling.selectors.rewrites import rewrites_of
from labeling.services.projects import OVERLAP_CHANGED
from webapp.audit.models import AuditEvent

MOST = 500
_SPOKEN: dict[str, str] = {Outcome.SKIP: "skip", Outcome.WITHDRAWN: "undo"}


@dataclass(frozen=True)
class Event:
    """One thing that happened. `kind`: created, leased, lapsed, vote, change, skip, undo, ranked, rewritten,
    rewrite_undone, seen, adjudicated, withdrawn, sent_back, comment, a deed of a manager (ItemDeedKind) with its
    `value`, or overlap: the project asks for `value` labels where it asked for `before`. `outcome` is against the
    comparison's responses; `left` says which response stood on the left ("a", "b" or ""); `text` is what the person
    wrote, or the batch's name.

    Of a ranking: `ranked` responses got a place, these two `place_a` and `place_b` (None: none). Of a rewrite: `letter`
    is the response that was rewritten, and `pair` the comparison with the new one; here, where `pair` is None, the
    response that was written. Of what was sent back to `people`: their names.
    """

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
    people: tuple[str, ...] = ()
    ranked: int = 0
    place_a: int | None = None
    place_b: int | None = None
    letter: str = ""
    pair: int | None = None
    value: float | None = None
    before: float | None = None


def history_of(comparison: Comparison, *, most: int = MOST) -> list[Event]:
    """The newest `most` events, oldest of them first. Twelve queries at most."""
    parts = (
        _leases, _preferences, _rankings, _rewrites, _reveals, _adjudications, _sent_back, _comments,
        _deeds, _overlaps,
    )  # fmt: skip
    found = chain.from_iterable(part(comparison, most) for part in parts)
    created = Event(comparison.created_at, "created")
    return [created, *sorted(found, key=lambda event: event.at)[-most:]]


def _leases(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = Assignment.objects.filter(comparison=comparison).select_related("labeler").order_by("-created_at")
    for row in rows[:most]:
        for taken, ran_out in row.lapses or []:
            yield Event(datetime.fromisoformat(taken), "leased", row.labeler.name)
            yield Event(datetime.fromisoformat(ran_out), "lapsed", row.labeler.name)
        yield Event(row.created_at, "leased", row.labeler.name)
        # What was taken back after an answer ends as "expired", too.
        is_late = row.finished_at is not None and row.finished_at > row.lease_expires_at
        if is_late or (row.state == AssignmentState.EXPIRED and row.finished_at is None):
            yield Event(row.lease_expires_at, "lapsed", row.labeler.name)


def _preferences(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = Preference.objects.filter(comparison=comparison).select_related("labeler", "ranking")
    # The word by which somebody settled an own rewrite is told as the rewrite.
    rewriter = _rewriter(comparison)
    if rewriter is not None:
        rows = rows.exclude(labeler=rewriter, shown_left__isnull=True)
    found = list(rows.order_by("-pk")[:most])
    standing = {(row.labeler_id, row.revision) for row in found if row.outcome in LABEL_OUTCOMES}
    for row in found:
        is_change = (row.labeler_id, row.revision - 1) in standing
        said = Event(
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
        if row.ranking is not None and row.outcome in LABEL_OUTCOMES:
            said = replace(said, kind="ranked", **_places(comparison, row.ranking))
        yield said


def _rankings(comparison: Comparison, most: int) -> Iterator[Event]:
    """Rankings that saw both responses and said nothing of the two: one was left out, or the pair had its labels."""
    said = Preference.objects.filter(ranking=OuterRef("pk"), comparison=comparison)
    rows = Ranking.objects.filter(~Exists(said), prompt_id=comparison.prompt_id).select_related("labeler")
    pair = {comparison.response_a_id, comparison.response_b_id}
    for row in rows.order_by("-pk")[:most]:
        if row.ranks and pair <= {*chain(*row.ranks), *row.unranked}:
            yield Event(
                row.created_at,
                "ranked",
                row.labeler.name,
                seconds=None if row.duration_ms is None else row.duration_ms / 1000,
                text=row.rationale,
                **_places(comparison, row),
            )


def _places(comparison: Comparison, ranking: Ranking) -> dict[str, Any]:
    places = {pk: place for place, tied in enumerate(ranking.ranks, start=1) for pk in tied}
    return {
        "ranked": len(places),
        "place_a": places.get(comparison.response_a_id),
        "place_b": places.get(comparison.response_b_id),
    }


def _rewrites(comparison: Comparison, most: int) -> Iterator[Event]:
    """The words by which their authors settled them: no response was shown on the left then."""
    pairs = {row.comparison_id: row for row in rewrites_of(comparison)}
    rows = Preference.objects.filter(comparison__in=pairs, shown_left__isnull=True).order_by("-pk")
    rows = rows.select_related("labeler")
    for row in rows[:most] if pairs else ():
        rewrite = pairs[row.comparison_id]
        if row.labeler_id == rewrite.author_id:
            yield Event(
                row.created_at,
                "rewritten" if row.outcome in LABEL_OUTCOMES else "rewrite_undone",
                row.labeler.name,
                letter=rewrite.letter,
                pair=None if rewrite.is_here else row.comparison_id,
                after_reveal=row.after_reveal,
            )


def _rewriter(comparison: Comparison) -> int | None:
    """Who wrote one of the two responses as a better version of the other one."""
    first, second = comparison.response_a, comparison.response_b
    if first.parent_id == second.pk:
        return first.author_id
    return second.author_id if second.parent_id == first.pk else None


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
    for row in rows.prefetch_related("people")[:most]:
        people = tuple(sorted(person.name for person in row.people.all()))
        yield Event(
            row.created_at,
            "sent_back",
            _name(row.actor),
            text=row.note,
            more=row.more,
            to=row.to,
            people=people,
        )


def _comments(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = Comment.objects.filter(comparison=comparison).select_related("author").order_by("-pk")
    for row in rows[:most]:
        yield Event(row.created_at, "comment", _name(row.author), text=row.text)


def _deeds(comparison: Comparison, most: int) -> Iterator[Event]:
    rows = ItemDeed.objects.filter(comparison=comparison).select_related("actor").order_by("-pk")
    for row in rows[:most]:
        yield Event(row.created_at, row.kind, _name(row.actor), text=row.text, value=row.value)


def _overlaps(comparison: Comparison, most: int) -> Iterator[Event]:
    """Of the whole project, for what people are asked about."""
    if comparison.use != ComparisonUse.WORK or not comparison.needed:
        return
    rows = AuditEvent.objects.filter(
        project_id=comparison.project_id, action=OVERLAP_CHANGED, at__gte=comparison.created_at
    )
    for row in rows.select_related("actor").order_by("-id")[:most]:
        now, before = row.detail["now"], row.detail["before"]
        yield Event(row.at, "overlap", _name(row.actor), value=now, before=before)


def _name(user: object | None) -> str:
    return "" if user is None else str(user)


def comments_of(comparison: Comparison) -> list[Comment]:
    """All comments, oldest first, with author and mentions. Two queries."""
    rows = Comment.objects.filter(comparison=comparison).select_related("author").order_by("pk")
    return list(rows.prefetch_related("mentions__user"))
