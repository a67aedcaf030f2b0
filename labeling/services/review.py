"""The queue of disagreements: kept in step with votes, voices and settlements.

A row is `settled_at` while nobody has to look at it: the comparison was adjudicated, or was sent back and its answer
is still awaited. A row whose voices agree again goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from labeling.disagreement import Said, Standing, sizes
from labeling.models import Comparison, ComparisonState, Disagreement, DisagreementKind, Outcome
from labeling.services.resolution import ADJUDICATED, Tally
from webapp.kept import Kept

CHUNK = 1000
ItemT = TypeVar("ItemT")
# What one comparison needs of itself, its resolution and its voices, in one query.
_READ = (
    "pk", "project_id", "state", "skip_count", "project__skip_limit",
    "resolution__method", "resolution__outcome", "resolution__p_a",
    "resolution__votes_a", "resolution__votes_b", "resolution__votes_tie", "resolution__votes_both_bad",
    "voices__kind", "voices__outcome", "voices__p_a",
)  # fmt: skip


def in_chunks(items: Iterable[ItemT]) -> Iterator[list[ItemT]]:
    """`CHUNK` of them at a time."""
    waiting = iter(items)
    return iter(lambda: list(islice(waiting, CHUNK)), [])


@dataclass(frozen=True)
class _Found:
    """One comparison as it stands."""

    project_id: int
    state: str
    is_adjudicated: bool
    standing: Standing


def disagreements_refresh(comparison_ids: Iterable[int], *, is_answered: bool = False) -> int:
    """Bring the rows of these comparisons in step; call it in the transaction that holds their locks.

    `is_answered`: a vote has just come, which ends a sending back unless more are awaited. One statement for each
    1,000 comparisons where none is in the queue, two where nothing differs. Returns how many rows were written or
    removed.
    """
    return sum(
        _refresh_chunk(chunk, is_answered=is_answered) for chunk in in_chunks(sorted(set(comparison_ids)))
    )


def _refresh_chunk(ids: list[int], *, is_answered: bool) -> int:
    now = timezone.now()
    present: dict[int, dict[str, Disagreement]] = {pk: {} for pk in ids}
    read, has_rows = _read(ids)
    for row in Disagreement.objects.filter(comparison_id__in=ids) if has_rows else ():
        present[row.comparison_id][row.kind] = row
    written: list[Disagreement] = []
    gone: list[int] = []
    for pk, found in _found(read):
        wanted = _wanted(pk, found, present[pk], is_answered=is_answered, now=now)
        written += [row for row in wanted.values() if _differs(row, present[pk].get(row.kind))]
        gone += [row.pk for kind, row in present[pk].items() if kind not in wanted]
    if written:
        Disagreement.objects.bulk_create(
            written,
            update_conflicts=True,
            unique_fields=["comparison", "kind"],
            update_fields=["size", "settled_at"],
        )
    if gone:
        Disagreement.objects.filter(pk__in=gone).delete()
    return len(written) + len(gone)


def _values(comparisons: QuerySet[Comparison]) -> QuerySet[Comparison, tuple[Any, ...]]:
    has_rows = Exists(Disagreement.objects.filter(comparison=OuterRef("pk")))
    return comparisons.order_by("pk").values_list(has_rows, *_READ)


_ONE = Kept(lambda pk: _values(Comparison.objects.filter(pk=pk)), pk=None)


def _read(ids: list[int]) -> tuple[list[tuple[Any, ...]], bool]:
    """Values of the comparisons with these ids, and whether any is in the queue of disagreements."""
    rows = _ONE.rows(pk=ids[0]) if len(ids) == 1 else list(_values(Comparison.objects.filter(pk__in=ids)))
    return [row[1:] for row in rows], any(row[0] for row in rows)


def _found(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, _Found]]:
    """One comparison with all its voices at a time, by id."""
    found: dict[int, _Found] = {}
    for row in rows:
        pk, (kind, outcome, p_a) = row[0], row[-3:]
        known = found.get(pk) or _of(row)
        if kind is not None:
            voices = (*known.standing.voices, Said(kind, outcome, p_a))
            known = replace(known, standing=replace(known.standing, voices=voices))
        found[pk] = known
    yield from found.items()


def _of(row: tuple[Any, ...]) -> _Found:
    _pk, project_id, state, skips, limit, method, outcome, p_a, votes_a, votes_b, ties, both_bad = row[:12]
    is_adjudicated = method == ADJUDICATED
    if is_adjudicated:
        # What the people said, not what the reviewer made of it.
        votes = {Outcome.A: votes_a, Outcome.B: votes_b, Outcome.TIE: ties, Outcome.BOTH_BAD: both_bad}
        tally = Tally(votes={str(key): count for key, count in votes.items() if count})
        outcome, p_a = (tally.outcome, tally.p_a) if tally.total else ("", 0.5)
    is_skipped = state == ComparisonState.REVIEW and bool(limit)
    standing = Standing(
        votes_a=votes_a or 0,
        votes_b=votes_b or 0,
        outcome=str(outcome or ""),
        p_a=0.5 if p_a is None else p_a,
        skipped=skips / limit if is_skipped else 0.0,
    )
    return _Found(project_id, state, is_adjudicated, standing)


def _wanted(
    pk: int, found: _Found, present: dict[str, Disagreement], *, is_answered: bool, now: datetime
) -> dict[str, Disagreement]:
    """The rows that the comparison should have, by kind."""
    if found.state == ComparisonState.RETIRED:
        return {}
    back = present.get(DisagreementKind.SENT_BACK)
    is_over = found.is_adjudicated or (is_answered and found.state != ComparisonState.OPEN)
    is_awaited = back is not None and back.settled_at is None and not is_over
    is_closed = found.is_adjudicated or is_awaited
    wanted = {}
    for kind, size in sizes(found.standing).items():
        old = present.get(kind)
        since = (old.settled_at if old is not None and old.settled_at else now) if is_closed else None
        wanted[kind] = _row(pk, found.project_id, kind, size, since)
    if back is not None:
        since = None if is_awaited else back.settled_at or now
        wanted[DisagreementKind.SENT_BACK.value] = _row(pk, found.project_id, back.kind, back.size, since)
    return wanted


def _row(pk: int, project_id: int, kind: str, size: float, since: datetime | None) -> Disagreement:
    return Disagreement(comparison_id=pk, project_id=project_id, kind=kind, size=size, settled_at=since)


def _differs(row: Disagreement, old: Disagreement | None) -> bool:
    return old is None or (old.size, old.settled_at) != (row.size, row.settled_at)
