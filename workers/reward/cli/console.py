"""What a person sees: progress on stderr, tables of figures."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from ..bootstrap import Interval
from ..compare import Comparison, GateResult
from ..evaluate import Evaluation
from ..rewardbench import RewardBenchScore
from ..types import Callbacks

EVERY_S = 0.5
# Of a step's figures (``transformer.figures``), those that fit a line.
SHOWN = {"loss": "loss", "accuracy": "accuracy", "pairs_per_second": "pairs/s"}


class Progress(Callbacks):
    """One line on stderr, written anew; whole lines where stderr is no terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._stop = self._open = False
        self._at, self._figures = 0.0, ""

    def progress(self, done: int, total: int, message: str) -> None:
        """See ``Callbacks``."""
        if self.quiet or (done < total and time.monotonic() - self._at < EVERY_S):
            return
        self._at = time.monotonic()
        line = f"{message} {done:,}/{total:,}{self._figures}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line[:110]:<110}")
            self._open = True
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def metric(self, step: int, values: dict[str, float]) -> None:
        """See ``Callbacks``."""
        shown = [f"{word} {values[name]:.4g}" for name, word in SHOWN.items() if name in values]
        self._figures = "".join(f" · {part}" for part in shown)

    def should_stop(self) -> bool:
        """See ``Callbacks``."""
        return self._stop

    def stop(self) -> None:
        """End the work at the next chance."""
        self._stop = True

    def done(self) -> None:
        """Close the line."""
        if self._open:
            sys.stderr.write("\n")
            self._open = False


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text; the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def share(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def between(value: Interval) -> str:
    """The ends of an interval."""
    return "–" if value.low is None else f"{share(value.low)} … {share(value.high)}"


def evaluation_text(report: Evaluation) -> str:
    """An evaluation for people."""
    rows = [["", "accuracy", "95 % interval"]]
    for name in ("accuracy", "longest", "random"):
        found = getattr(report, name)
        rows.append(["model" if name == "accuracy" else name, share(found.value), between(found)])
    if report.between_annotators.value is not None:
        rows.append(["people", share(report.between_annotators.value), between(report.between_annotators)])
    left_out = f"{report.ties:,} ties left out"
    if report.no_verdict:
        left_out += f", {report.no_verdict:,} without a verdict"
    names = ("log_loss", "brier", "ece", "mean_margin", "length_correlation", "temperature")
    figures = "  ".join(f"{name} {share(getattr(report, name))}" for name in names)
    parts = [
        f"{report.n:,} pairs ({left_out}), {report.clusters:,} {report.cluster_by}s",
        table(rows),
        figures,
    ]
    if report.slices:
        sliced = [
            [f"{part.key}={part.value}", f"{part.n:,}", share(part.accuracy.value), between(part.accuracy)]
            for part in report.slices
        ]
        parts.append(table([["slice", "pairs", "accuracy", "95 % interval"], *sliced]))
    if report.annotators:
        people = [
            [figure.annotator, f"{figure.n:,}", share(figure.model.value), share(figure.others)]
            for figure in report.annotators
        ]
        parts.append(table([["annotator", "votes", "model agrees", "others agree"], *people]))
    if report.rewardbench is not None:
        parts.append(rewardbench_text(report.rewardbench))
    return "\n\n".join(parts)


def comparison_text(found: Comparison, verdict: GateResult) -> str:
    """A comparison for people."""
    ours, theirs = found.candidate.accuracy, found.champion.accuracy if found.champion else None
    rows = [["", "accuracy", "95 % interval"], ["candidate", share(ours.value), between(ours)]]
    if theirs is not None:
        rows.append(["champion", share(theirs.value), between(theirs)])
    rows.append(["difference", share(found.difference.value), between(found.difference)])
    parts = [f"{found.candidate.n:,} pairs", table(rows)]
    parts.append(f"share of resamples in which the candidate is worse: {share(found.worse_share)}")
    if found.slices:
        sliced = [
            [f"{part.key}={part.value}", f"{part.n:,}", share(part.candidate), share(part.champion)]
            for part in found.slices
        ]
        parts.append(table([["slice", "pairs", "candidate", "champion"], *sliced]))
    failed = [r.code + (f" ({r.slice})" if r.slice else "") for r in verdict.reasons if not r.passed]
    parts.append(
        "the gate would promote it"
        if verdict.promote
        else f"the gate would not promote it: {', '.join(failed)}"
    )
    return "\n\n".join(parts)


def rewardbench_text(found: RewardBenchScore) -> str:
    """RewardBench for people."""
    rows = [["RewardBench " + str(found.version), "", share(found.score)]]
    rows += [[name, "", share(value)] for name, value in found.sections.items()]
    rows += [[f"  {part.subset}", f"{part.n:,}", share(part.score)] for part in found.subsets]
    text = table(rows)
    if silent := [f"{part.no_verdict:,} of {part.subset}" for part in found.subsets if part.no_verdict]:
        text += f"\n\nwithout a verdict, and in no figure: {', '.join(silent)}"
    if found.missing:
        text += f"\n\nnot in the average, for want of data: {', '.join(found.missing)}"
    return text
