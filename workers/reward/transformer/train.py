"""From pairs to a plain Hugging Face folder, continuing what an earlier call left off."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..calibration import NOTHING, Calibration, calibrate
from ..config import FULL_RATE, TINY_BASES, TransformerConfig, config_to_dict
from ..draws import pair_draws
from ..errors import ConfigError, CorruptModelError, DataError
from ..folder import FORMAT, MODEL_CARD, atomic_folder, read_json, remove_leftovers, verify, write_json
from ..metrics import rated_accuracy
from ..seen import write_seen
from ..types import Callbacks, Pair, Quiet, TrainResult
from .adapters import Adapter, merge_adapters, read_adapter
from .batches import EncodedPair, encode_pairs
from .build import build_model, build_tokenizer, check_device, compile_layers, locate, position_limit
from .checkpoint import Progress, base_mark, best_folder, load_latest, load_weights
from .distributed import World, joined
from .heads import save_heads
from .inference import rate_rows
from .loop import Loop, make_optimizer, trained_parts
from .objective import Objective, save_aspects
from .packed import layout_of, use_trees
from .plan import VERSION as PLAN_VERSION
from .pooling import has_decoder_head, state_width
from .sharding import shard, unshard
from .template import ConversationEncoder

log = logging.getLogger(__name__)
RUN = "run.json"


@dataclass(slots=True)
class Splits:
    """Pairs by split; test pairs and pairs of weight 0 are only counted. ``prompts``: keys of all but test pairs'."""

    train: list[Pair]
    validation: list[Pair]
    counts: dict[str, int]
    prompts: set[str] = field(default_factory=set)


def sort_pairs(pairs: Iterable[Pair]) -> Splits:
    """Raises ``DataError`` when there is nothing to train on."""
    found = Splits([], [], {"ties": 0, "equal_texts": 0, "test_ignored": 0})
    for pair in pairs:
        if pair.split == "test":
            found.counts["test_ignored"] += 1
            continue
        found.prompts.add(pair.prompt_key)
        if pair.chosen == pair.rejected:
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
    settings = config_to_dict(replace(config, sequence_parallel=1))  # a run may go on over other processes
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
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
            pair.group_key,
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


@dataclass(slots=True)
class Prepared:
    """A run that is ready to go: its loop, all that is trained as one module, and, where that is sharded, the first
    process's whole ``copy`` of it. ``padded_because`` says why rows are not packed."""

    loop: Loop
    parts: nn.ModuleDict
    copy: nn.ModuleDict | None
    tokenizer: Any
    encoder: ConversationEncoder
    padded_because: str


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
    with joined(config) as (world, device):
        told = told if world.is_first else Quiet(told)  # the first alone reports
        run = _prepare(splits, config, work, told, world, device)
        run.loop.run()
        world.wait()  # the first process has written the best weights
        metrics = _finish(run, splits, out)
        world.wait()
    progress, seconds = run.loop.progress, time.monotonic() - run.loop.started
    read = {"layout": layout_of(run.loop.model), "padded_because": run.padded_because}
    return TrainResult(out, metrics, progress.best_step or progress.step, seconds, splits.counts, **read)


def _prepare(
    splits: Splits, config: TransformerConfig, work: Path, told: Callbacks, world: World, device: torch.device
) -> Prepared:
    mark = fingerprint(splits, config)
    if len(set(world.everyone(mark))) > 1:
        raise DataError("the processes of this run were given different pairs or settings")
    told.progress(0, 1, "prepare")
    check_device(config)
    with world.first_alone():
        if world.is_first:
            work.mkdir(parents=True, exist_ok=True)
            remove_leftovers(work)
        tokenizer = prepare_tokenizer(work, mark, config, locate(config, weights=False), splits.train)
        source = locate(config)  # what the settings and the template cannot be used with was refused by now
    model = build_model(config, source, tokenizer).to(device)
    encoder = ConversationEncoder(tokenizer, position_limit(model.config, config.max_length))
    padded_because = use_trees(model, encoder.max_length)
    if config.torch_compile:
        compile_layers(model)
    if padded_because and world.sequence > 1:
        raise ConfigError(f"sequence_parallel needs packed rows: {padded_because}")
    if config.base not in TINY_BASES and not config.lora_rank and config.learning_rate > FULL_RATE:
        log.warning(
            "learning_rate %g is high for all weights of a pretrained base; try 1e-5", config.learning_rate
        )
    log.info("rows are laid out as %s", f"rectangles: {padded_because}" if padded_because else "trees")
    train_rows, validation_rows = _encode(splits, config, encoder)
    objective = Objective(config, state_width(model))
    objective.start_from(train_rows)
    objective.adopt(Path(source))
    objective.ensemble(model, Path(source))
    objective.to(device)
    parts = trained_parts(model, objective)
    # A checkpoint's place means something under the same plan, and its weights over the same base, alone.
    place = f"{mark}-{layout_of(model)}{PLAN_VERSION}{base_mark(model)}"
    copy = shard(parts, world) if world.size > 1 else None
    optimizer = make_optimizer(model, objective, config)
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
        world=world,
    )
    return Prepared(loop, parts, copy, tokenizer, encoder, padded_because)


def _encode(
    splits: Splits, config: TransformerConfig, encoder: ConversationEncoder
) -> tuple[list[EncodedPair], list[EncodedPair]]:
    """The pairs of both splits as tokens; those cut are counted."""
    (train_rows, cut), (validation_rows, cut_too) = (
        encode_pairs(pairs, encoder, config.margin_scale, config.aspects)
        for pairs in (splits.train, splits.validation)
    )
    splits.counts["overlong"] = cut + cut_too
    draws = pair_draws(splits.train, config.heads, config.seed)  # (N, K)
    train_rows = [replace(row, draws=tuple(drawn)) for row, drawn in zip(train_rows, draws, strict=True)]
    return train_rows, validation_rows


def _finish(run: Prepared, splits: Splits, out: Path) -> dict[str, float]:
    """Write the best weights' folder and give their figures. All processes measure a sharded model; then the first
    takes it back, merges and writes."""
    loop, parts = run.loop, run.parts
    world, config = loop.world, loop.config
    if loop.progress.best_step:
        load_weights(parts, best_folder(loop.work, loop.progress.best_step))
    groups = [pair.group_key for pair in splits.validation]
    measured = _final_figures(loop, groups) if world.size > 1 else None
    if world.size > 1:
        unshard(parts, run.copy)
        parts = run.copy or parts
    model: Any = parts["model"]
    objective: Any = parts["objective"]
    if world.is_first:
        adapter = read_adapter(model, config.base) if config.lora_rank else None
        if adapter is not None:
            merge_adapters(model)
        measured = measured or _final_figures(loop, groups)
        card = _card(loop, run.encoder, *measured, splits.counts) | {"padded_because": run.padded_because}
        heads = {"aspects": objective.aspects, "heads": objective.heads}
        write_model(out, model, run.tokenizer, card, **heads, adapter=adapter, prompts=splits.prompts)
        shutil.rmtree(loop.work, ignore_errors=True)
        loop.told.metric(loop.progress.step, measured[1])
    assert measured is not None
    return measured[1]


def _card(
    loop: Loop,
    encoder: ConversationEncoder,
    calibration: Calibration,
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
        "temperature": calibration.temperature,
        "calibration": calibration.source | ({"also_chose": "the step"} if loop.progress.best_step else {}),
        "heads": loop.config.heads,
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


def _final_figures(loop: Loop, groups: list[str]) -> tuple[Calibration, dict[str, float]]:
    """Temperature and figures of the kept weights on the validation split, whose pairs have these ``groups``."""
    rows = loop.validation_pairs
    metrics = {
        "steps": float(loop.progress.step),
        "parameters": float(sum(p.numel() for p in loop.model.parameters())),
    }
    threshold = loop.objective.tie_threshold
    if threshold is not None:
        metrics |= {"tie_threshold": threshold, "tie_temperature": 1.0}
    if not rows:
        return NOTHING, metrics
    readers = [] if loop.objective.aspects is None else [loop.objective.aspects]
    sides = [side for row in rows for side in (row.chosen, row.rejected)]
    values = rate_rows(loop.model, readers, sides, loop.pad_id, loop.config.score_tokens, world=loop.world)
    differences = values[0::2].astype(np.float64) - values[1::2]  # (N, 1 + A)
    delta = differences[:, 0]
    p, weight, ties = (
        np.array([getattr(row, name) for row in rows]) for name in ("p_chosen", "weight", "p_tie")
    )
    found = calibrate(delta, p, weight, groups, seed=loop.config.seed, p_tie=ties, tie_threshold=threshold)
    return found, metrics | found.figures | _aspect_figures(loop.config.aspects, differences[:, 1:], rows)


def _aspect_figures(
    names: Sequence[str], differences: NDArray[np.float64], rows: Sequence[EncodedPair]
) -> dict[str, float]:
    """``rated_accuracy`` and its number of pairs for each aspect with such pairs; ``differences`` (N, A) of the
    predicted ratings."""
    figures: dict[str, float] = {}
    for column, name in enumerate(names):
        gap = [row.ratings[0][column] - row.ratings[1][column] for row in rows]
        share, pairs = rated_accuracy(differences[:, column], gap)
        if pairs:
            figures |= {f"aspect_accuracy_{name}": share, f"aspect_pairs_{name}": float(pairs)}
    return figures


def write_model(
    out: Path,
    model: Any,
    tokenizer: Any,
    card: dict[str, Any],
    *,
    aspects: nn.Linear | None = None,
    heads: nn.Linear | None = None,
    adapter: Adapter | None = None,
    prompts: Iterable[str] = (),
) -> None:
    """A plain Hugging Face folder plus card, manifest, hashes of the ``prompts`` (their keys) that were trained on and,
    in folders of their own, aspects, an ensemble's heads and an adapter (the model is then the merged one).

    ``problem_type`` = regression tells pipelines and vLLM that the one logit is the score itself, not
    something to put through a sigmoid.
    """
    model.config.problem_type = "regression"
    with atomic_folder(out) as folder:
        model.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
        write_json(folder / MODEL_CARD, card)
        write_seen(folder, prompts, base=card["base"])
        if aspects is not None:
            save_aspects(folder, aspects)
        if heads is not None:
            save_heads(folder, heads)
        if adapter is not None:
            adapter.save(folder)
