"""Votes of a file become preferences of imported labelers, once each, and the comparisons count them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from labeling.importing.bulk import rows_insert
from labeling.importing.records import margin_strength
from labeling.importing.rows import PlacedRecords, PlacedVote, labelers_ensure
from labeling.models import (
    LABEL_OUTCOMES,
    Comparison,
    ComparisonState,
    Preference,
    PreferenceSource,
    Project,
    Resolution,
    ResolutionRule,
)
from labeling.services.resolution import Tally, resolve_comparisons
from labeling.services.review import disagreements_refresh


def votes_record(*, project: Project, placed: PlacedRecords, largest_margin: float) -> int:
    """Records the votes that are new, and returns how many those are. Call inside a transaction.

    A labeler has one imported vote for a comparison: the first in file order counts, a repeated one is
    passed over. Comparisons that were there before are locked first, in id order, so that two imports at
    once count each vote once; those that this transaction made nobody else can see.
    """
    if not placed.votes:
        return 0
    labelers = labelers_ensure(project, {vote.labeler for vote in placed.votes})
    older = [vote for vote in placed.votes if vote.pair not in placed.new_pairs]
    known = _lock_and_read(placed, older, labelers)
    new = [
        vote
        for vote in placed.votes
        if (placed.comparison_ids[vote.pair], labelers[vote.labeler]) not in known
    ]
    rows = [
        _row(vote, placed.comparison_ids[vote.pair], labelers[vote.labeler], largest_margin) for vote in new
    ]
    constants = {
        "project_id": project.pk,
        "source": PreferenceSource.IMPORT.value,
        "created_at": timezone.now(),
    }
    for has_aspects in (False, True):  # two statements where a file says something by aspect
        part = [row for row in rows if ("aspects" in row) == has_aspects]
        rows_insert(Preference, part, constants=constants, ignore_conflicts=False)
    _settle_new(project, placed, zip(new, rows, strict=True))
    added = Counter(placed.comparison_ids[vote.pair] for vote in new if vote.pair not in placed.new_pairs)
    _count_labels(added)
    resolve_comparisons(added)
    # One vote on a new comparison disagrees with nobody.
    votes = Counter(vote.pair for vote in new)
    several = [pair for pair, count in votes.items() if count > 1 or pair not in placed.new_pairs]
    disagreements_refresh(placed.comparison_ids[pair] for pair in several)
    return len(new)


def _lock_and_read(
    placed: PlacedRecords, votes: list[PlacedVote], labelers: dict[str, int]
) -> set[tuple[int, int]]:
    """(comparison, labeler) pairs that have a preference already; the comparisons stay locked."""
    ids = {placed.comparison_ids[vote.pair] for vote in votes}
    if not ids:
        return set()
    list(Comparison.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))
    rows = Preference.objects.filter(comparison_id__in=ids, labeler_id__in=set(labelers.values())).order_by()
    return set(rows.values_list("comparison_id", "labeler_id"))


def _row(placed: PlacedVote, comparison_id: int, labeler_id: int, largest_margin: float) -> dict[str, Any]:
    vote, strength = placed.vote, placed.vote.strength
    if strength is None and vote.margin is not None:
        strength = margin_strength(vote.margin, max(largest_margin, vote.margin))
    if placed.outcome not in ("a", "b"):
        strength = None
    said = f"{placed.outcome}|{strength}|{vote.duration_ms}|{vote.rationale}"
    by_aspect: dict[str, Any] = {}
    if vote.aspects:
        by_aspect = {"aspects": placed.aspects, "aspect_strengths": dict(vote.aspect_strengths)}
        said += orjson.dumps(by_aspect, option=orjson.OPT_SORT_KEYS).decode()
    return by_aspect | {
        "comparison_id": comparison_id,
        "labeler_id": labeler_id,
        "outcome": placed.outcome,
        "strength": strength,
        "rationale": vote.rationale,
        "duration_ms": vote.duration_ms,
        "idempotency_key": placed.key,
        "request_hash": hashlib.sha256(said.encode()).hexdigest(),
    }


def _settle_new(
    project: Project, placed: PlacedRecords, votes: Iterable[tuple[PlacedVote, dict[str, Any]]]
) -> None:
    """Resolutions of comparisons that this transaction made. All their votes are at hand, so the tally is
    made here, by the majority that `Tally` holds, instead of being read back, as another rule needs it."""
    tallies: dict[int, Tally] = {}
    for vote, row in votes:
        if vote.pair not in placed.new_pairs:
            continue
        tally = tallies.setdefault(row["comparison_id"], Tally())
        tally.add(row["outcome"], row["strength"])
    results: dict[str, dict[str, Any]] = {}  # most comparisons of a file have the same few votes
    rows = []
    for pk, tally in tallies.items():
        said = f"{tally.votes}{tally.strengths}"
        if said not in results:
            results[said] = _result(tally)
        rows.append({"comparison_id": pk, **results[said]})
    constants = {"project_id": project.pk, "method": "majority"}
    rows_insert(Resolution, rows, constants=constants, ignore_conflicts=False)
    if project.resolution_rule != ResolutionRule.MAJORITY:
        resolve_comparisons(tallies)


def _result(tally: Tally) -> dict[str, Any]:
    return {
        "outcome": tally.outcome,
        "p_a": tally.p_a,
        "strength": tally.strength,
        "is_disputed": tally.is_disputed,
        **{f"votes_{outcome.value}": tally.count(outcome.value) for outcome in LABEL_OUTCOMES},
    }


def _count_labels(added: Counter[int]) -> None:
    """Adds the votes to their comparisons: counts up, places down, done where enough have voted."""
    by_number: dict[int, list[int]] = {}
    for pk, number in added.items():
        by_number.setdefault(number, []).append(pk)
    for number, ids in sorted(by_number.items()):
        enough = Q(state=ComparisonState.OPEN, needed__lte=F("label_count") + number)
        Comparison.objects.filter(pk__in=ids).update(
            label_count=F("label_count") + number,
            open_slots=Greatest(F("open_slots") - number, Value(0)),
            state=Case(When(enough, then=Value(ComparisonState.DONE.value)), default=F("state")),
        )
