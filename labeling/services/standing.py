"""The state that a comparison comes back to when something else was done with it."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Case, F, Q, QuerySet, Value, When

from labeling.models import Comparison, ComparisonState, ComparisonUse
from labeling.services.resolution import ADJUDICATED

# Settled by a reviewer, until that is taken back.
IS_ADJUDICATED = Q(resolution__method=ADJUDICATED)


def states_settle(rows: QuerySet[Comparison], *, skip_limit: int) -> None:
    """Put the state of these comparisons, which the caller has locked, right by what was said of them: done where the
    labels are there, in review where too many have skipped them, else open, as what checks on people always is."""
    is_skipped_out = Q(skip_count__gte=skip_limit) if skip_limit else Q(pk__in=())
    rows.update(
        state=Case(
            When(~Q(use=ComparisonUse.WORK), then=Value(ComparisonState.OPEN.value)),
            When(label_count__gte=F("needed"), then=Value(ComparisonState.DONE.value)),
            When(is_skipped_out, then=Value(ComparisonState.REVIEW.value)),
            default=Value(ComparisonState.OPEN.value),
        )
    )


def settled_stay(comparison_ids: Iterable[int]) -> None:
    """What a reviewer has settled is done and gives out no place, whatever its labels are: unless it is retired, or
    checks on people. Call it after states and places were put right."""
    settled = Comparison.objects.filter(IS_ADJUDICATED, pk__in=comparison_ids, use=ComparisonUse.WORK)
    settled.exclude(state=ComparisonState.RETIRED).update(state=ComparisonState.DONE, open_slots=0)
