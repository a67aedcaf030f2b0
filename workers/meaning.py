"""What the figures of an evaluation mean, in sentences for somebody who reads no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workers.models import RewardModel
from workers.selectors.evaluations import FEW_PAIRS, People, Range, SliceRow, gap_range, range_of

Figures = Mapping[str, Any]

ROUGH_PAIRS = 100  # below this an accuracy is known to about ten points at best
GOOD_CALIBRATION = 0.05
STRONG_LENGTH = 0.5
NEAR_CEILING = 0.02


@dataclass(frozen=True)
class Said:
    """A sentence; `mood` is ok, warn, bad or empty."""

    text: str
    mood: str = ""


def hundredths(share: float) -> int:
    return round(100 * share)


def meaning(report: Figures, *, slices: Sequence[SliceRow] = (), people: People | None = None) -> list[Said]:
    """The sentences of one evaluation, the most important first; empty without a pair to judge by."""
    value = report["accuracy"]["value"] if report.get("n") else None
    if value is None:
        return []
    accuracy = range_of(report["accuracy"], report["n"])
    found = [_accuracy(accuracy)]
    if silent := report.get("no_verdict"):
        found.append(Said(_no_verdict(silent), "warn"))
    if accuracy.low is not None:
        found.append(_longest(accuracy, report["longest"]["value"] or 0.0))
    if people is not None and people.everybody is not None and people.ceiling.value is not None:
        found.append(_ceiling(people.everybody, people.ceiling))
    if report.get("ece") is not None:
        found.append(_calibration(report))
    if (correlation := report.get("length_correlation")) is not None:
        found.append(_length(correlation))
    found += _weakest(value, slices)
    if equal := report.get("equal_scores"):
        found.append(Said(_equal(equal), "warn"))
    return found


def _accuracy(accuracy: Range) -> Said:
    values = {"right": hundredths(accuracy.value or 0.0), "n": accuracy.n}
    text = _(
        "Of 100 pairs that it has never seen, it prefers the response that people preferred in about %(right)d."
    )
    if accuracy.low is not None and accuracy.high is not None:
        text = _(
            "Of 100 pairs that it has never seen, it prefers the response that people preferred in about "
            "%(right)d; with other prompts it may be %(low)d to %(high)d."
        )
        values |= {"low": hundredths(accuracy.low), "high": hundredths(accuracy.high)}
    said = text % values
    if accuracy.n < ROUGH_PAIRS:
        rough = ngettext(
            "This rests on %(n)d pair alone: a rough figure.",
            "This rests on %(n)d pairs alone: a rough figure.",
            accuracy.n,
        )
        return Said(f"{said} {rough % values}", "warn")
    return Said(said)


def _no_verdict(n: int) -> str:
    return ngettext(
        "%(n)d more held-out pair has no verdict: it counts in none of these figures.",
        "%(n)d more held-out pairs have no verdict: they count in none of these figures.",
        n,
    ) % {"n": n}


def _longest(accuracy: Range, longest: float) -> Said:
    value, low = accuracy.value or 0.0, accuracy.low or 0.0
    values = {"longest": hundredths(longest)}
    if value <= longest:
        return Said(
            _(
                "Always choosing the longer response is right in %(longest)d of 100: this model is no better, and "
                "may have learned length alone."
            )
            % values,
            "bad",
        )
    if low <= longest:
        return Said(
            _(
                "Always choosing the longer response is right in %(longest)d of 100. The model does better here, but "
                "not by enough to be sure."
            )
            % values,
            "warn",
        )
    return Said(
        _("It knows more than length: always choosing the longer response is right in %(longest)d of 100.")
        % values,
        "ok",
    )


def _ceiling(everybody: float, ceiling: Range) -> Said:
    level = ceiling.value or 0.0
    values = {
        "people": hundredths(level),
        "low": hundredths(ceiling.low or 0.0),
        "high": hundredths(ceiling.high or 0.0),
        "model": hundredths(everybody),
        "n": ceiling.n,
    }
    values["gap"] = values["people"] - values["model"]
    if everybody >= level - NEAR_CEILING:
        return Said(
            _(
                "It agrees with a person's vote in %(model)d of 100, and two people with each other in %(people)d "
                "(%(low)d to %(high)d, on %(n)d pairs): about as far as such labels can take it."
            )
            % values,
            "ok",
        )
    return Said(
        _(
            "It agrees with a person's vote in %(model)d of 100, and two people with each other in %(people)d "
            "(%(low)d to %(high)d, on %(n)d pairs): up to %(gap)d points may be gained."
        )
        % values
    )


def _calibration(report: Figures) -> Said:
    if report["n"] < ROUGH_PAIRS:
        return Said(_("Whether its probabilities can be believed does not show on so few pairs."))
    bins = [part for part in report.get("bins", []) if part["n"]]
    n = sum(part["n"] for part in bins) or 1
    lean = sum(part["n"] * (part["confidence"] - part["accuracy"]) for part in bins) / n
    values = {"points": max(1, hundredths(report["ece"]))}
    if report["ece"] <= GOOD_CALIBRATION:
        return Said(
            _("Its probabilities can be taken at their word: they are off by %(points)d points on average.")
            % values,
            "ok",
        )
    if abs(lean) < report["ece"] / 2:
        text = _("Its probabilities are off by %(points)d points on average, now too high, now too low.")
    elif lean > 0:
        text = _("It is surer than it should be: its probabilities are %(points)d points off on average.")
    else:
        text = _("It is less sure than it could be: its probabilities are %(points)d points off on average.")
    return Said(text % values, "warn")


def _length(correlation: float) -> Said:
    if correlation > STRONG_LENGTH:
        return Said(
            _("Its scores follow length closely: look at pairs where the shorter one is better."), "warn"
        )
    if correlation < -STRONG_LENGTH:
        return Said(_("Its scores fall with length: look at pairs where the longer one is better."), "warn")
    return Said(_("Its scores do not hang on length alone."), "ok")


def _weakest(value: float, slices: Sequence[SliceRow]) -> list[Said]:
    """The worst slice whose interval lies wholly below the overall figure."""
    for row in slices:
        at = row.accuracy
        if not row.is_few and at.value is not None and at.high is not None and at.high < value:
            words = {"key": row.key, "value": row.value, "right": hundredths(at.value), "n": row.n}
            return [
                Said(
                    _("Surely weaker on %(key)s: %(value)s, right in %(right)d of 100 (%(n)d pairs).")
                    % words,
                    "warn",
                )
            ]
    return []


def _equal(n: int) -> str:
    return ngettext(
        "It gave both responses the same score in %(n)d pair; that counts half.",
        "It gave both responses the same score in %(n)d pairs; each counts half.",
        n,
    ) % {"n": n}


def temperature_fitted(model: RewardModel) -> str:
    """On what the temperature was fitted; empty where the training did not say."""
    figures = model.metrics
    if n := int(figures.get("calibration_pairs", 0)):
        if figures.get("calibration_held_out"):
            text = ngettext(
                "fitted on %(n)d pair, half of the validation split",
                "fitted on %(n)d pairs, half of the validation split",
                n,
            )
        else:
            text = ngettext(
                "fitted on %(n)d pair, all of the validation split",
                "fitted on %(n)d pairs, all of the validation split",
                n,
            )
        return text % {"n": n}
    if "cv_log_loss" in figures:
        return _("fitted by cross-validation: there were no validation pairs")
    return ""


def comparison_meaning(report: Figures, a: str, b: str) -> list[Said]:
    """The sentences of two models' comparison, `a` and `b` being their names."""
    if not report.get("n"):
        return []
    gap = gap_range(report["difference"], report["n"])
    counts = report["counts"]
    words = {"a": a, "b": b, "points": f"{abs(100 * (gap.value or 0.0)):.1f}", "n": report["n"]}
    found = [_winner(gap, words)]
    alone = counts["only_a"] + counts["only_b"]
    found.append(
        Said(
            ngettext(
                "They differ on %(differ)d of %(n)d pairs: %(a)s alone is right on %(only_a)d of these, %(b)s alone on "
                "%(only_b)d.",
                "They differ on %(differ)d of %(n)d pairs: %(a)s alone is right on %(only_a)d of these, %(b)s alone on "
                "%(only_b)d.",
                alone,
            )
            % {**words, **counts, "differ": alone}
        )
    )
    return found


def _winner(gap: Range, words: Figures) -> Said:
    """Who is ahead, and only where the interval of enough pairs leaves out zero that it is sure. The same two models
    in the other order get the mirrored sentence."""
    value, n = gap.value or 0.0, gap.n
    if value == 0:
        text = ngettext(
            "%(a)s and %(b)s are equally accurate on this %(n)d pair.",
            "%(a)s and %(b)s are equally accurate on these %(n)d pairs.",
            n,
        )
        return Said(text % words)
    low, high = (gap.low or 0.0, gap.high or 0.0) if n >= FEW_PAIRS else (0.0, 0.0)
    if low > 0:
        return Said(
            _("%(a)s is very probably better than %(b)s: by %(points)s points on these %(n)d pairs.") % words,
            "ok",
        )
    if high < 0:
        return Said(
            _("%(a)s is very probably worse than %(b)s: by %(points)s points on these %(n)d pairs.") % words,
            "bad",
        )
    if value > 0:
        text = ngettext(
            "%(a)s is ahead of %(b)s by %(points)s points, but other prompts could turn that round: this %(n)d "
            "pair does not tell the two apart.",
            "%(a)s is ahead of %(b)s by %(points)s points, but other prompts could turn that round: these %(n)d "
            "pairs do not tell the two apart.",
            n,
        )
    else:
        text = ngettext(
            "%(a)s is behind %(b)s by %(points)s points, but other prompts could turn that round: this %(n)d "
            "pair does not tell the two apart.",
            "%(a)s is behind %(b)s by %(points)s points, but other prompts could turn that round: these %(n)d "
            "pairs do not tell the two apart.",
            n,
        )
    return Said(text % words, "warn")
