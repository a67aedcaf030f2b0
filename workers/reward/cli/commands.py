"""The commands. Each takes its arguments and returns what to show, as text and as plain values."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api import open_reward_model, preview_pairs
from ..api import train as train_model
from ..compare import gate
from ..config import TransformerConfig
from ..errors import ConfigError, DataError
from ..files import read_pairs
from ..folder import MANIFEST, MODEL_CARD, hash_file
from ..measure import Scorer, compare_measured, evaluate_measured, measure, write_report
from ..rewardbench import read_rewardbench, score_questions
from ..rewardbench import rewardbench as benchmark
from ..scorers import ScorerSpec, open_scorer, spec_to_dict
from ..scorers.folder import open_written
from ..seen import read_seen, unseen
from ..simulate import SimulationConfig
from ..simulate import simulate as run_simulation
from ..tensorboard import TensorBoard
from ..types import Callbacks, Pair, RewardScorer, TrainResult
from .console import comparison_text, evaluation_text, rewardbench_text
from .settings import RunSettings, read_settings, read_spec

WORDS = ("random", "longest")
# Of the processes that a launcher started, one evaluates and reports.
IS_FIRST = os.environ.get("RANK", "0") == "0"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found."""

    text: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """A scorer, its sealed folder if it has one, and the identity that its scores name."""

    scorer: Scorer
    folder: Path | None
    identity: str
    # Keys of the prompts that it was trained on; None where its folder does not say.
    seen: set[str] | None = field(default_factory=set)


def _open(name: str, *, engine: str = "transformers") -> Opened:
    """A model folder, a scorer's file or a word. A file that stands in the folder by that name goes first."""
    place = Path(name)
    if place.is_dir():
        if not (place / MODEL_CARD).is_file():
            raise ConfigError(f"{name} holds no {MODEL_CARD}: it is no folder that this library wrote")
        scorer = open_written(place) or open_reward_model(place, engine=engine)
        return Opened(scorer, place, hash_file(place / MANIFEST), read_seen(place))
    if place.is_file():
        spec = read_spec(place)
    elif name in WORDS:
        spec = ScorerSpec(name)  # type: ignore[arg-type]
    else:
        raise ConfigError(f"there is no model folder or scorer's file {name}")
    identity = hashlib.sha256(json.dumps(spec_to_dict(spec), sort_keys=True).encode()).hexdigest()
    return Opened(open_scorer(spec), None, identity)


def _read(asked: argparse.Namespace) -> Iterator[Pair]:
    """Pairs of the files that were named, as the arguments say to read them."""
    keys = dict(given.partition("=")[::2] for given in asked.key)
    if not all(keys.values()):
        raise ConfigError("--key needs two names: --key prompt=question")
    if not 0 < asked.margin_scale < math.inf:
        raise ConfigError("--margin-scale must be the largest margin, above 0")
    for path in asked.data:
        yield from read_pairs(path, keys=keys, margin_scale=asked.margin_scale)


def _pairs(asked: argparse.Namespace) -> list[Pair]:
    found = [pair for pair in _read(asked) if asked.split is None or pair.split == asked.split]
    if not found:
        which = f" of the split {asked.split}" if asked.split else ""
        raise DataError(f"{', '.join(asked.data)}: there is no pair{which}")
    return found


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The pairs to evaluate on, ``given`` at first, of which ``seen`` have prompts that a model was trained on;
    ``untold`` names the folders that do not say which those are."""

    pairs: list[Pair]
    given: int
    seen: int
    untold: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "seen_pairs": self.seen,
            "seen_left_out": self.given - len(self.pairs),
            "seen_unknown": self.untold,
        }

    def __str__(self) -> str:
        lines = [
            f"{name} does not say which prompts it was trained on: pairs with these flatter it"
            for name in self.untold
        ]
        of = f"{self.seen:,} of {self.given:,} pairs"
        if self.given > len(self.pairs):
            lines.append(f"{of} were left out: their prompts were trained on (--seen takes them in)")
        elif self.seen:
            lines.append(f"{of} have prompts that were trained on, which flatters the figures")
        return "".join(f"\n\n{line}" for line in lines)


def _held_out(pairs: list[Pair], opened: Sequence[Opened], *, with_seen: bool = False) -> HeldOut:
    """Pairs without those whose prompts a model was trained on, or all of them. Raises ``DataError`` where none is
    left."""
    kept = unseen(pairs, [one.seen for one in opened])
    if pairs and not kept and not with_seen:
        raise DataError(
            f"the prompts of all {len(pairs):,} pairs were trained on; --seen evaluates on them all the same"
        )
    untold = [one.folder.name for one in opened if one.folder is not None and one.seen is None]
    return HeldOut(pairs if with_seen else kept, len(pairs), len(pairs) - len(kept), untold)


def _data_name(asked: argparse.Namespace) -> str:
    """What a report is kept under: each file's name and the start of its hash, the split, and ``--seen``."""
    files = [f"{Path(path).name} {hash_file(Path(path))[:8]}" for path in asked.data]
    how = [asked.split] if asked.split else []
    return ", ".join([*files, *how, *(["seen prompts too"] if asked.seen else [])])


def _options(asked: argparse.Namespace) -> dict[str, Any]:
    if not 1 <= asked.resamples <= 1_000_000:
        raise ConfigError("--resamples must lie in 1..1,000,000")
    return {"cluster_by": asked.cluster_by, "resamples": asked.resamples}


def train(asked: argparse.Namespace, told: Callbacks) -> Result:
    """Train, then evaluate on the test split where there is one, and keep the report beside the folder."""
    settings = read_settings(asked.config)
    if asked.tensorboard and IS_FIRST:
        told = TensorBoard(asked.tensorboard, told)
    result = train_model(settings.kind, settings.pairs(), settings.config, settings.out, callbacks=told)
    values: dict[str, Any] = {"kind": settings.kind, **result.as_dict(), "evaluation": None}
    if not IS_FIRST:
        return Result("", values)
    counts = ", ".join(f"{name} {count:,}" for name, count in result.counts.items())
    text = f"{settings.kind} in {settings.out} after {result.seconds:.1f} s ({counts}){_laid_out(result)}"
    held_out = [pair for pair in settings.pairs() if pair.split == "test"]
    if not held_out:
        return Result(text + "\n\nno test split: nothing was evaluated", values)
    opened = _open(str(settings.out))
    test = _held_out(held_out, [opened], with_seen=all(p.prompt_key in (opened.seen or ()) for p in held_out))
    found = measure(opened.scorer, test.pairs, callbacks=told)
    report = evaluate_measured(found, test.pairs)
    kept = write_report(settings.out, "test split", report.as_dict())
    values |= {"evaluation": report.as_dict(), "evaluation_path": str(kept), **test.as_dict()}
    return Result(f"{text}\n\ntest split: {evaluation_text(report)}{test}", values)


def _laid_out(result: TrainResult) -> str:
    """How rows were read, for people; nothing of a model that reads no tokens."""
    if result.padded_because:
        return f"\nrows were padded: {result.padded_because}"
    return "\nrows were packed: each prompt was read once, without padding" if result.layout else ""


def evaluate(asked: argparse.Namespace, told: Callbacks) -> Result:
    """Evaluate; a model folder keeps the report beside it."""
    options = _options(asked)
    opened = _open(asked.model)
    test = _held_out(_pairs(asked), [opened], with_seen=asked.seen)
    found = measure(opened.scorer, test.pairs, callbacks=told)
    report = evaluate_measured(found, test.pairs, **options)
    values: dict[str, Any] = {
        "kind": opened.scorer.kind,
        "responses": found.responses,
        "truncated": found.truncated,
        **test.as_dict(),
        **report.as_dict(),
    }
    if opened.folder is not None:
        values["evaluation_path"] = str(write_report(opened.folder, _data_name(asked), report.as_dict()))
    cut = f"\n\n{found.truncated:,} of {found.responses:,} responses were cut" if found.truncated else ""
    return Result(f"{evaluation_text(report)}{cut}{test}", values)


def compare(asked: argparse.Namespace, told: Callbacks) -> Result:
    """Compare two scorers on the same pairs, and say what the gate would."""
    options = _options(asked)
    opened = [_open(name) for name in (asked.candidate, asked.champion)]
    test = _held_out(_pairs(asked), opened, with_seen=asked.seen)
    ours, theirs = (measure(one.scorer, test.pairs, callbacks=told) for one in opened)
    found = compare_measured(ours, theirs, test.pairs, **options)
    verdict = gate(found)
    values = {**test.as_dict(), **found.as_dict(), "gate": verdict.as_dict()}
    return Result(f"{comparison_text(found, verdict)}{test}", values)


def score(asked: argparse.Namespace, told: Callbacks) -> Result:
    """Score a file of responses."""
    from ..scoring import score_file

    opened = _open(asked.model, engine=asked.engine)
    if not isinstance(opened.scorer, RewardScorer):
        raise ConfigError(f"a {opened.scorer.kind} scorer compares pairs; it has no score for one response")
    done = score_file(
        opened.scorer,
        asked.data,
        asked.target,
        model=opened.identity,
        version=Path(asked.model).name,
        on_error=asked.on_error,
        callbacks=told,
    )
    values = {
        "path": str(done.path),
        "rows": done.rows,
        "scored": done.scored,
        "skipped": done.skipped,
        "truncated": done.truncated,
        "errors": list(done.errors),
    }
    text = (
        f"{done.rows:,} scores in {done.path} ({done.scored:,} made now, {done.truncated:,} of cut responses)"
    )
    return Result("\n".join([text, *done.errors]), values)


def rewardbench(asked: argparse.Namespace, told: Callbacks) -> Result:
    """RewardBench 1 or 2, by the files' layout."""
    questions = read_rewardbench(asked.data)  # names are checked before anything is scored
    opened = _open(asked.model)
    found = benchmark(questions, score_questions(opened.scorer, questions, callbacks=told))
    values = {"kind": opened.scorer.kind, **found.as_dict()}
    if opened.folder is not None:
        path = write_report(opened.folder, f"RewardBench {found.version}", found.as_dict())
        values["evaluation_path"] = str(path)
    return Result(rewardbench_text(found), values)


def simulate(asked: argparse.Namespace, told: Callbacks) -> Result:
    """What each order of labeling would have saved on labeled pairs."""
    pairs = list(_read(asked))
    sizes = tuple(asked.labels) or _label_counts(sum(p.chosen != p.rejected and p.weight > 0 for p in pairs))
    config = SimulationConfig(
        seeds=tuple(range(asked.seeds)), sizes=sizes, strategies=tuple(asked.strategy), reference=sizes[-1]
    )
    found = run_simulation(pairs, config, callbacks=told)
    return Result(found.table(), found.as_dict())


def _label_counts(pairs: int) -> tuple[int, ...]:
    """The usual numbers of labels, or ten even steps where there are few pairs, up to 0.6 of them: the pool is what the
    held-out groups leave."""
    most = int(0.6 * pairs)
    usual = tuple(size for size in SimulationConfig().sizes if size <= most)
    steps = usual if len(usual) >= 6 else tuple(sorted({most * i // 10 for i in range(1, 11)} - {0}))
    if not steps:
        raise DataError(f"{pairs} pairs are too few to simulate on")
    return steps


def _needs_transformer(settings: RunSettings) -> TransformerConfig:
    if not isinstance(settings.config, TransformerConfig):
        raise ConfigError(f"kind {settings.kind} has no batches of tokens; only a transformer has")
    return settings.config


def plan(asked: argparse.Namespace, told: Callbacks) -> Result:
    """The first epoch's batches of a run, printed and not trained on."""
    settings = read_settings(asked.config)
    config = _needs_transformer(settings)
    from ..transformer.batches import encode_pairs
    from ..transformer.build import (
        build_model,
        build_tokenizer,
        check_device,
        locate,
        pick_device,
        position_limit,
    )
    from ..transformer.packed import layout_of, use_trees
    from ..transformer.plan import plan_pairs
    from ..transformer.template import ConversationEncoder
    from ..transformer.train import sort_pairs

    splits = sort_pairs(settings.pairs())
    check_device(config)
    tokenizer = build_tokenizer(config, locate(config, weights=False), splits.train)
    model = build_model(config, locate(config), tokenizer).to(pick_device(config.device))
    encoder = ConversationEncoder(tokenizer, position_limit(model.config, config.max_length))
    because = use_trees(model, encoder.max_length)
    rows, overlong = encode_pairs(splits.train, encoder, config.margin_scale, config.aspects)
    made = plan_pairs(rows, config.batch_tokens, config.seed, 0, layout_of(model))
    steps = -(-len(made.batches) // config.accumulate)
    values = {
        "layout": made.layout,
        "padded_because": because,
        "pairs": len(rows),
        "batches": len(made.batches),
        "steps_per_epoch": steps,
        "tokens_computed": made.computed,
        "tokens_read": made.read,
        "tokens_padded": made.padded,
        "saved": made.saved,
        "overlong": overlong,
        "counts": splits.counts,
    }
    text = f"{made}\n{steps:,} steps an epoch, {made.saved:.0%} of the padded tokens saved, {overlong:,} pairs cut"
    return Result(text + (f"\npadded because {because}" if because else ""), values)


def preview(asked: argparse.Namespace, told: Callbacks) -> Result:
    """Text and tokens of the first pairs, as a model reads them. No weights are read."""
    place = Path(asked.source)
    source: Any = place
    pairs, training = _read(asked), iter(list[Pair]())
    if not place.is_dir():
        settings = read_settings(place)
        source, training = settings.config, settings.pairs()
        if not asked.data:
            pairs = settings.pairs()
    elif not asked.data:
        raise ConfigError("preview of a model folder needs a file of pairs")
    shown: list[dict[str, Any]] = []
    texts = []
    first = itertools.islice(pairs, max(1, asked.n))
    for pair, side, found in preview_pairs(source, first, training=training):
        shown.append({"pair": pair.pair_id, "side": side, **found.as_dict()})
        texts.append(f"{pair.pair_id}, {side}\n{found}")
    if not shown:
        raise DataError("there is no pair to preview")
    return Result("\n\n".join(texts), {"previews": shown})
