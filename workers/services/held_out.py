"""Held-out pairs: streamed from a run's snapshot, scored a few at a time, and kept apart from what a model was
trained on.

Texts are read as often as they are needed and never all held: in memory stay some numbers for each pair and a
hash for each distinct response, whatever the length of the texts.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from labeling.models import Snapshot
from labeling.snapshots import SnapshotError, read_snapshot
from workers.models import RewardModel
from workers.pairs import row_to_pair
from workers.reward.compare import PairScores
from workers.reward.errors import DataError
from workers.reward.scorers import Scorer
from workers.reward.types import Callbacks, Item, Pair, PairScorer
from workers.services.training import FOLDER_SETTINGS
from workers.services.verdicts import judge_trained_on

# Responses, or characters of them, that are scored at a time.
SCORE_ITEMS = 2048
SCORE_CHARACTERS = 8_000_000


@dataclass
class Sides:
    """Of the pairs that were read: their comparisons, and whether response a is the `chosen` one (1) or b (0)."""

    comparisons: array[int] = field(default_factory=lambda: array("q"))
    a_first: array[int] = field(default_factory=lambda: array("B"))


def held_out(
    snapshot: Snapshot, *, without: Collection[str] = (), sides: Sides | None = None
) -> Iterator[Pair]:
    """The pairs of the test split, but for the groups `without`; streamed. `sides` is filled on the way."""
    for row in read_snapshot(snapshot, splits=("test",)):
        if row.group not in without:
            pair = row_to_pair(row)
            if sides is not None:
                sides.comparisons.append(row.comparison_id)
                sides.a_first.append(pair.chosen == row.response_a)
            yield pair


def seen_groups(snapshot: Snapshot, models: Iterable[RewardModel]) -> set[str]:
    """Groups of the snapshot's test split of which one of these models, or the judge whose verdicts it is, was trained
    on a prompt. Raises SnapshotError for a file that cannot be read, and for a snapshot that is gone."""
    return _groups_in(snapshot, [s for model in models for s in (model.snapshot, *judge_trained_on(model))])


def _groups_in(snapshot: Snapshot, sources: Collection[Snapshot]) -> set[str]:
    """Groups of the snapshot's test split of which a source has a prompt to train on.

    Validation rows count as training: they choose settings, the best step and the temperature. A prompt is
    looked for by itself, since another snapshot may have grouped it otherwise; and where both group by the
    same key, by its group, since a prompt beside it gives as much away.
    """
    if not sources:
        return set()
    rows = read_snapshot(snapshot, splits=("test",), columns=("prompt_id", "group"))
    group_of = {row.prompt_id: row.group for row in rows}
    groups = set(group_of.values())
    seen: set[str] = set()
    for trained_on in {source.pk: source for source in sources}.values():
        same_key = trained_on.config.get("group_key") == snapshot.config.get("group_key")
        for row in read_snapshot(trained_on, splits=("train", "validation"), columns=("prompt_id", "group")):
            if row.prompt_id in group_of:
                seen.add(group_of[row.prompt_id])
            if same_key and row.group in groups:
                seen.add(row.group)
    return seen


def lineage(model: RewardModel) -> list[RewardModel]:
    """The model, and the models of its project whose folders its settings name (a base, a scorer's model or
    reference), theirs, and so on: what they were trained on it has seen, too."""
    others = list(RewardModel.objects.filter(project_id=model.project_id).select_related("snapshot"))
    line = [model]
    for one in line:  # which grows
        named = [Path(one.config[key]).resolve() for key in FOLDER_SETTINGS if one.config.get(key)]
        line += [
            other
            for other in others
            if other not in line and any(path.is_relative_to(other.folder.resolve()) for path in named)
        ]
    return line


def seen_before(snapshot: Snapshot, model: RewardModel) -> tuple[set[str], list[dict[str, object]]]:
    """Held-out groups that the models it went on from, or its judge, were trained on; its own training left them out.

    And a remark for the decision where the training data of one of them cannot be read.
    """
    seen: set[str] = set()
    remarks: list[dict[str, object]] = []
    for one in lineage(model):
        try:
            own = [] if one == model else [one.snapshot]
            seen |= _groups_in(snapshot, [*own, *judge_trained_on(one)])
        except SnapshotError as error:
            remarks = [{"code": "base_data_unreadable", "passed": True, "detail": str(error)}]
    return seen, remarks


def seen_by_champion(snapshot: Snapshot, champion: RewardModel) -> tuple[set[str], list[dict[str, object]]]:
    """Held-out groups that the champion was trained on, and a reason for the decision where there are any.

    Other fractions, another seed or group key, or prompts held out since give it such pairs: it would look
    better on them than it is.
    """
    try:
        seen = seen_groups(snapshot, lineage(champion))
    except SnapshotError as error:
        return set(), [{"code": "champion_data_unreadable", "passed": True, "detail": str(error)}]
    rows = read_snapshot(snapshot, splits=("test",), columns=("group",))
    left_out = sum(row.group in seen for row in rows) if seen else 0
    return seen, [{"code": "seen_by_champion", "passed": True, "n": left_out}] if left_out else []


def score_pairs(scorer: Scorer, pairs: Iterable[Pair], *, callbacks: Callbacks | None = None) -> PairScores:
    """Scores of both sides, each (N,). A response that stands in many pairs is scored once.

    A scorer that compares is asked about each pair: the difference stands for `chosen`, 0 for `rejected`; NaN for both
    where it has no verdict. Raises DataError for scores of responses that are not finite.
    """
    if isinstance(scorer, PairScorer):
        return _compare_pairs(scorer, pairs, callbacks=callbacks)
    places: dict[bytes, int] = {}
    value, chosen, rejected = array("d"), array("q"), array("q")
    waiting: list[Item] = []
    characters = 0

    def score_waiting() -> None:
        if waiting:
            value.extend(scorer.score(waiting, callbacks=callbacks).value.astype(np.float64))
            waiting.clear()

    for pair in pairs:
        prompt = pair.prompt_key
        for text, column in ((pair.chosen, chosen), (pair.rejected, rejected)):
            known = hashlib.sha256(f"{prompt}\0{text}".encode("utf-8", "surrogatepass")).digest()
            place = places.setdefault(known, len(places))
            column.append(place)
            if place == len(value) + len(waiting):
                waiting.append(Item(str(place), pair.messages, text))
                characters += len(text) + sum(len(message.content) for message in pair.messages)
        if len(waiting) >= SCORE_ITEMS or characters >= SCORE_CHARACTERS:
            score_waiting()
            characters = 0
    score_waiting()
    scores = np.array(value, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise DataError("scores must be finite")
    return PairScores(
        scores[np.array(chosen, dtype=np.int64)],
        scores[np.array(rejected, dtype=np.int64)],
        scorer.temperature,
    )


def _compare_pairs(scorer: PairScorer, pairs: Iterable[Pair], *, callbacks: Callbacks | None) -> PairScores:
    found = array("d")
    waiting: list[Pair] = []
    characters = 0
    for pair in pairs:
        waiting.append(pair)
        characters += len(pair.chosen) + len(pair.rejected)
        if 2 * len(waiting) >= SCORE_ITEMS or characters >= SCORE_CHARACTERS:
            found.extend(scorer.difference(waiting, callbacks=callbacks))
            waiting, characters = [], 0
    if waiting:
        found.extend(scorer.difference(waiting, callbacks=callbacks))
    difference = np.array(found, dtype=np.float64)
    return PairScores(difference, np.where(np.isnan(difference), np.nan, 0.0), scorer.temperature)
