"""Open a scorer from its spec, and keep a spec as a sealed folder that ``open_reward_model`` opens.

The folder holds no weights: its card names where they lie and the hash of what was there when it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, CorruptModelError
from ..folder import (
    FORMAT,
    MODEL_CARD,
    atomic_folder,
    hash_file,
    read_json,
    refuse_unsafe,
    verify,
    write_json,
)
from ..seen import write_seen
from ..types import PairScorer, RewardScorer
from . import baselines
from .spec import SCORER_KINDS, ScorerSpec, spec_from_dict, spec_to_dict

Scorer = RewardScorer | PairScorer


def open_scorer(spec: ScorerSpec, *, verdicts: Any = None) -> Scorer:
    """A scorer by its spec. ``verdicts`` (a function of pairs, or ``Verdict``s) are for ``generative`` alone.

    Raises ``ModelUnavailableError``, ``UntrustedModelError``, ``CorruptModelError`` or ``ConfigError``.
    """
    if spec.kind == "random":
        return baselines.random(spec.seed, spec.temperature)
    if spec.kind == "longest":
        return baselines.longest(spec.temperature)
    if spec.kind == "generative":
        from .verdicts import read_verdicts, verdict_scorer

        if verdicts is None and not spec.verdicts:
            raise ConfigError("generative: needs verdicts, by argument or as the file named in verdicts")
        given = read_verdicts(spec.verdicts) if verdicts is None else verdicts
        return verdict_scorer(given, temperature=spec.temperature)
    if spec.kind == "pair":
        from .pairs import open_pair_model

        return open_pair_model(spec)
    from .likelihood import open_likelihood

    return open_likelihood(spec)


def sources(spec: ScorerSpec) -> dict[str, str]:
    """Hash of every local folder or file that the spec names."""
    found = {}
    for name in (spec.model, spec.reference):
        if name and Path(name).is_dir():
            from .loading import fingerprint

            found[name] = fingerprint(name) or ""
    if spec.verdicts and Path(spec.verdicts).is_file():
        found[spec.verdicts] = hash_file(Path(spec.verdicts))
    return found


def write_scorer(
    spec: ScorerSpec,
    out: Path | str,
    *,
    scorer: Scorer | None = None,
    metrics: Mapping[str, float] | None = None,
    counts: Mapping[str, int] | None = None,
    facts: Mapping[str, str] | None = None,
    prompts: Iterable[str] = (),
) -> Scorer:
    """Write a scorer's folder, whole or not at all, once the scorer has been opened (here, or as ``scorer``).

    ``facts`` are further entries of its card, ``prompts`` keys of those that its temperature was fitted on.
    """
    opened = scorer or open_scorer(spec)
    card = {
        "format": FORMAT,
        "kind": spec.kind,
        "spec": spec_to_dict(spec),
        "sources": sources(spec),
        "template_hash": opened.template_hash,
        "temperature": spec.temperature,
        "metrics": dict(metrics or {}),
        "counts": dict(counts or {}),
        **(facts or {}),
    }
    with atomic_folder(Path(out)) as folder:
        write_json(folder / MODEL_CARD, card)
        write_seen(folder, prompts, base=spec.model)
    return opened


def open_written(folder: Path | str, *, verdicts: Any = None) -> Scorer | None:
    """Open a folder that ``write_scorer`` wrote, or None for a folder of another kind. ``verdicts`` as for
    ``open_scorer``. Raises like ``open_reward_model``."""
    place = Path(folder)
    card = read_json(place / MODEL_CARD)
    if card.get("kind") not in SCORER_KINDS:
        return None
    verify(place)
    refuse_unsafe(place)
    return load_written(card, verdicts=verdicts)


def load_written(card: dict[str, Any], *, verdicts: Any = None) -> Scorer:
    """Open what ``write_scorer`` wrote. Raises ``CorruptModelError`` where the weights, or the judge that gave the
    verdicts, are no longer the same."""
    try:
        spec = spec_from_dict(card["spec"])
        known = dict(card["sources"])
    except (KeyError, TypeError, ConfigError) as error:
        raise CorruptModelError(f"{MODEL_CARD} holds no scorer: {error}") from error
    now = sources(spec)
    for name, mark in known.items():
        if now.get(name) != mark:
            raise CorruptModelError(f"{name} is gone or differs from what this scorer was made of")
    scorer = open_scorer(spec, verdicts=verdicts)
    if scorer.template_hash != card.get("template_hash"):
        raise CorruptModelError("the scorer reads other text than when it was written")
    return scorer
