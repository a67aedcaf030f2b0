"""The gate's reasons as sentences: stored as codes with figures, put into words when somebody reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Sentence:
    """`passed` is None for what is no rule but a remark."""

    text: str
    passed: bool | None
    code: str


def _share(value: Any) -> str:
    return f"{float(value):.2f}"


def _signed(value: Any) -> str:
    """A difference with its sign, to three places; a true minus, as wide as the plus."""
    return f"{float(value):+.3f}".replace("-", "−")


def _percent(value: Any) -> str:
    return f"{100 * float(value):.0f} %"


def _enough_pairs(r: Numbers) -> str:
    values = {"n": int(r["n"]), "minimum": int(r["minimum"])}
    if r["passed"]:
        return _("Judged on %(n)d held-out pairs; at least %(minimum)d are needed.") % values
    return _("Only %(n)d held-out pairs to judge by; at least %(minimum)d are needed.") % values


def _beats_chance(r: Numbers) -> str:
    values = {"accuracy": _share(r["accuracy"]), "chance": _share(r.get("chance", 0.5))}
    if r["passed"]:
        return _("Better than a coin: accuracy %(accuracy)s, above the %(chance)s of chance.") % values
    return _("No better than a coin: accuracy %(accuracy)s; more than %(chance)s is needed.") % values


def _beats_longest(r: Numbers) -> str:
    values = {
        "accuracy": _share(r["accuracy"]),
        "longest": _share(r["longest"]),
        "needed": _share(float(r["longest"]) + float(r.get("margin", 0.0))),
    }
    if r["passed"]:
        return (
            _(
                "Better than choosing the longer text: accuracy %(accuracy)s against %(longest)s; more than "
                "%(needed)s is needed."
            )
            % values
        )
    return (
        _(
            "Not better than choosing the longer text: accuracy %(accuracy)s against %(longest)s; more than "
            "%(needed)s is needed."
        )
        % values
    )


def _better_than_champion(r: Numbers) -> str:
    values = {name: _signed(r[name]) for name in ("difference", "low", "high")}
    values["minimum"] = _signed(r.get("minimum", 0.0))
    if r["passed"]:
        return (
            _(
                "Better than the champion on the same pairs: difference in accuracy %(difference)s "
                "[%(low)s, %(high)s]; more than %(minimum)s is needed."
            )
            % values
        )
    return (
        _(
            "Not better than the champion on the same pairs: difference in accuracy %(difference)s "
            "[%(low)s, %(high)s]; more than %(minimum)s is needed."
        )
        % values
    )


def _risk_of_worse(r: Numbers) -> str:
    values = {"risk": _percent(r["risk"]), "allowed": _percent(r["allowed"])}
    if r["passed"]:
        return _(
            "Less accurate than the champion in %(risk)s of resamples; up to %(allowed)s is allowed."
        ) % (values)
    return (
        _("Less accurate than the champion in %(risk)s of resamples; only %(allowed)s is allowed.") % values
    )


def _slice_drop(r: Numbers) -> str:
    values = {
        "slice": slice_name(r.get("slice", "")),
        "drop": _share(r["drop"]),
        "allowed": _share(r["allowed"]),
        "n": int(r["n"]),
    }
    if r["passed"]:
        return (
            _(
                "On %(slice)s (n %(n)d) accuracy is %(drop)s below the champion's; up to %(allowed)s is allowed."
            )
            % values
        )
    return (
        _("On %(slice)s (n %(n)d) accuracy is %(drop)s below the champion's; only %(allowed)s is allowed.")
        % values
    )


def _by_hand(r: Numbers) -> str:
    return _("Made champion by hand by %(by)s.") % {"by": r.get("by") or "?"}


def _rolled_back(r: Numbers) -> str:
    return _("Brought back by %(by)s.") % {"by": r.get("by") or "?"}


def _seen_by_champion(r: Numbers) -> str:
    n = int(r["n"])
    return ngettext(
        "%(n)d held-out pair was left out, because the champion was trained on its group.",
        "%(n)d held-out pairs were left out, because the champion was trained on their groups.",
        n,
    ) % {"n": n}


def _no_verdict(r: Numbers) -> str:
    n = int(r["n"])
    return ngettext(
        "%(n)d held-out pair was left out, because the judge has no verdict on it.",
        "%(n)d held-out pairs were left out, because the judge has no verdict on them.",
        n,
    ) % {"n": n}


WORDS: dict[str, Callable[[Numbers], str]] = {
    "enough_pairs": _enough_pairs,
    "beats_chance": _beats_chance,
    "beats_longest": _beats_longest,
    "first_champion": lambda _r: _("The first model of this project: there was no champion to beat."),
    "better_than_champion": _better_than_champion,
    "risk_of_worse": _risk_of_worse,
    "slice_drop": _slice_drop,
    "by_hand": _by_hand,
    "rolled_back": _rolled_back,
    "crowned_meanwhile": lambda _r: _("Somebody had already made it champion by hand."),
    "baseline": lambda _r: _(
        "A baseline is there to be beaten; only somebody can make it champion, by hand."
    ),
    "compares_alone": lambda _r: _(
        "It says which of two responses is better and has no score for one, so it cannot be champion: a champion "
        "scores every response."
    ),
    "no_verdict": _no_verdict,
    "champion_unreadable": lambda _r: _("The champion's files could not be read, so there was none to beat."),
    "champion_data_unreadable": lambda _r: _(
        "The champion's training data could not be read, so it may have seen some of these pairs."
    ),
    "base_data_unreadable": lambda _r: _(
        "The training data of a model that it went on from could not be read, so it may have seen some of these "
        "pairs."
    ),
    "seen_by_champion": _seen_by_champion,
}
REMARKS = {
    "base_data_unreadable",
    "champion_data_unreadable",
    "champion_unreadable",
    "crowned_meanwhile",
    "by_hand",
    "no_verdict",
    "rolled_back",
    "seen_by_champion",
}


def slice_keys() -> dict[str, str]:
    """Names of what evaluations are sliced by."""
    return {
        "language": _("language"),
        "topic": _("topic"),
        "turns": _("turns"),
        "length": _("length"),
        "strength": _("strength"),
    }


def slice_values() -> dict[str, str]:
    """Names of the slice values that this app makes; languages and topics stand for themselves."""
    return {
        "one": _("one"),
        "several": _("several"),
        "similar": _("about equally long"),
        "longer_chosen": _("the longer one preferred"),
        "shorter_chosen": _("the shorter one preferred"),
        "much_longer_chosen": _("the much longer one preferred"),
        "much_shorter_chosen": _("the much shorter one preferred"),
        "slight": _("slight"),
        "clear": _("clear"),
        "unknown": _("not given"),
    }


def slice_name(part: str) -> str:
    """`topic=code` in words."""
    key, _sign, value = part.partition("=")
    return f"{slice_keys().get(key, key)}: {slice_values().get(value, value)}"


def sentences(reasons: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    """One sentence for each reason. A code from another version of the app is shown as it stands."""
    out = []
    for reason in reasons:
        code = str(reason.get("code", ""))
        words = WORDS.get(code)
        passed = None if code in REMARKS else bool(reason.get("passed", True))
        out.append(Sentence(words({"passed": passed, **reason}) if words else code, passed, code))
    return out


def why_not(reasons: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    """The rules that failed."""
    return [sentence for sentence in sentences(reasons) if sentence.passed is False]
