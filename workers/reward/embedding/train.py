"""Train a head on a frozen backbone: states once, C by grouped cross-validation, bootstrap heads, one temperature."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..config import EmbeddingConfig, config_to_dict
from ..folder import atomic_folder
from ..linear import calibrated, choose_regularisation, fit_heads, gather
from ..metrics import decided_accuracy
from ..seen import prompts_of, write_seen
from ..starter.solver import Design, Index
from ..transformer.packed import layout_of
from ..types import Callbacks, FloatArray, Pair, TrainResult
from .cache import EmbeddingCache
from .embed import find_backbone
from .model import EmbeddingModel

# A column that varies by less than this part of its size is weighed as if it varied so much: what bfloat16 and float32
# round away must not become a score.
LEAST_VARIATION = 0.01


def scaled_design(states: FloatArray, used: Index) -> Design:
    """Columns to fit on, of states (U, H): centred, each with deviation 1/√H, so that a row has about length 1
    whatever the backbone; ``used`` are the rows that the scale is taken from.

    The direction of the mean state is taken out: scores then have mean 0 over these rows, though the head that
    others load has no bias. It costs one of H directions.
    """
    x = states.astype(np.float64)
    mean, size = x[used].mean(axis=0), np.sqrt((x[used] ** 2).mean(axis=0))
    scale = np.maximum(x[used].std(axis=0), LEAST_VARIATION * size)
    scale[scale == 0.0] = np.inf
    factor = 1.0 / (scale * np.sqrt(x.shape[1]))  # (H,)
    level = mean * factor
    level /= max(float(np.linalg.norm(level)), 1e-30)
    rows = (x - mean) * factor
    rows -= np.outer(rows @ level, level)
    return Design(rows, lambda w: (w - (w @ level) * level) * factor)


def train_embedding(
    pairs: Iterable[Pair],
    config: EmbeddingConfig,
    out: Path,
    cache_dir: Path,
    *,
    callbacks: Callbacks | None = None,
) -> TrainResult:
    """Train and write the model folder. Deterministic for a seed and a device.

    States go into the cache at ``cache_dir`` as they are made, so a call after a stopped or killed one goes on from
    there, and a retraining computes those of new texts alone. Raises ``DataError``, ``ConfigError`` or ``Stopped``.
    """
    started, told, known = time.monotonic(), callbacks or Callbacks(), list(pairs)
    told.progress(0, 1, "prepare")
    rng = np.random.default_rng(config.seed)
    backbone = find_backbone(config, known)
    rows, data = gather(known, config, lambda pair, text: backbone.read(pair.messages, text))
    data.count_overlong([row.truncated for row in rows])
    cache = EmbeddingCache(cache_dir, backbone.space)
    states = backbone.states(rows, cache, callbacks=told)  # (U, H)
    cache.shrink()
    data.counts |= backbone.counts
    design = scaled_design(states, np.unique(np.concatenate([data.training.a, data.training.b])))
    choice = choose_regularisation(design, data, config, rng, told)
    main, heads = fit_heads(design, data, choice.c, config, rng, told)
    if config.heads == 1:
        heads = design.restore(main)[None]
    model = EmbeddingModel(backbone, heads.astype(np.float32))
    scores = (states @ model.weight).astype(np.float64)  # (U,)
    found = calibrated(scores, choice, data, config.seed)
    model.temperature = found.temperature
    trained = scores[data.training.a] - scores[data.training.b]
    metrics = {
        "c": choice.c,
        "temperature": found.temperature,
        "train_accuracy": decided_accuracy(trained, data.training.p),
        **{k: v for k, v in (("cv_accuracy", choice.accuracy), ("cv_log_loss", choice.log_loss)) if v == v},
        **found.figures,
    }
    model.details = {
        "base": config.base,
        "config": config_to_dict(config),
        "metrics": metrics,
        "counts": data.counts,
        "calibration": found.source,
    }
    with atomic_folder(out) as folder:
        model.write(folder)
        write_seen(folder, prompts_of(known), base=config.base)
    told.metric(len(config.regularisation), metrics)
    read = {"layout": layout_of(backbone.model), "padded_because": backbone.padded_because}
    return TrainResult(out, metrics, 0, time.monotonic() - started, data.counts, **read)
