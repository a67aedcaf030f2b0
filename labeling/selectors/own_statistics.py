"""What a labeler is told of the own work (invariant 3).

How many and how fast, which side and which length: at once, since it all comes from what the person did and saw. How
often others or known outcomes said the same: once a day, in whole percent and over twenty votes or more, from what had
been said by midnight. A figure that moved with each vote would tell the other's vote, or the known outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.models import LABEL_OUTCOMES, Labeler, Outcome, Preference
from labeling.selectors.figures import kept_figure
from labeling.selectors.labelers import Figures, figures_of
from labeling.selectors.preferences import (
    OF_OWN_REWRITE,
    independent_votes,
    latest_preferences,
    latest_revisions,
)
from labeling.selectors.votes import votes_of
from webapp.caches import page_cache

LEAST = 20
DAYS = 14
KEPT_S = 86_400


@dataclass(frozen=True)
class Share:
    """In whole percent of `n`; None where `n` is less than twenty. Of known outcomes `n` is None then, too: who labels
    one pair a day would learn whether its outcome is known."""

    percent: int | None
    n: int | None


@dataclass(frozen=True)
class Checked:
    """As of last midnight. `others`: how often other people's votes on comparisons that have all their labels said the
    same, `n` being the person's votes; `gold`: how often a known outcome was met."""

    others: Share
    gold: Share


@dataclass(frozen=True)
class OwnStatistics:
    """`days`: labels on each of the last 14 days, today last; `skips`: comparisons that stand as skipped."""

    figures: Figures
    skips: int
    days: tuple[tuple[date, int], ...]
    checked: Checked


def own_statistics(labeler: Labeler | None) -> OwnStatistics:
    """Six queries, or fewer where figures are kept, for one labeler's votes and the others' on the same comparisons."""
    if labeler is None:  # has not been given a comparison yet
        return OwnStatistics(
            Figures(), 0, _days(Preference.objects.none()), Checked(Share(None, 0), Share(None, None))
        )
    latest = latest_preferences(labeler.project, with_skips=True).filter(labeler=labeler)
    return OwnStatistics(
        figures=kept_figure(f"own-{labeler.pk}", labeler.project, lambda: _figures(labeler)),
        skips=latest.filter(outcome=Outcome.SKIP).count(),
        days=_days(Preference.objects.filter(labeler=labeler)),
        checked=checked_by_midnight(labeler),
    )


def _figures(labeler: Labeler) -> Figures:
    votes = votes_of(independent_votes(Preference.objects.filter(labeler=labeler))).in_time()
    nobody = np.zeros(len(votes), dtype=np.int64)
    return figures_of(votes, nobody, nobody)


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _days(own: QuerySet[Preference]) -> tuple[tuple[date, int], ...]:
    today = timezone.localdate()
    first = today - timedelta(days=DAYS - 1)
    given = latest_revisions(own.filter(created_at__gte=_midnight(first)))
    labels = given.filter(outcome__in=LABEL_OUTCOMES).exclude(OF_OWN_REWRITE)
    rows = labels.annotate(day=TruncDate("created_at")).order_by("day")
    counts = dict(rows.values_list("day").annotate(labels=Count("pk")))
    days = [first + timedelta(days=number) for number in range(DAYS)]
    return tuple((day, counts.get(day, 0)) for day in days)


def checked_by_midnight(labeler: Labeler) -> Checked:
    """Made anew each day. Nothing that was said today is in it, so that making it twice a day changes nothing."""
    today = timezone.localdate()
    key = f"checked:{labeler.pk}:{today}"
    found: Checked | None = page_cache.get(key)
    if found is None:
        found = _checked(labeler, _midnight(today))
        page_cache.set(key, found, KEPT_S)
    return found


def _checked(labeler: Labeler, until: datetime) -> Checked:
    before = Preference.objects.filter(project=labeler.project, created_at__lt=until)
    newest = before.order_by("-created_at", "-pk").values_list("pk", flat=True).first() or 0
    own = Preference.objects.filter(labeler=labeler, pk__lte=newest).values("comparison_id")
    shared = Preference.objects.filter(project=labeler.project, comparison_id__in=own)
    rows = independent_votes(shared, up_to=newest)
    said: dict[tuple[int, int, str], dict[int, str]] = {}
    read = rows.values_list(
        "comparison_id", "comparison__needed", "comparison__gold_outcome", "labeler_id", "outcome"
    )
    for comparison, needed, gold, person, outcome in read.iterator(chunk_size=5000):
        said.setdefault((comparison, needed, gold), {})[person] = outcome
    same = others = votes = hits = known = 0
    for (_pk, needed, gold), outcomes in said.items():
        mine = outcomes.pop(labeler.pk, None)
        if mine is None:
            continue
        if outcomes and len(outcomes) + 1 >= needed:
            votes += 1
            same += sum(outcome == mine for outcome in outcomes.values())
            others += len(outcomes)
        if gold in LABEL_OUTCOMES:
            known += 1
            hits += mine == gold
    of_known = _share(hits, known, known) if known >= LEAST else Share(None, None)
    return Checked(others=_share(same, others, votes), gold=of_known)


def _share(hits: int, total: int, n: int) -> Share:
    return Share(round(100 * hits / total) if n >= LEAST else None, n)
