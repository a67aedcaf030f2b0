"""The doors: train a model, open one, preview what it reads. torch and transformers are imported only behind them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .config import TINY_BASES, EmbeddingConfig, StarterConfig, TransformerConfig
from .errors import ConfigError, CorruptModelError, ModelUnavailableError
from .folder import MODEL_CARD, is_trusted, put_back, read_json, refuse_unsafe, verify
from .scorers.spec import SCORER_KINDS, ScorerSpec, Settings
from .types import Callbacks, Message, Pair, Preview, RewardScorer, TrainResult

SIDES = ("chosen", "rejected")


def train(
    kind: str,
    pairs: Iterable[Pair],
    config: Settings,
    out_dir: Path | str,
    *,
    callbacks: Callbacks | None = None,
    work_dir: Path | str | None = None,
    cache_dir: Path | str | None = None,
    verdicts: Any = None,
) -> TrainResult:
    """Train a model of ``kind`` into ``out_dir``, which appears whole or not at all.

    ``work_dir`` (default: ``out_dir`` with ``.work`` appended) keeps a transformer's checkpoints: calling
    again with the same pairs, settings and folders continues a killed or stopped run. ``cache_dir`` keeps a frozen
    backbone's states between trainings (default: see ``embedding.cache``). A ``ScorerSpec`` has its temperature
    fitted and its folder written; ``verdicts`` are for ``generative`` alone, as for ``open_scorer``. Raises
    ``RewardError``s.
    """
    out = Path(out_dir)
    if kind != "transformer" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"a {kind} trains in one process: start the command without a launcher")
    put_back(out)
    if kind == "starter" and isinstance(config, StarterConfig):
        from .starter.train import train_starter

        return train_starter(pairs, config, out, callbacks=callbacks)
    if kind == "embedding" and isinstance(config, EmbeddingConfig):
        from .embedding.cache import default_folder
        from .embedding.train import train_embedding

        kept = Path(cache_dir) if cache_dir else default_folder()
        return train_embedding(pairs, config, out, kept, callbacks=callbacks)
    if kind == "transformer" and isinstance(config, TransformerConfig):
        from .transformer.train import train_transformer

        work = Path(work_dir) if work_dir else out.with_name(out.name + ".work")
        return train_transformer(pairs, config, out, work, callbacks=callbacks)
    if isinstance(config, ScorerSpec) and kind == config.kind:
        from .scorers.fit import fit_scorer

        return fit_scorer(pairs, config, out, verdicts=verdicts, callbacks=callbacks)
    raise ConfigError(f"kind {kind!r} does not go with {type(config).__name__}")


def preview(
    source: Path | str | Settings,
    messages: Sequence[Message],
    response: str,
    *,
    training: Iterable[Pair] = (),
) -> Preview:
    """The exact text and tokens that a model reads of ``messages`` and a response, without its weights.

    ``source`` are settings, a folder that ``train`` or ``write_scorer`` wrote, or any base (a folder or a hub id) with
    default settings. A ``tiny`` base makes its tokenizer of the run's pairs: give them as ``training``, else it is
    made of this text alone and the ids are not the run's. Raises ``ConfigError`` for what reads no tokens, for a
    ``pair`` scorer (see ``preview_pairs``) and for a chat template that cannot be used, ``DataError`` for a
    conversation that the template refuses, ``ModelUnavailableError``.
    """
    pair = Pair("preview", tuple(messages), response, "")
    read = _previewer(source, training, [pair])
    if set(read) != set(SIDES):
        raise ConfigError("a pair scorer reads two responses at once; preview_pairs shows them")
    return read["chosen"](pair)


def preview_pairs(
    source: Path | str | Settings, pairs: Iterable[Pair], *, training: Iterable[Pair] = ()
) -> Iterator[tuple[Pair, str, Preview]]:
    """``preview`` of pairs by one tokenizer: each pair with the name of a reading and the reading, which are
    ``chosen`` and ``rejected``, or of a ``pair`` scorer ``chosen first`` and ``rejected first``. Raises like
    ``preview``."""
    shown = list(pairs)
    read = _previewer(source, training, shown)
    for pair in shown:
        for name, look in read.items():
            yield pair, name, look(pair)


def _previewer(
    source: Path | str | Settings, training: Iterable[Pair], shown: Sequence[Pair]
) -> dict[str, Callable[[Pair], Preview]]:
    """Readings of a pair by name."""
    from .scorers.pairs import PairTemplate
    from .scorers.preview import preview_pair, reader_of, spec_of
    from .transformer.preview import encoder_for, preview_by
    from .transformer.train import sort_pairs

    if (spec := spec_of(source)) is not None:
        reader = reader_of(spec)
        if isinstance(reader, PairTemplate):
            return {
                "chosen first": lambda pair: preview_pair(reader, pair),
                "rejected first": lambda pair: preview_pair(reader, pair, chosen_first=False),
            }
        encoder = reader
    else:
        texts: list[Pair] = []
        if getattr(source, "base", None) in TINY_BASES:
            texts = [pair for pair in training if pair.split == "train"]
        if texts and isinstance(source, TransformerConfig):
            texts = sort_pairs(texts).train
        encoder = encoder_for(source, texts or shown)
    return {
        "chosen": lambda pair: preview_by(encoder, pair.messages, pair.chosen),
        "rejected": lambda pair: preview_by(encoder, pair.messages, pair.rejected),
    }


def open_reward_model(
    path: Path | str,
    *,
    cache_dir: Path | str | None = None,
    engine: str = "transformers",
    dtype: str = "auto",
) -> RewardScorer:
    """Open a folder that ``train`` or ``write_scorer`` wrote; nothing in it is run. With ``cache_dir`` a model
    on a frozen backbone reads and keeps its states there, as its training did.

    ``engine`` is what runs a transformer: ``transformers``, ``vllm`` (in this process, the extra ``vllm``) or the
    address of a vLLM server that serves this folder. ``dtype`` is what transformers computes its backbone in:
    ``float32``, ``bfloat16`` or ``auto``, which on a CUDA device is what the folder's weights are in, else float32;
    its head, and so the scores, are float32 always. Other kinds of model have no choice of engine and dtype.

    Raises ``ModelUnavailableError`` (no such folder, no such server), ``CorruptModelError`` (hashes differ),
    ``UntrustedModelError`` (pickles, Python files or ``auto_map``) or ``ConfigError`` (an engine that does not give
    this model's scores).
    """
    is_server = engine.startswith(("http://", "https://"))
    if engine not in ("transformers", "vllm") and not is_server:
        raise ConfigError(f"engine {engine!r} is neither transformers, vllm nor the address of a server")
    if dtype not in ("auto", "float32", "bfloat16"):
        raise ConfigError(f"dtype {dtype!r} is none of auto, float32, bfloat16")
    folder = Path(path)
    if not folder.is_dir():
        raise ModelUnavailableError(f"there is no model folder {folder.name}")
    verify(folder)
    card = read_json(folder / MODEL_CARD)
    refuse_unsafe(folder, trusted=is_trusted(str(card.get("base", ""))))
    if card.get("kind") == "starter":
        from .starter.model import load

        return load(folder, card)
    if card.get("kind") == "embedding":
        from .embedding.model import load as load_embedding

        return load_embedding(folder, card, Path(cache_dir) if cache_dir else None)
    if card.get("kind") == "transformer" and engine != "transformers":
        from .transformer.vllm import load_vllm

        return load_vllm(folder, card, server=engine if is_server else None)
    if card.get("kind") == "transformer":
        from .transformer.scorer import load_scorer

        return load_scorer(folder, card, dtype=dtype)
    if card.get("kind") in SCORER_KINDS:
        from .scorers.folder import load_written

        scorer = load_written(card)
        if not isinstance(scorer, RewardScorer):
            raise ConfigError(f"a {scorer.kind} scorer compares pairs; it has no score for one response")
        return scorer
    raise CorruptModelError(f"{MODEL_CARD} names an unknown kind {card.get('kind')!r}")
