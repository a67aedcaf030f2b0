"""Counts and states of many comparisons at once, after answers to them. Their rows are locked by the caller."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from labeling.models import Comparison, ComparisonState, ComparisonUse
from labeling.services.allocation import slots_recount


def labels_count(comparison_ids: Collection[int], step: int) -> None:
    """One label more (+1) or less (-1) on each: done where there are enough, open again where there are not."""
    rows = Comparison.objects.filter(pk__in=comparison_ids)
    rows.update(label_count=F("label_count") + step)
    full = rows.filter(label_count__gte=F("needed"), state=ComparisonState.OPEN)
    full.update(state=ComparisonState.DONE)
    _reopen(rows.filter(label_count__lt=F("needed"), state=ComparisonState.DONE))


def skips_count(comparison_ids: Collection[int], step: int, *, skip_limit: int) -> None:
    """One skip more (+1) or less (-1) on each: into review where the limit is reached (0: there is none), out of it
    where an undo brings it below."""
    rows = Comparison.objects.filter(pk__in=comparison_ids)
    rows.update(skip_count=F("skip_count") + step)
    if step > 0 and skip_limit:
        often = rows.filter(skip_count__gte=skip_limit, state=ComparisonState.OPEN, use=ComparisonUse.WORK)
        often.update(state=ComparisonState.REVIEW)
    if step < 0:
        seldom = rows if not skip_limit else rows.filter(skip_count__lt=skip_limit)
        _reopen(seldom.filter(state=ComparisonState.REVIEW))
    slots_recount(rows)


def _reopen(rows: QuerySet[Comparison]) -> None:
    """Back in the queue, which those hear of who had passed the place."""
    rows.update(state=ComparisonState.OPEN, freed_at=Now())
