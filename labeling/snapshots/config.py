"""What goes into a snapshot, read from JSON and checked, every problem reported at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from labeling.models import LabelerKind

SPLITS = ("train", "validation", "test")
GROUP_KEYS = ("group", "prompt", "topic")
WEIGHTS = ("equal", "reliability")
DEFAULT_FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


class SnapshotConfigError(ValidationError):
    """The settings of a snapshot are not usable; `messages` says why."""


@dataclass(frozen=True)
class SnapshotConfig:
    """The settings of a snapshot.

    min_labels: fewest votes a comparison needs (an adjudicated one needs none).
    group_key: what stays in one split: "group" is the prompt's group, or the prompt alone where it has none;
        "prompt" is always the prompt alone; "topic" its topic, or the prompt alone.
    fractions: expected share of the groups in each split; they sum to 1.
    seed: another seed, other splits. The same seed keeps a group where it is in every later snapshot.
    labeler_kinds: whose votes count.
    weights: "equal", or "reliability": a row's weight is the mean reliability of the people whose votes settled it.
    include_rewrites: with comparisons of a response that a person wrote by bettering another.
    include_verdicts: with what judges and the reward model say, in `voices`. It settles nothing.
    include_judge_rows: with comparisons that nobody's vote settles and on which all judges that spoke agree.
    test_groups: groups that are held out, beside every group with a prompt marked `metadata["split"] =
    "test"`.
    """

    min_labels: int = 1
    include_ties: bool = True
    include_both_bad: bool = True
    include_retired: bool = False
    group_key: str = "group"
    fractions: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_FRACTIONS))
    seed: int = 0
    labeler_kinds: tuple[str, ...] = tuple(LabelerKind.values)
    test_groups: tuple[str, ...] = ()
    weights: str = "equal"
    include_rewrites: bool = True
    include_verdicts: bool = False
    include_judge_rows: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "labeler_kinds": list(self.labeler_kinds),
            "test_groups": list(self.test_groups),
        }


def read_config(data: Any) -> SnapshotConfig:
    """The settings that `data` describes; what it leaves out has its default. Raises SnapshotConfigError."""
    if not isinstance(data, dict):
        raise SnapshotConfigError(_("The settings of a snapshot must be a JSON object."))
    problems: list[str] = []
    unknown = sorted(set(data) - set(_CHECKS))
    if unknown:
        problems.append(_("Unknown settings: %(names)s.") % {"names": ", ".join(map(str, unknown))})
    values: dict[str, Any] = {}
    for name, check in _CHECKS.items():
        if name not in data:
            continue
        try:
            values[name] = check(data[name])
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SnapshotConfigError(problems)
    return SnapshotConfig(**values)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("must be true or false."))
    return value


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(
                _("must be a whole number from %(low)s to %(high)s.") % {"low": low, "high": high}
            )
        return value

    return check


def _one_of(names: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in names:
            raise ValueError(_("must be one of %(names)s.") % {"names": ", ".join(names)})
        return str(value)

    return check


def _fractions(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or set(value) - set(SPLITS):
        raise ValueError(_("must give train, validation and test."))
    shares = {split: value.get(split, 0.0) for split in SPLITS}
    if any(isinstance(share, bool) or not isinstance(share, int | float) for share in shares.values()):
        raise ValueError(_("must be numbers."))
    if any(not 0 <= share <= 1 for share in shares.values()) or not math.isclose(sum(shares.values()), 1.0):
        raise ValueError(_("must be between 0 and 1 and sum to 1."))
    return {split: float(share) for split, share in shares.items()}


def _kinds(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or set(value) - set(LabelerKind.values):
        raise ValueError(_("must be a list of %(names)s.") % {"names": ", ".join(LabelerKind.values)})
    return tuple(kind for kind in LabelerKind.values if kind in value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(_("must be a list of texts."))
    return tuple(sorted(set(value)))


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "min_labels": _integer(1, 1000),
    "include_ties": _boolean,
    "include_both_bad": _boolean,
    "include_retired": _boolean,
    "group_key": _one_of(GROUP_KEYS),
    "fractions": _fractions,
    "seed": _integer(0, 2**31 - 1),
    "labeler_kinds": _kinds,
    "test_groups": _texts,
    "weights": _one_of(WEIGHTS),
    "include_rewrites": _boolean,
    "include_verdicts": _boolean,
    "include_judge_rows": _boolean,
}
