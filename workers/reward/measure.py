"""Hold any scorer against labeled pairs, and keep the report beside its folder.

``<folder>.evaluation.json`` stands beside a sealed folder, never in it, so that nothing in the folder can change
after its manifest was written. It names the manifest it was measured on; one of another manifest is replaced.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .compare import Comparison, PairScores, compare
from .errors import CorruptModelError, DataError
from .evaluate import Evaluation, evaluate
from .folder import FORMAT, MANIFEST, atomic_file, hash_file, read_json, write_json
from .predict import Array
from .types import Callbacks, Item, Pair, PairScorer, RewardScorer

Scorer = RewardScorer | PairScorer


@dataclass(frozen=True, slots=True)
class Measured:
    """Differences (N,) of a scorer, NaN where it has no verdict; ``truncated`` of ``responses`` distinct responses
    were cut (0 of 0 for a scorer of pairs alone)."""

    difference: Array
    temperature: float
    responses: int = 0
    truncated: int = 0


def measure(scorer: Scorer, pairs: Sequence[Pair], *, callbacks: Callbacks | None = None) -> Measured:
    """Ask a scorer about pairs. A scorer of pairs is asked for pairs; else every distinct response is scored once."""
    if isinstance(scorer, PairScorer):
        return Measured(
            np.asarray(scorer.difference(pairs, callbacks=callbacks), np.float64), scorer.temperature
        )
    places: dict[tuple[Any, str], int] = {}
    for pair in pairs:
        for text in (pair.chosen, pair.rejected):
            places.setdefault((pair.messages, text), len(places))
    items = [Item(str(i), messages, text) for (messages, text), i in places.items()]
    scores = scorer.score(items, callbacks=callbacks)
    value = np.asarray(scores.value, np.float64)
    sides = np.array([[places[p.messages, p.chosen], places[p.messages, p.rejected]] for p in pairs]).reshape(
        -1, 2
    )
    return Measured(
        value[sides[:, 0]] - value[sides[:, 1]],
        scorer.temperature,
        len(items),
        int(np.asarray(scores.truncated).sum()),
    )


def evaluate_measured(found: Measured, pairs: Sequence[Pair], **options: Any) -> Evaluation:
    """``evaluate`` on the pairs that have a verdict. Raises ``DataError`` where none has."""
    judged = _judged(pairs, found)
    delta = found.difference[judged]
    report = evaluate(
        delta, np.zeros(len(delta)), _kept(pairs, judged), temperature=found.temperature, **options
    )
    return dataclasses.replace(report, no_verdict=int((~judged).sum()))


def compare_measured(
    candidate: Measured, champion: Measured, pairs: Sequence[Pair], **options: Any
) -> Comparison:
    """``compare`` on the pairs of which both have a verdict. Raises ``DataError`` where there is none."""
    judged = _judged(pairs, candidate, champion)
    sides = [
        PairScores(found.difference[judged], np.zeros(int(judged.sum())), found.temperature)
        for found in (candidate, champion)
    ]
    return compare(sides[0], sides[1], _kept(pairs, judged), **options)


def _judged(pairs: Sequence[Pair], *found: Measured) -> np.ndarray[Any, np.dtype[np.bool_]]:
    judged = np.ones(len(pairs), dtype=np.bool_)
    for one in found:
        judged &= ~np.isnan(one.difference)
    if not judged.any():
        raise DataError("there is no pair with a verdict to evaluate on")
    return judged


def _kept(pairs: Sequence[Pair], judged: Iterable[bool]) -> list[Pair]:
    return [pair for pair, has in zip(pairs, judged, strict=True) if has]


def report_path(folder: Path | str) -> Path:
    """Where the evaluations of a model folder stand."""
    place = Path(folder).resolve()
    return place.with_name(f"{place.name}.evaluation.json")


def write_report(folder: Path | str, data: str, report: dict[str, Any]) -> Path:
    """Keep a report on ``data`` (the name of what was evaluated on) beside a sealed folder; a repeat replaces it.

    The file appears whole or not at all, and two writers at once keep both reports. Raises ``CorruptModelError`` for
    a folder without a manifest.
    """
    manifest = Path(folder) / MANIFEST
    if not manifest.is_file():
        raise CorruptModelError(f"{Path(folder).name} has no {MANIFEST}")
    mark, path = hash_file(manifest), report_path(folder)
    with _alone_in(path.parent):
        known = read_reports(folder)
        value = {"format": FORMAT, "manifest_sha256": mark, "evaluations": known | {data: report}}
        with atomic_file(path) as temporary:
            write_json(temporary, value)
    return path


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait for other processes and threads that write reports here; leaves no file behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_reports(folder: Path | str) -> dict[str, Any]:
    """Reports by the name of their data; empty where there are none of this very folder."""
    path, manifest = report_path(folder), Path(folder) / MANIFEST
    if not path.is_file() or not manifest.is_file():
        return {}
    try:
        value = read_json(path)
    except CorruptModelError:
        return {}
    if value.get("manifest_sha256") != hash_file(manifest) or not isinstance(value.get("evaluations"), dict):
        return {}
    found: dict[str, Any] = value["evaluations"]
    return found
