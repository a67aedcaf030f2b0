"""Accuracy on groups never seen, over all of them: each group is scored by a model trained without it.

One held-out split of few groups says more about those groups than about the model (on eleven debates, single ones
range over twenty points). Here every group is held out once and the scores are pooled, so the figure stands beside
the baselines of the whole data. Everything a training chooses (regularisation, temperature) it chooses on its own
training groups. Cost: one training for each fold.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .api import open_reward_model, train
from .config import Config, StarterConfig
from .errors import DataError
from .evaluate import Evaluation, evaluate
from .types import Callbacks, Item, Pair

MIN_GROUPS = 3
# With so many folds or fewer a starter might be left with too few groups to cross-validate on.
SELF_CALIBRATING_FOLDS = 4


def fold_of_groups(pairs: Sequence[Pair], folds: int) -> dict[str, int]:
    """Fold of each group: the largest groups first, each into the emptiest fold; equal ones by hash."""
    sizes: dict[str, int] = {}
    for pair in pairs:
        sizes[pair.group_key] = sizes.get(pair.group_key, 0) + 1
    order = sorted(sizes, key=lambda g: (-sizes[g], hashlib.sha256(g.encode("utf-8", "replace")).hexdigest()))
    filled = [0] * min(folds, len(sizes))
    fold = {}
    for group in order:
        fold[group] = filled.index(min(filled))
        filled[fold[group]] += sizes[group]
    return fold


def cross_validate(
    kind: str, pairs: Sequence[Pair], config: Config, *, folds: int = 10, callbacks: Callbacks | None = None
) -> Evaluation:
    """Pooled evaluation of ``pairs`` (their own splits are ignored) with groups held out in turn.

    The next fold's groups serve as validation, except for a starter with enough of them: that calibrates itself on its
    own cross-validation. Raises ``DataError`` with fewer than three groups.
    """
    told = callbacks or Callbacks()
    fold = fold_of_groups(pairs, folds)
    count = max(fold.values(), default=-1) + 1
    if count < MIN_GROUPS:
        raise DataError(f"cross-validation needs at least {MIN_GROUPS} groups, found {len(fold)}")
    if isinstance(config, StarterConfig):
        config = dataclasses.replace(config, heads=1)  # uncertainty is not asked for here
    lends_validation = not isinstance(config, StarterConfig) or count <= SELF_CALIBRATING_FOLDS
    chosen, rejected = np.zeros(len(pairs)), np.zeros(len(pairs))
    for held_out in range(count):
        told.progress(held_out, count, "cross_validate")
        rows = [i for i, pair in enumerate(pairs) if fold[pair.group_key] == held_out]
        split = {held_out: "test"} | ({(held_out + 1) % count: "validation"} if lends_validation else {})
        training = [
            dataclasses.replace(pair, split=split.get(fold[pair.group_key], "train")) for pair in pairs
        ]
        chosen[rows], rejected[rows] = _held_out_scores(kind, training, [pairs[i] for i in rows], config)
    told.progress(count, count, "cross_validate")
    return evaluate(chosen, rejected, pairs)


def _held_out_scores(
    kind: str, training: Sequence[Pair], test: Sequence[Pair], config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated scores (score over temperature) of both sides, each (N,); each distinct response scored once."""
    places: dict[tuple[str, str], int] = {}
    items: list[Item] = []
    for pair in test:
        for text in (pair.chosen, pair.rejected):
            if (pair.prompt_key, text) not in places:
                places[pair.prompt_key, text] = len(items)
                items.append(Item(str(len(items)), pair.messages, text))
    with tempfile.TemporaryDirectory() as folder:
        scorer = open_reward_model(train(kind, training, config, Path(folder) / "model").path)
        value = scorer.score(items).value / scorer.temperature
    chosen = np.array([places[pair.prompt_key, pair.chosen] for pair in test])
    rejected = np.array([places[pair.prompt_key, pair.rejected] for pair in test])
    return value[chosen], value[rejected]
