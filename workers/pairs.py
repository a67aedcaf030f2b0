"""From snapshot rows to the reward library's pairs, and from responses to its items. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from labeling.models import Response
from workers.reward.slices import length_slice, strength_slice, turns_slice
from workers.reward.types import Item, Message, Pair

if TYPE_CHECKING:
    from labeling.snapshots.rows import SnapshotRow


def to_messages(messages: Iterable[Mapping[str, str]]) -> tuple[Message, ...]:
    return tuple(Message(str(message["role"]), str(message["content"])) for message in messages)


def tie_share(row: SnapshotRow, p_a: float) -> float | None:
    """Share of the votes for neither response; None where the votes are not what settled `p_a`."""
    neither = row.votes_tie + row.votes_both_bad
    if not row.votes or abs((row.votes_a + neither / 2) / row.votes - p_a) > 1e-6:
        return None
    return min(neither / row.votes, 2 * p_a, 2 * (1 - p_a))


def row_to_pair(row: SnapshotRow) -> Pair:
    """The pair of one snapshot row, oriented so that `p_chosen` is at least one half.

    Ties and both-bad have no winner and stand at `p_a` as settled, one half as a rule. An adjudicated outcome
    against the votes counts as sure. A response's rating by an aspect is its share of the votes on that aspect.
    """
    p_a = row.p_a
    if (row.outcome == "a" and p_a <= 0.5) or (row.outcome == "b" and p_a >= 0.5):
        p_a = 1.0 if row.outcome == "a" else 0.0
    a_first = p_a >= 0.5
    chosen, rejected = (row.response_a, row.response_b) if a_first else (row.response_b, row.response_a)
    ratings = _ratings(row)
    rated_chosen, rated_rejected = ratings if a_first else ratings[::-1]
    users = sum(1 for message in row.messages if message["role"] == "user")
    strength = row.strength if row.outcome in {"a", "b"} else None
    return Pair(
        pair_id=str(row.comparison_id),
        messages=to_messages(row.messages),
        chosen=chosen,
        rejected=rejected,
        p_chosen=p_a if a_first else 1.0 - p_a,
        p_tie=tie_share(row, p_a),
        strength=None if strength is None else min(4.0, max(1.0, strength)),
        weight=row.weight,
        group=row.group,
        split=row.split,
        slices={
            "language": row.language or "unknown",
            "topic": row.topic or "unknown",
            "turns": turns_slice(users),
            "length": length_slice(chosen, rejected),
            "strength": strength_slice(strength),
        },
        ratings_chosen=rated_chosen,
        ratings_rejected=rated_rejected,
        votes=_votes(row, a_first=a_first),
    )


def _ratings(row: SnapshotRow) -> tuple[dict[str, float], dict[str, float]]:
    """Ratings of response_a and response_b in [0, 1] by aspect: shares of the votes on it, "the same" half to each."""
    rated_a = {}
    for votes in row.aspects:
        total = votes["votes_a"] + votes["votes_b"] + votes["votes_tie"]
        rated_a[votes["aspect"]] = (votes["votes_a"] + votes["votes_tie"] / 2) / total
    return rated_a, {aspect: 1.0 - share for aspect, share in rated_a.items()}


def _votes(row: SnapshotRow, *, a_first: bool) -> dict[str, str]:
    """What each annotator said of the pair. Snapshots name each by a name of their own; older ones may repeat one, and
    then a number tells the votes of a row apart."""
    votes: dict[str, str] = {}
    for vote in row.annotators:
        name, number = vote["labeler"], 2
        while name in votes:
            name, number = f"{vote['labeler']} ({number})", number + 1
        votes[name] = _side(vote["outcome"], a_first=a_first)
    return votes


def _side(outcome: str, *, a_first: bool) -> str:
    """A vote as the library says it; both-bad prefers neither side."""
    if outcome not in {"a", "b"}:
        return "tie"
    return "chosen" if (outcome == "a") == a_first else "rejected"


def rows_to_pairs(rows: Iterable[SnapshotRow]) -> Iterator[Pair]:
    return (row_to_pair(row) for row in rows)


def responses_to_items(responses: Sequence[Response]) -> list[Item]:
    """Items to score; `prompt` must be loaded."""
    return [Item(str(r.pk), to_messages(r.prompt.messages), r.text) for r in responses]
