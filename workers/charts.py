"""This app's charts: which figures go into which drawing (webapp.ui.charts draws)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from labeling.statistics import wilson_interval
from webapp.ui.charts import (
    Bin,
    Interval,
    Reference,
    Series,
    bar_chart,
    interval_chart,
    line_chart,
    reliability_chart,
)
from workers.models import Evaluation, ModelState
from workers.selectors.models import VersionRow

VERSIONS_SHOWN = 12
SMALL_POINTS = 120
MARKS = {ModelState.CHAMPION: " ★", ModelState.REJECTED: " ✕"}
STYLES = {ModelState.CHAMPION: "champion", ModelState.REJECTED: "rejected"}
LOSSES = ("loss", "validation_loss", "cv_log_loss", "validation_log_loss")
ACCURACIES = ("accuracy", "validation_accuracy", "cv_accuracy", "train_accuracy")


def series_names() -> dict[str, str]:
    return {
        "loss": _("training"),
        "validation_loss": _("validation"),
        "cv_log_loss": _("cross-validation"),
        "validation_log_loss": _("validation"),
        "accuracy": _("training"),
        "validation_accuracy": _("validation"),
        "cv_accuracy": _("cross-validation"),
        "train_accuracy": _("training"),
        "score_max": _("highest"),
        "score_mean": _("mean"),
        "score_min": _("lowest"),
    }


def accuracy_chart(rows: Sequence[VersionRow], ceiling: float | None) -> SafeString | None:
    """Accuracy by version, oldest first, beside longest-wins and person–person agreement; None without
    any."""
    known = [row for row in reversed(rows[:VERSIONS_SHOWN]) if _accuracy(row.evaluation) is not None]
    if not known:
        return None
    points = [
        Interval(
            label=f"{row.model}{MARKS.get(ModelState(row.model.state), '')}",
            value=row.evaluation.accuracy,
            low=row.evaluation.low if row.evaluation.low is not None else row.evaluation.accuracy,
            high=row.evaluation.high if row.evaluation.high is not None else row.evaluation.accuracy,
            style=STYLES.get(ModelState(row.model.state), ""),
        )
        for row in known
        if row.evaluation is not None and row.evaluation.accuracy is not None
    ]
    references = []
    longest = baseline(known[-1].evaluation, "longest")
    if longest is not None:
        references.append(Reference(f"{_('longest wins')} {longest:.2f}", longest))
    if ceiling is not None:
        references.append(Reference(f"{_('person–person')} {ceiling:.2f}", ceiling))
    return interval_chart(points, references, title=_("Accuracy by version"))


def _accuracy(evaluation: Evaluation | None) -> float | None:
    return evaluation.accuracy if evaluation else None


def baseline(evaluation: Evaluation | None, name: str) -> float | None:
    """Accuracy of `random` or `longest` on the pairs of this evaluation."""
    if evaluation is None:
        return None
    value = (evaluation.baselines.get(name) or {}).get("value")
    return None if value is None else float(value)


def curves(metrics: Sequence[tuple[int, dict[str, Any]]], names: Sequence[str]) -> list[Series]:
    """The named figures over steps; figures that never came are left out."""
    words = series_names()
    out = []
    for name in names:
        points = [(float(step), float(values[name])) for step, values in metrics if name in values]
        if points:
            out.append(Series(words.get(name, ""), points))
    return out


def run_charts(metrics: Sequence[tuple[int, dict[str, Any]]]) -> list[tuple[str, SafeString]]:
    """(title, drawing) of loss and accuracy of a run; a figure needs two points to be a curve."""
    charts = []
    for names, title in ((LOSSES, _("Loss")), (ACCURACIES, _("Accuracy"))):
        found = [series for series in curves(metrics, names) if len(series.points) > 1]
        if found:
            charts.append((title, line_chart(found, title=title)))
    return charts


def small_charts(metrics: Sequence[tuple[int, dict[str, Any]]]) -> list[tuple[str, SafeString]]:
    """(title, drawing) of what else a step tells, each by itself; at most `SMALL_POINTS` points a curve."""
    thinned = metrics[:: max(1, -(-len(metrics) // SMALL_POINTS))]
    terms = {name for _step, values in thinned for name in values if name.startswith("loss_")}
    charts = []
    for names, title, y_format in _small():
        if names[0] in terms and len(terms) == 1:
            continue  # the whole loss, drawn already
        found = [series for series in curves(thinned, names) if len(series.points) > 1]
        if found:
            charts.append((title, line_chart(found, title=title, y_format=y_format)))
    return charts


def _small() -> list[tuple[tuple[str, ...], str, str]]:
    """Figures that share a small drawing, its title, and how its levels are written."""
    return [
        (("loss_ranking",), _("Loss: ranking"), "{:.3g}"),
        (("loss_centering",), _("Loss: centering"), "{:.3g}"),
        (("loss_barrier",), _("Loss: barrier"), "{:.3g}"),
        (("loss_aspects",), _("Loss: aspects"), "{:.3g}"),
        (("margin",), _("Margin, chosen over rejected"), "{:.3g}"),
        (("score_max", "score_mean", "score_min"), _("Range of scores"), "{:.3g}"),
        (("tie_threshold",), _("Tie threshold"), "{:.3g}"),
        (("grad_norm",), _("Gradient norm"), "{:.3g}"),
        (("learning_rate",), _("Learning rate"), "{:.1e}"),
        (("pairs_per_second",), _("Pairs a second"), "{:,.4g}"),
        (("tokens_per_second",), _("Tokens a second"), "{:,.0f}"),
        (("padding_avoided",), _("Padding avoided"), "{:.0%}"),
        (("memory_mb",), _("Peak memory, MB"), "{:,.0f}"),
    ]


def reliability(report: dict[str, Any]) -> SafeString | None:
    """Stated P(a ≻ b) of the side that the model prefers, against the share in which that side was preferred, by bin.
    The other half of the plot would mirror this one."""
    found = [part for part in report.get("bins", []) if part["n"]]
    if not found:
        return None
    bins = []
    for part in found:
        share = wilson_interval(round(part["accuracy"] * part["n"]), part["n"])
        bins.append(Bin(part["confidence"], part["accuracy"], share.low or 0.0, share.high or 0.0, part["n"]))
    return reliability_chart(bins, title=_("Stated probability and outcome"), lowest=0.5)


def score_histogram(bins: Sequence[tuple[float, int]]) -> SafeString | None:
    """Number of responses by score; `bins` are (middle of the bin, count)."""
    if not bins:
        return None
    return bar_chart([(f"{middle:.2g}", count) for middle, count in bins], title=_("Scores"))
