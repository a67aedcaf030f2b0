"""Train the starter: features once, C by grouped cross-validation, bootstrap heads, one temperature."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..config import StarterConfig, config_to_dict
from ..folder import atomic_folder
from ..linear import Dataset, calibrated, check, choose_regularisation, fit_heads, gather
from ..metrics import decided_accuracy
from ..seen import prompts_of, write_seen
from ..types import Callbacks, Pair, TrainResult
from .features import FeatureSpec, featurise
from .model import StarterModel
from .solver import compress


def collect(pairs: Iterable[Pair], config: StarterConfig) -> tuple[list[str], Dataset]:
    """Distinct texts, and the pairs over them, with those counted whose text is cut. See ``gather``."""
    texts, data = gather(pairs, config, lambda _pair, text: text)
    data.count_overlong([len(text) > config.max_chars for text in texts])
    return texts, data


def train_starter(
    pairs: Iterable[Pair], config: StarterConfig, out_dir: Path, *, callbacks: Callbacks | None = None
) -> TrainResult:
    """Train and write the model folder. Deterministic for a seed. Raises ``DataError`` or ``Stopped``."""
    started, told = time.monotonic(), callbacks or Callbacks()
    rng = np.random.default_rng(config.seed)
    known = list(pairs)
    texts, data = collect(known, config)
    spec = FeatureSpec(hash_bits=config.hash_bits, max_chars=config.max_chars)
    told.progress(0, 1, "features")
    features = featurise(texts, spec)
    check(told)
    design = compress(features)
    choice = choose_regularisation(design, data, config, rng, told)
    main, heads = fit_heads(design, data, choice.c, config, rng, told)
    scores = design.rows @ main  # (U,)
    found = calibrated(scores, choice, data, config.seed)
    weight = design.restore(main).astype(np.float32)
    model = StarterModel(spec, weight, heads.astype(np.float32), found.temperature)
    trained = scores[data.training.a] - scores[data.training.b]
    metrics = {
        "c": choice.c,
        "temperature": found.temperature,
        "train_accuracy": decided_accuracy(trained, data.training.p),
        **{k: v for k, v in (("cv_accuracy", choice.accuracy), ("cv_log_loss", choice.log_loss)) if v == v},
        **found.figures,
    }
    model.details = {
        "config": config_to_dict(config),
        "metrics": metrics,
        "counts": data.counts,
        "calibration": found.source,
    }
    with atomic_folder(out_dir) as folder:
        model.write(folder)
        write_seen(folder, prompts_of(known))
    told.metric(len(config.regularisation), metrics)
    return TrainResult(out_dir, metrics, 0, time.monotonic() - started, data.counts)
