"""From pairs to a plain Hugging Face folder, continuing what an earlier call left off."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..calibration import fit_temperature
from ..config import TransformerConfig, config_to_dict
from ..errors import CorruptModelError, DataError
from ..folder import FORMAT, MODEL_CARD, atomic_folder, read_json, remove_leftovers, verify, write_json
from ..metrics import credit, log_loss
from ..types import Callbacks, Pair, TrainResult
from .batches import EncodedPair, encode_pairs
from .build import build_model, build_tokenizer, locate, pick_device
from .checkpoint import Progress, best_folder, load_latest, load_weights
from .loop import Loop, make_optimizer, pair_differences, trained_parts
from .objective import Objective, save_aspects
from .packed import layout_of, use_trees
from .plan import VERSION as PLAN_VERSION
from .pooling import has_decoder_head, state_width
from .template import ConversationEncoder

log = logging.getLogger(__name__)
RUN = "run.json"


@dataclass(slots=True)
class Splits:
    """Pairs by split; test pairs and pairs of weight 0 are only counted."""

    train: list[Pair]
    validation: list[Pair]
    counts: dict[str, int]


def sort_pairs(pairs: Iterable[Pair]) -> Splits:
    """Raises ``DataError`` when there is nothing to train on."""
    found = Splits([], [], {"ties": 0, "equal_texts": 0, "test_ignored": 0})
    for pair in pairs:
        if pair.split == "test":
            found.counts["test_ignored"] += 1
        elif pair.chosen == pair.rejected:
            found.counts["equal_texts"] += 1
        elif pair.weight > 0:
            found.counts["ties"] += pair.is_tie
            (found.train if pair.split == "train" else found.validation).append(pair)
    if not found.train:
        raise DataError("there is no pair to train on")
    found.counts |= {"train": len(found.train), "validation": len(found.validation)}
    return found


def fingerprint(splits: Splits, config: TransformerConfig) -> str:
    """Hash of settings and data: a checkpoint of another run is never continued."""
    digest = hashlib.sha256(json.dumps(config_to_dict(config), sort_keys=True).encode())
    for pair in (*splits.train, *splits.validation):
        said = [
            pair.messages,
            pair.chosen,
            pair.rejected,
            pair.p_chosen,
            pair.strength,
            pair.weight,
            pair.split,
            pair.p_tie,
            sorted(pair.ratings_chosen.items()),
            sorted(pair.ratings_rejected.items()),
        ]
        digest.update(json.dumps(said, ensure_ascii=True).encode())
    return digest.hexdigest()[:32]


def prepare_tokenizer(
    work: Path, mark: str, config: TransformerConfig, source: str, pairs: list[Pair]
) -> Any:
    """The run's tokenizer, kept in ``work/base``, so that a resumed run reads the very same tokens."""
    from transformers import AutoTokenizer

    base = work / "base"
    try:
        verify(base)
        if read_json(base / RUN).get("fingerprint") == mark:
            return AutoTokenizer.from_pretrained(str(base))
    except CorruptModelError:
        pass  # a fresh start, or another run's remains: both are built anew below
    tokenizer = build_tokenizer(config, source, pairs)
    with atomic_folder(base) as folder:
        tokenizer.save_pretrained(str(folder))
        write_json(folder / RUN, {"fingerprint": mark})
    return AutoTokenizer.from_pretrained(str(base))


def length_limit(model: nn.Module, wanted: int) -> int:
    """``wanted``, or what the model's positions allow. Encoders of the RoBERTa kind start counting at 2."""
    config: Any = model.config
    positions = getattr(config.get_text_config(), "max_position_embeddings", None) or wanted
    offset = 2 if str(getattr(config, "model_type", "")).endswith("roberta") else 0
    return min(wanted, positions - offset)


def train_transformer(
    pairs: Iterable[Pair],
    config: TransformerConfig,
    out: Path,
    work: Path,
    *,
    callbacks: Callbacks | None = None,
) -> TrainResult:
    """Train, keep the best weights by validation loss, write ``out``, remove ``work``. See ``api.train``."""
    told, splits = callbacks or Callbacks(), sort_pairs(pairs)
    mark = fingerprint(splits, config)
    work.mkdir(parents=True, exist_ok=True)
    remove_leftovers(work)
    told.progress(0, 1, "prepare")
    source = locate(config)
    tokenizer = prepare_tokenizer(work, mark, config, source, splits.train)
    model = build_model(config, source, tokenizer).to(pick_device(config.device))
    encoder = ConversationEncoder(tokenizer, length_limit(model, config.max_length))
    padded_because = use_trees(model, encoder.max_length)
    log.info("rows are laid out as %s", f"rectangles: {padded_because}" if padded_because else "trees")
    train_rows, overlong = encode_pairs(splits.train, encoder, config.margin_scale, config.aspects)
    validation_rows, overlong_too = encode_pairs(
        splits.validation, encoder, config.margin_scale, config.aspects
    )
    splits.counts["overlong"] = overlong + overlong_too
    objective = Objective(config, state_width(model))
    objective.start_from(train_rows)
    objective.adopt(Path(source))
    objective.to(next(model.parameters()).device)
    parts = trained_parts(model, objective)
    optimizer = make_optimizer(model, objective, config)
    # A checkpoint's place means something under the same plan alone.
    place = f"{mark}-{layout_of(model)}{PLAN_VERSION}"
    found, skipped = load_latest(work, place, parts, optimizer)
    for line in skipped:
        log.warning("checkpoint skipped: %s", line)
    loop = Loop(
        model=model,
        objective=objective,
        optimizer=optimizer,
        train_pairs=train_rows,
        validation_pairs=validation_rows,
        config=config,
        progress=found or Progress(place),
        pad_id=tokenizer.pad_token_id,
        work=work,
        told=told,
    )
    loop.run()
    if loop.progress.best_step:
        load_weights(parts, best_folder(work, loop.progress.best_step))
    temperature, metrics = _final_figures(loop, validation_rows)
    card = _card(loop, encoder, temperature, metrics, splits.counts) | {"padded_because": padded_because}
    write_model(out, model, tokenizer, card, objective.aspects)
    shutil.rmtree(work, ignore_errors=True)
    told.metric(loop.progress.step, metrics)
    seconds = time.monotonic() - loop.started
    return TrainResult(out, metrics, card["best_step"], seconds, splits.counts)


def _card(
    loop: Loop,
    encoder: ConversationEncoder,
    temperature: float,
    metrics: dict[str, float],
    counts: dict[str, int],
) -> dict[str, Any]:
    """What the model's folder says of it."""
    return {
        "format": FORMAT,
        "kind": "transformer",
        "base": loop.config.base,
        "template_hash": encoder.template_hash,
        "max_length": encoder.max_length,
        "temperature": temperature,
        "tie_threshold": loop.objective.tie_threshold,
        "tie_temperature": metrics.get("tie_temperature"),
        "aspects": list(loop.config.aspects),
        "pooling": "last_real_token" if has_decoder_head(loop.model) else "own_pooler",
        "layout": layout_of(loop.model),
        "config": config_to_dict(loop.config),
        "metrics": metrics,
        "counts": counts,
        "steps": loop.progress.step,
        "best_step": loop.progress.best_step or loop.progress.step,
    }


def _final_figures(loop: Loop, rows: list[EncodedPair]) -> tuple[float, dict[str, float]]:
    """Temperature and figures of the kept weights on the validation split."""
    metrics = {
        "steps": float(loop.progress.step),
        "parameters": float(sum(p.numel() for p in loop.model.parameters())),
    }
    threshold = loop.objective.tie_threshold
    if threshold is not None:
        metrics |= {"tie_threshold": threshold, "tie_temperature": 1.0}
    if not rows:
        return 1.0, metrics
    delta = pair_differences(loop.model, rows, loop.pad_id, loop.config.score_tokens)
    p = np.array([row.p_chosen for row in rows])
    weight, ties = np.array([row.weight for row in rows]), np.array([row.p_tie for row in rows])
    temperature = fit_temperature(delta, p, weight)
    if threshold is not None:
        found = fit_temperature(delta, p, weight, p_tie=ties, tie_threshold=threshold)
        metrics["tie_temperature"] = found
        metrics["validation_outcome_log_loss"] = log_loss(
            delta, p, found, p_tie=ties, tie_threshold=threshold
        )
    decided = p != 0.5
    metrics["temperature"] = temperature
    metrics["validation_log_loss"] = log_loss(delta, p, temperature)
    metrics["validation_accuracy"] = float(credit(delta, p)[decided].mean()) if decided.any() else 0.5
    return temperature, metrics


def write_model(
    out: Path, model: Any, tokenizer: Any, card: dict[str, Any], aspects: nn.Linear | None = None
) -> None:
    """A plain Hugging Face folder plus card, manifest and, in a folder of their own, the aspect heads.

    ``problem_type`` = regression tells pipelines and vLLM that the one logit is the score itself, not
    something to put through a sigmoid.
    """
    model.config.problem_type = "regression"
    with atomic_folder(out) as folder:
        model.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
        write_json(folder / MODEL_CARD, card)
        if aspects is not None:
            save_aspects(folder, aspects)
