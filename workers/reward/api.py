"""The two doors: train a model, open a model. torch and transformers are imported only behind them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .config import Config, StarterConfig, TransformerConfig
from .errors import ConfigError, CorruptModelError, ModelUnavailableError
from .folder import MODEL_CARD, is_trusted, read_json, refuse_unsafe, verify
from .scorers.spec import SCORER_KINDS
from .types import Callbacks, Pair, RewardScorer, TrainResult


def train(
    kind: str,
    pairs: Iterable[Pair],
    config: Config,
    out_dir: Path | str,
    *,
    callbacks: Callbacks | None = None,
    work_dir: Path | str | None = None,
) -> TrainResult:
    """Train a model of ``kind`` into ``out_dir``, which appears whole or not at all.

    ``work_dir`` (default: ``out_dir`` with ``.work`` appended) keeps a transformer's checkpoints: calling
    again with the same pairs, settings and folders continues a killed or stopped run. Raises
    ``RewardError``s.
    """
    out = Path(out_dir)
    if kind == "starter" and isinstance(config, StarterConfig):
        from .starter.train import train_starter

        return train_starter(pairs, config, out, callbacks=callbacks)
    if kind == "transformer" and isinstance(config, TransformerConfig):
        from .transformer.train import train_transformer

        work = Path(work_dir) if work_dir else out.with_name(out.name + ".work")
        return train_transformer(pairs, config, out, work, callbacks=callbacks)
    raise ConfigError(f"kind {kind!r} does not go with {type(config).__name__}")


def open_reward_model(path: Path | str) -> RewardScorer:
    """Open a folder that ``train`` or ``write_scorer`` wrote; nothing in it is run.

    Raises ``ModelUnavailableError`` (no such folder), ``CorruptModelError`` (hashes differ) or
    ``UntrustedModelError`` (pickles, Python files or ``auto_map``).
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ModelUnavailableError(f"there is no model folder {folder.name}")
    verify(folder)
    card = read_json(folder / MODEL_CARD)
    refuse_unsafe(folder, trusted=is_trusted(str(card.get("base", ""))))
    if card.get("kind") == "starter":
        from .starter.model import load

        return load(folder, card)
    if card.get("kind") == "transformer":
        from .transformer.scorer import load_scorer

        return load_scorer(folder, card)
    if card.get("kind") in SCORER_KINDS:
        from .scorers.folder import load_written

        scorer = load_written(card)
        if not isinstance(scorer, RewardScorer):
            raise ConfigError(f"a {scorer.kind} scorer compares pairs; it has no score for one response")
        return scorer
    raise CorruptModelError(f"{MODEL_CARD} names an unknown kind {card.get('kind')!r}")
