"""The pairs of a ranking: which of them a deed may write, and what it does to each. All of it under the locks of
`Deed.begin`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    ComparisonUse,
    Outcome,
    Preference,
    Ranking,
    RankingTask,
    Response,
)
from labeling.ranks import Pair
from labeling.services.allocation import LABELED_STATES, slots_recount
from labeling.services.answers import answers_count
from labeling.services.ranking import places_held, places_take
from labeling.services.ranking_deed import Deed, settle

# Any outcome that is none of a skip: counts and states are the same for all of them.
LABEL = Outcome.TIE


def pairs_make(task: RankingTask, said: Iterable[Pair], locked: Mapping[frozenset[int], Comparison]) -> bool:
    """Make the pairs that no import has made, each with one place: an order says something of all of its pairs, and no
    second person need say it of what nobody asked for. In one order for everybody: of two rankers of the same pair, one
    makes it and the other finds it. Returns whether some were missing."""
    missing = [pair for pair in said if frozenset(pair[:2]) not in locked]
    hashes = dict(Response.objects.filter(pk__in=task.order).values_list("pk", "content_hash"))
    keys = sorted(tuple(sorted(pair[:2], key=lambda pk: hashes[pk])) for pair in missing)
    Comparison.objects.bulk_create(
        (
            Comparison(
                project_id=task.project_id,
                prompt_id=task.prompt_id,
                response_a_id=first,
                response_b_id=second,
                needed=1,
                open_slots=1,
            )
            for first, second in keys
        ),
        ignore_conflicts=True,
    )
    return bool(missing)


def pairs_answerable(
    deed: Deed, wanted: Sequence[tuple[Pair, Comparison]]
) -> list[tuple[Comparison, Outcome]]:
    """What of the ranking may be written: pairs in hand, and those with a free place, which is taken, that the person
    has not answered."""
    task, ids = deed.task, [row.pk for _pair, row in wanted]
    own = Assignment.objects.filter(labeler_id=task.labeler_id, comparison_id__in=ids)
    states = dict(own.select_for_update().order_by("pk").values_list("comparison_id", "state"))
    answered = {pk for pk, (_revision, outcome) in deed.last_revisions(ids).items() if outcome != "withdrawn"}
    found: list[tuple[Comparison, Outcome]] = []
    taken = []
    for pair, row in wanted:
        state = states.get(row.pk, AssignmentState.EXPIRED)
        if row.pk in answered or row.state not in LABELED_STATES:
            continue
        if state == AssignmentState.EXPIRED and _has_place(row):
            taken.append(row)
        elif state != AssignmentState.LEASED:
            continue
        found.append((row, _outcome(pair, row)))
    places_take(task.labeler, taken, AssignmentState.LEASED, deed.moment, deed.moment)
    return found


def _has_place(row: Comparison) -> bool:
    """Whether anybody may be given it now: what serves as a check, or is kept for a batch, is not for rankings."""
    return (
        row.state == ComparisonState.OPEN
        and row.open_slots > 0
        and row.use == ComparisonUse.WORK
        and row.batch_id is None
    )


def _outcome(pair: Pair, row: Comparison) -> Outcome:
    if pair.is_tie:
        return Outcome.TIE
    return Outcome.A if pair.first == row.response_a_id else Outcome.B


def pairs_label(
    deed: Deed,
    ranking: Ranking,
    answers: Sequence[tuple[Comparison, Outcome]],
    shown: Iterable[Comparison],
) -> None:
    """The labels; and what was held and not ranked goes back, never to come to this person again."""
    rows = deed.append(ranking, answers)
    written = {row.pk for row, _outcome in answers}
    unsaid = [row for row in _held_among(deed.task, shown) if row.pk not in written]
    deed.assignments_finish(unsaid, AssignmentState.SKIPPED)
    pairs = [row for row, _outcome in answers]
    # Finished before it is counted: a lease that still stands would keep its place.
    deed.assignments_finish(pairs, AssignmentState.SUBMITTED)
    answers_count(pairs, LABEL, +1, skip_limit=deed.task.project.skip_limit)
    slots_recount(Comparison.objects.filter(pk__in=[row.pk for row in unsaid]))
    settle(rows)


def pairs_skip(deed: Deed, ranking: Ranking, shown: Iterable[Comparison], reason: str) -> None:
    """One skip of each that the ranking holds."""
    held = _held_among(deed.task, shown)
    rows = deed.append(ranking, [(pair, Outcome.SKIP) for pair in held], skip_reason=reason)
    deed.assignments_finish(held, AssignmentState.SKIPPED)
    answers_count(held, Outcome.SKIP, +1, skip_limit=deed.task.project.skip_limit)
    settle(rows)


def pairs_withdraw(deed: Deed, last: Ranking, locked: Mapping[int, Comparison]) -> list[Comparison]:
    """Withdraw what of this ranking still stands. Returns the comparisons that have a place for the person again."""
    task = deed.task
    written = dict(Preference.objects.filter(ranking=last).values_list("comparison_id", "revision"))
    newest = deed.last_revisions(written)
    standing = [pk for pk, revision in written.items() if newest[pk][0] == revision]
    row = deed.ranking(unranked=task.order)
    rows = deed.append(row, [(locked[pk], Outcome.WITHDRAWN) for pk in standing])
    # All that this deed finished, pairs of which nothing was said included.
    finished = Assignment.objects.filter(
        labeler_id=task.labeler_id, comparison_id__in=locked, finished_at=last.created_at
    )
    finished.update(state=AssignmentState.EXPIRED)
    said = Outcome.SKIP if task.state == AssignmentState.SKIPPED else LABEL
    answers_count([locked[pk] for pk in standing], said, -1, skip_limit=task.project.skip_limit)
    slots_recount(Comparison.objects.filter(pk__in=standing))
    settle(rows)
    free = Comparison.objects.filter(pk__in=standing, open_slots__gt=0)
    return list(free.exclude(state=ComparisonState.RETIRED))


def _held_among(task: RankingTask, shown: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons of these that the ranking holds. The pair page's own leases stay with it."""
    held = set(places_held(task).values_list("comparison_id", flat=True))
    return [row for row in shown if row.pk in held]
