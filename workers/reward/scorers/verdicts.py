"""What judges said, as a scorer of pairs."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, Stopped
from ..files import read_rows
from ..types import Callbacks, Pair

CREDIT = {"chosen": 1.0, "tie": 0.0, "rejected": -1.0}
# Pairs that are asked about at a time.
BATCH = 500


class Verdict(NamedTuple):
    """One judgement of a pair: ``chosen``, ``rejected`` or ``tie``; None where the judge's answer could not be
    parsed."""

    pair_id: str
    outcome: str | None


# The outcomes of the verdicts on each of some pairs, in their order.
Ask = Callable[[Sequence[Pair]], Iterable[Iterable[str | None]]]


@dataclass(slots=True)
class VerdictScorer:
    """Difference in [-1, 1]: share of verdicts for ``chosen`` less share for ``rejected``. ``ask`` gives the outcomes
    of each pair's verdicts, for at most ``BATCH`` pairs at a time.

    An answer that was not parsed is no verdict and never a tie; a pair without any verdict gives NaN. After a call
    ``counts`` says how many ``verdicts``, ``unparsed`` ones and ``unjudged`` pairs there were, and ``digest`` is the
    SHA-256 of all that was said, by which two calls can be told apart.
    """

    ask: Ask
    template_hash: str = "verdicts"
    temperature: float = 1.0
    kind: str = "generative"
    counts: dict[str, int] = field(default_factory=dict)
    digest: str = ""

    def difference(self, pairs: Sequence[Pair], *, callbacks: Callbacks | None = None) -> NDArray[np.float64]:
        """Differences (N,). Raises ``Stopped`` between batches and ``DataError`` for an unknown outcome."""
        told = callbacks or Callbacks()
        out = np.full(len(pairs), math.nan)
        self.counts = {"verdicts": 0, "unparsed": 0, "unjudged": 0}
        said = hashlib.sha256()
        for start in range(0, len(pairs), BATCH):
            if told.should_stop():
                raise Stopped(f"stopped after {start} of {len(pairs)} pairs")
            asked = pairs[start : start + BATCH]
            answers = [list(outcomes) for outcomes in self.ask(asked)]
            if len(answers) != len(asked):
                raise DataError(f"asked about {len(asked)} pairs, got the verdicts on {len(answers)}")
            for number, (pair, outcomes) in enumerate(zip(asked, answers, strict=True), start):
                out[number] = self._difference(pair, outcomes)
                said.update(json.dumps([pair.pair_id, sorted(map(str, outcomes))]).encode())
            told.progress(start + len(asked), len(pairs), "score")
        self.digest = said.hexdigest()
        return out

    def _difference(self, pair: Pair, outcomes: Sequence[str | None]) -> float:
        """Mean credit of the parsed verdicts; NaN without one."""
        if unknown := {outcome for outcome in outcomes if outcome is not None} - set(CREDIT):
            raise DataError(
                f"pair {pair.pair_id}: verdict {sorted(unknown)[0]!r} is none of {', '.join(CREDIT)}"
            )
        parsed = [CREDIT[outcome] for outcome in outcomes if outcome is not None]
        self.counts["verdicts"] += len(parsed)
        self.counts["unparsed"] += len(outcomes) - len(parsed)
        self.counts["unjudged"] += not parsed
        return sum(parsed) / len(parsed) if parsed else math.nan


def verdict_scorer(verdicts: Ask | Iterable[Verdict], *, temperature: float = 1.0) -> VerdictScorer:
    """A scorer of a function of pairs, or of verdicts that are at hand (read once). A function that names by
    ``template_hash`` what gives its verdicts hands it on to the scorer."""
    if callable(verdicts):
        given_by = getattr(verdicts, "template_hash", "verdicts")
        return VerdictScorer(verdicts, given_by, temperature)
    known: dict[str, list[str | None]] = defaultdict(list)
    for pair_id, outcome in verdicts:
        known[pair_id].append(outcome)
    return VerdictScorer(
        lambda pairs: [known.get(pair.pair_id, []) for pair in pairs], temperature=temperature
    )


def read_verdicts(path: Path | str) -> Iterable[Verdict]:
    """Verdicts of a JSONL or Parquet file: ``pair`` (its id) and ``outcome`` (null where it was not parsed)."""
    for row in read_rows(Path(path)):
        outcome = row.get("outcome")
        if outcome is not None and outcome not in CREDIT:
            raise row.error("outcome", f"is {outcome!r}, none of {', '.join(CREDIT)}")
        yield Verdict(str(row.need("pair")), outcome)
