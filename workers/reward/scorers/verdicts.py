"""What judges said, as a scorer of pairs."""

from __future__ import annotations

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


class Verdict(NamedTuple):
    """One judgement of a pair: ``chosen``, ``rejected`` or ``tie``; None where the judge's answer could not be
    parsed."""

    pair_id: str
    outcome: str | None


Ask = Callable[[Pair], Iterable[str | None]]


@dataclass(slots=True)
class VerdictScorer:
    """Difference in [-1, 1]: share of verdicts for ``chosen`` less share for ``rejected``. ``ask`` gives the outcomes
    of a pair's verdicts.

    An answer that was not parsed is no verdict and never a tie; a pair without any verdict gives NaN. After a call
    ``counts`` says how many ``verdicts``, ``unparsed`` ones and ``unjudged`` pairs there were.
    """

    ask: Ask
    template_hash: str = "verdicts"
    temperature: float = 1.0
    kind: str = "generative"
    counts: dict[str, int] = field(default_factory=dict)

    def difference(self, pairs: Sequence[Pair], *, callbacks: Callbacks | None = None) -> NDArray[np.float64]:
        """Differences (N,). Raises ``Stopped`` between pairs and ``DataError`` for an unknown outcome."""
        told = callbacks or Callbacks()
        out = np.full(len(pairs), math.nan)
        self.counts = {"verdicts": 0, "unparsed": 0, "unjudged": 0}
        for number, pair in enumerate(pairs):
            if told.should_stop():
                raise Stopped(f"stopped after {number} of {len(pairs)} pairs")
            said = list(self.ask(pair))
            if unknown := {outcome for outcome in said if outcome is not None} - set(CREDIT):
                raise DataError(
                    f"pair {pair.pair_id}: verdict {sorted(unknown)[0]!r} is none of {', '.join(CREDIT)}"
                )
            parsed = [CREDIT[outcome] for outcome in said if outcome is not None]
            self.counts["verdicts"] += len(parsed)
            self.counts["unparsed"] += len(said) - len(parsed)
            self.counts["unjudged"] += not parsed
            if parsed:
                out[number] = sum(parsed) / len(parsed)
            told.progress(number + 1, len(pairs), "score")
        return out


def verdict_scorer(verdicts: Ask | Iterable[Verdict], *, temperature: float = 1.0) -> VerdictScorer:
    """A scorer of a function of a pair, or of verdicts that are at hand (read once)."""
    if callable(verdicts):
        return VerdictScorer(verdicts, temperature=temperature)
    known: dict[str, list[str | None]] = defaultdict(list)
    for pair_id, outcome in verdicts:
        known[pair_id].append(outcome)
    return VerdictScorer(lambda pair: known.get(pair.pair_id, []), temperature=temperature)


def read_verdicts(path: Path | str) -> Iterable[Verdict]:
    """Verdicts of a JSONL or Parquet file: ``pair`` (its id) and ``outcome`` (null where it was not parsed)."""
    for row in read_rows(Path(path)):
        outcome = row.get("outcome")
        if outcome is not None and outcome not in CREDIT:
            raise row.error("outcome", f"is {outcome!r}, none of {', '.join(CREDIT)}")
        yield Verdict(str(row.need("pair")), outcome)
