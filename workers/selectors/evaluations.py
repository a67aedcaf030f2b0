"""Reading evaluations: the one that a page shows, its slices with the worst first, and the intervals it may state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from labeling.models import Project, Snapshot, SnapshotState
from labeling.statistics import wilson_interval
from workers.models import HELD_OUT, Evaluation, ModelComparison, RewardModel
from workers.reasons import slice_keys, slice_values

# Of fewer pairs there is no interval: a bootstrap of four that are all right says ± 0.00.
INTERVAL_PAIRS = 5
# Under this a slice is marked: its figure may be luck. The gate looks at no slice below it either.
FEW_PAIRS = 30
SNAPSHOTS_SHOWN = 50


@dataclass(frozen=True)
class Range:
    """A share with the interval that may be stated of it; `low` and `high` are None where there is none."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class SliceRow:
    """A slice in words. `champion` is the champion's accuracy on its own pairs of the slice, where it is another."""

    key: str
    value: str
    accuracy: Range
    champion: float | None = None

    @property
    def n(self) -> int:
        return self.accuracy.n

    @property
    def is_few(self) -> bool:
        return self.n < FEW_PAIRS


def rank(found: Range) -> tuple[int, float, int]:
    """Order of slices: those of enough pairs, then those of few, then those without an interval; each worst first."""
    tier = 0 if found.n >= FEW_PAIRS else 1 if found.low is not None else 2
    return tier, found.value or 0.0, -found.n


def honest(value: float | None, low: float | None, high: float | None, n: int) -> Range:
    """The interval of a share that may be stated: none under five pairs; Wilson's where all resamples are equal
    (everything right, or everything wrong), which is no certainty."""
    if value is None or n < INTERVAL_PAIRS:
        return Range(value, None, None, n)
    if low is None or high is None or high - low < 1e-9:
        found = wilson_interval(round(value * n), n)
        return Range(value, found.low, found.high, n)
    return Range(value, low, high, n)


def range_of(found: Mapping[str, Any] | None, n: int) -> Range:
    """A figure of a stored report ({"value", "low", "high"}) as a range."""
    found = found or {}
    return honest(found.get("value"), found.get("low"), found.get("high"), n)


def evaluations_of(model: RewardModel) -> QuerySet[Evaluation]:
    """The model's evaluations on held-out pairs, newest first."""
    return model.evaluations.filter(split=HELD_OUT).select_related("snapshot", "reward_model").order_by("-pk")


def evaluation_on(model: RewardModel, snapshot: Snapshot) -> Evaluation | None:
    return evaluations_of(model).filter(snapshot=snapshot).first()


def snapshots_to_evaluate(project: Project, chosen: Snapshot | None = None) -> list[Snapshot]:
    """The newest snapshots that can be read, and the one that is chosen, however old."""
    ready = Snapshot.objects.filter(project=project, state=SnapshotState.READY).order_by("-number")
    newest = list(ready[:SNAPSHOTS_SHOWN])
    return newest if chosen is None or chosen in newest else [*newest, chosen]


def slice_names(part: Mapping[str, Any]) -> tuple[str, str]:
    """Key and value of a slice in words; a language or a topic stands for itself."""
    key, value = str(part["key"]), str(part["value"])
    return slice_keys().get(key, key), slice_values().get(value, value)


def slice_rows(report: Mapping[str, Any], champion: Mapping[str, Any] | None = None) -> list[SliceRow]:
    """The slices of a report in the order of `rank`. Slices without a pair are left out."""
    theirs = {
        (part["key"], part["value"]): part["accuracy"]["value"] for part in (champion or {}).get("slices", [])
    }
    rows = [
        SliceRow(
            *slice_names(part),
            range_of(part["accuracy"], part["n"]),
            theirs.get((part["key"], part["value"])),
        )
        for part in report.get("slices", [])
        if part["n"]
    ]
    return sorted(rows, key=lambda row: (rank(row.accuracy), row.key, row.value))


@dataclass(frozen=True)
class PersonRow:
    """`model`: share of the person's votes for one side with which the model agrees. `others`: share of other people's
    votes on the same pairs that agree with the person's; None without any."""

    name: str
    model: Range
    others: float | None


@dataclass(frozen=True)
class People:
    """`everybody` is the model's share over all the votes listed; `ceiling` that of two people on one pair, its `n`
    the pairs with two votes or more. Empty for fewer than five, and for a report from before these were counted."""

    rows: list[PersonRow]
    everybody: float | None
    ceiling: Range


def people_of(report: Mapping[str, Any]) -> People | None:
    """Agreement with each person, most votes first; None for a report from before it was measured."""
    if "annotators" not in report:
        return None
    rows = [
        PersonRow(_name(part["annotator"]), range_of(part["model"], part["n"]), part["others"])
        for part in report["annotators"]
    ]
    votes = sum(row.model.n for row in rows)
    ceiling = range_of(report.get("between_annotators"), report.get("n_between", 0))
    return People(
        rows=rows,
        everybody=sum(row.model.n * (row.model.value or 0.0) for row in rows) / votes if votes else None,
        ceiling=ceiling if ceiling.low is not None else Range(None, None, None, ceiling.n),
    )


def _name(annotator: str | int) -> str:
    """A number stands for a name that is not shown."""
    return annotator if isinstance(annotator, str) else _("Person %(number)d") % {"number": annotator}


def without_names(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report with its people numbered, for those who may not see the project's members: the same in every
    language, since programs read it."""
    people = [
        {**part, "annotator": number} for number, part in enumerate(report.get("annotators", []), start=1)
    ]
    return {**report, "annotators": people} if "annotators" in report else dict(report)


@dataclass(frozen=True)
class SliceGap:
    """Two models on one slice, and the first less the second."""

    key: str
    value: str
    a: float | None
    b: float | None
    gap: Range

    @property
    def is_few(self) -> bool:
        return self.gap.n < FEW_PAIRS


def slice_gaps(report: Mapping[str, Any]) -> list[SliceGap]:
    """The slices of a comparison, those where the first model falls behind most first, as `rank` has it."""
    rows = [
        SliceGap(*slice_names(part), part["a"], part["b"], gap_range(part["difference"], part["n"]))
        for part in report.get("slices", [])
        if part["n"]
    ]
    return sorted(rows, key=lambda row: (rank(row.gap), row.key, row.value))


def gap_range(found: Mapping[str, Any] | None, n: int) -> Range:
    """A difference of two accuracies. Without an interval under five pairs, and where all resamples are equal."""
    found = found or {}
    low, high = found.get("low"), found.get("high")
    if n < INTERVAL_PAIRS or low is None or high is None or high - low < 1e-9:
        low = high = None
    return Range(found.get("value"), low, high, n)


def comparison_of(a: RewardModel, b: RewardModel, snapshot: Snapshot) -> ModelComparison | None:
    """The comparison of the two; its report as from `a`, whichever of them is the newer. Not to be saved."""
    newer, older = (a, b) if a.pk > b.pk else (b, a)
    row = ModelComparison.objects.filter(model_a=newer, model_b=older, snapshot=snapshot).first()
    if row is not None and newer == b:
        row.report = mirrored(row.report)
    return row


def mirrored(report: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison's report as from its second model."""
    if not report.get("n"):
        return dict(report)
    counts = report["counts"]
    turned = {
        "a": report["b"],
        "b": report["a"],
        "difference": _negative(report["difference"]),
        "worse_share": report.get("better_share"),
        "better_share": report["worse_share"],
        "slices": [
            {**part, "a": part["b"], "b": part["a"], "difference": _negative(part["difference"])}
            for part in report["slices"]
        ],
        "counts": {**counts, "only_a": counts["only_b"], "only_b": counts["only_a"]},
        "disagreements": [
            {**pair, "p_a_first": pair["p_a_second"], "p_a_second": pair["p_a_first"]}
            for pair in report["disagreements"]
        ],
    }
    return {**report, **turned}


def _negative(found: Mapping[str, float | None]) -> dict[str, float | None]:
    ends = {"value": "value", "low": "high", "high": "low"}
    return {name: None if (at := found[end]) is None else 0.0 - at for name, end in ends.items()}


def comparisons_of(project: Project, limit: int = 10) -> Sequence[ModelComparison]:
    """The newest comparisons of models that are done, without their reports."""
    rows = ModelComparison.objects.filter(project=project).exclude(report={}).defer("report")
    return list(rows.select_related("model_a", "model_b", "snapshot").order_by("-pk")[:limit])


def evaluation_data(found: Evaluation, report: dict[str, Any]) -> dict[str, Any]:
    """An evaluation's report with its provenance."""
    model, snapshot = found.reward_model, found.snapshot
    return {
        "reward_model": model.number,
        "kind": model.kind,
        "manifest_hash": model.manifest_hash,
        "template_hash": model.template_hash,
        "code_version": model.code_version,
        "snapshot": snapshot.number,
        "snapshot_hash": snapshot.content_hash,
        "split": found.split,
        "evaluated_at": found.created_at.isoformat(),
        **report,
    }
