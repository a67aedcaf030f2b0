"""All that can be learned for a scorer whose weights are given: its temperature."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..calibration import calibrate
from ..measure import measure
from ..seen import prompts_of
from ..types import Callbacks, Pair, TrainResult
from .folder import open_scorer, write_scorer
from .spec import ScorerSpec
from .verdicts import VerdictScorer


def fit_scorer(
    pairs: Iterable[Pair],
    spec: ScorerSpec,
    out: Path,
    *,
    verdicts: Any = None,
    callbacks: Callbacks | None = None,
) -> TrainResult:
    """Fit the temperature on the validation pairs that have a verdict, and write the scorer's folder.

    Without such pairs the spec's own temperature stays. ``train`` pairs are only counted: nothing is trained. Of
    ``verdicts`` (see ``open_scorer``) the card counts what was read and keeps its hash, ``verdicts_sha256``.
    Raises ``Stopped``, and the errors of ``open_scorer``; nothing is written then.
    """
    told, started = callbacks or Callbacks(), time.monotonic()
    told.progress(0, 1, "prepare")
    validation, counts = [], {"train": 0, "validation": 0, "test_ignored": 0, "no_verdict": 0}
    for pair in pairs:
        counts["test_ignored" if pair.split == "test" else pair.split] += 1
        if pair.split == "validation" and pair.weight > 0:
            validation.append(pair)
    scorer = open_scorer(spec, verdicts=verdicts)
    metrics: dict[str, float] = {}
    facts: dict[str, str] = {}
    if validation:
        delta = measure(scorer, validation, callbacks=told).difference
        judged = np.isfinite(delta)
        counts["no_verdict"] = int((~judged).sum())
        if judged.any():
            kept = [pair for pair, has in zip(validation, judged, strict=True) if has]
            found = calibrate(
                delta[judged],
                np.array([pair.p_chosen for pair in kept]),
                np.array([pair.weight for pair in kept]),
                [pair.group_key for pair in kept],
            )
            spec = dataclasses.replace(spec, temperature=found.temperature)
            metrics = found.figures
    if isinstance(scorer, VerdictScorer):
        counts |= {name: scorer.counts.get(name, 0) for name in ("verdicts", "unparsed")}
        facts = {"verdicts_sha256": scorer.digest}
    seen = prompts_of(validation)
    write_scorer(spec, out, scorer=scorer, metrics=metrics, counts=counts, facts=facts, prompts=seen)
    return TrainResult(out, metrics, 0, time.monotonic() - started, counts)
