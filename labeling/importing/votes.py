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

SAID = (
    "comparison_id",
    "outcome",
    "strength",
    "labeler_id",
    "rationale",
    "duration_ms",
    "idempotency_key",
    "request_hash",
    "aspects",
    "aspect_strengths",
    "reasons",
    "spans",
)
RESULT = (
    "comparison_id",
    "outcome",
    "p_a",
    "strength",
    "is_disputed",
    *(f"votes_{outcome.value}" for outcome in LABEL_OUTCOMES),
)


def votes_record(*, project: Project, placed: PlacedRecords, margin_scale: float) -> int:
    """Records the votes that are new, and returns how many those are. Call inside a transaction.

    A labeler has one imported vote for a comparison: the first in file order counts, a repeated one is
    passed over. Comparisons that were there before are locked first, in id order, so that two imports at
    once count each vote and each settlement once; those that this transaction made nobody else can see.
    """
    if not placed.votes and not placed.adjudicated:
        return 0
    labelers = labelers_ensure(project, {vote.labeler for vote in placed.votes})
    known = _lock_and_read(placed, labelers)
    new = [
        vote
        for vote in placed.votes
        if (placed.comparison_ids[vote.pair], labelers[vote.labeler]) not in known
    ]
    said = [
        _said(vote, placed.comparison_ids[vote.pair], labelers[vote.labeler], margin_scale) for vote in new
    ]
    constants = {
        "project_id": project.pk,
        "source": PreferenceSource.IMPORT.value,
        "created_at": timezone.now(),
    }
    rows_insert(Preference, SAID, said, constants=constants)
    _settle_new(project, placed, zip(new, said, strict=True))
    added = Counter(placed.comparison_ids[vote.pair] for vote in new if vote.pair not in placed.new_pairs)
    _count_labels(added)
    resolve_comparisons(added)
    # One vote on a new comparison disagrees with nobody.
    votes = Counter(vote.pair for vote in new)
    several = [pair for pair, count in votes.items() if count > 1 or pair not in placed.new_pairs]
    disagreements_refresh(placed.comparison_ids[pair] for pair in several)
    return len(new)


def _lock_and_read(placed: PlacedRecords, labelers: dict[str, int]) -> set[tuple[int, int]]:
    """(comparison, labeler) pairs that have a preference already; the comparisons stay locked."""
    told = {vote.pair for vote in placed.votes} | placed.adjudicated.keys()
    ids = {placed.comparison_ids[pair] for pair in told - placed.new_pairs}
    if not ids:
        return set()
    list(
        Comparison.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk")
    )
    rows = Preference.objects.filter(comparison_id__in=ids, labeler_id__in=set(labelers.values())).order_by()
    return set(rows.values_list("comparison_id", "labeler_id"))


def _said(vote: PlacedVote, comparison_id: int, labeler_id: int, margin_scale: float) -> tuple[Any, ...]:
    """The values of a preference, in the order of `SAID`."""
    own, strength = vote.vote, vote.vote.strength
    if strength is None and own.margin is not None:
        strength = margin_strength(own.margin, margin_scale)
    if vote.outcome not in ("a", "b"):
        strength = None
    words = f"{vote.outcome}|{strength}|{own.duration_ms}|{own.rationale}"
    aspects: dict[str, str] = {}
    strengths: dict[str, int] | None = None
    if own.aspects:
        aspects, strengths = vote.aspects, dict(own.aspect_strengths) or None
        by_aspect = {"aspects": aspects, "aspect_strengths": strengths}
        words += orjson.dumps(by_aspect, option=orjson.OPT_SORT_KEYS).decode()
    if own.reasons or vote.spans:
        words += orjson.dumps([own.reasons, vote.spans]).decode()
    digest = hashlib.sha256(words.encode()).hexdigest()
    said = (
        comparison_id,
        vote.outcome,
        strength,
        labeler_id,
        own.rationale,
        own.duration_ms,
        vote.key,
        digest,
    )
    return *said, aspects, strengths, list(own.reasons), vote.spans or None


def _settle_new(
    project: Project, placed: PlacedRecords, votes: Iterable[tuple[PlacedVote, tuple[Any, ...]]]
) -> None:
    """Resolutions of comparisons that this transaction made. All their votes are at hand, so the tally is
    made here, by the majority that `Tally` holds, instead of being read back, as another rule needs it."""
    by_comparison: dict[int, list[tuple[str, int | None]]] = {}
    for vote, (comparison_id, outcome, strength, *_rest) in votes:
        if vote.pair in placed.new_pairs:
            by_comparison.setdefault(comparison_id, []).append((outcome, strength))
    settled: dict[tuple[tuple[str, int | None], ...], tuple[Any, ...]] = {}  # most have the same few votes
    rows = []
    for pk, said in by_comparison.items():
        same = tuple(said)
        if same not in settled:
            settled[same] = _result(same)
        rows.append((pk, *settled[same]))
    rows_insert(Resolution, RESULT, rows, constants={"project_id": project.pk, "method": "majority"})
    if project.resolution_rule != ResolutionRule.MAJORITY:
        resolve_comparisons(by_comparison)


def _result(said: Iterable[tuple[str, int | None]]) -> tuple[Any, ...]:
    """What these outcomes and strengths come to, in the order of `RESULT`."""
    tally = Tally()
    for outcome, strength in said:
        tally.add(outcome, strength)
    counts = (tally.count(outcome.value) for outcome in LABEL_OUTCOMES)
    return tally.outcome, tally.p_a, tally.strength, tally.is_disputed, *counts


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
