"""The pairs on which two models differ most, with the texts that a page shows of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from labeling.models import Comparison, Project


@dataclass(frozen=True)
class DisagreementRow:
    """`p_first` and `p_second` are the models' P(a ≻ b); `is_open` is False while the reader labels one of its
    responses: then nothing but the prompt may be shown."""

    comparison: Comparison
    p_first: float
    p_second: float
    people: str
    is_open: bool

    @property
    def first(self) -> str:
        return _side(self.p_first)

    @property
    def second(self) -> str:
        return _side(self.p_second)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON without texts; of a closed pair its number alone."""
        data = {"comparison": self.comparison.pk, "open": self.is_open}
        voices = {"p_a_first": self.p_first, "p_a_second": self.p_second, "people": self.people}
        return data | voices if self.is_open else data


def _side(p: float) -> str:
    return "tie" if p == 0.5 else "a" if p > 0.5 else "b"


def disagreement_rows(
    project: Project, report: Mapping[str, Any], *, in_hand: Collection[int]
) -> list[DisagreementRow]:
    """In the order of the report; comparisons that were deleted since are left out. One query."""
    kept = report.get("disagreements", [])
    rows = Comparison.objects.filter(project=project, pk__in=[row["comparison"] for row in kept])
    found = {row.pk: row for row in rows.select_related("prompt", "response_a", "response_b")}
    return [
        DisagreementRow(
            comparison=comparison,
            p_first=row["p_a_first"],
            p_second=row["p_a_second"],
            people=row["people"],
            is_open=not {comparison.response_a_id, comparison.response_b_id} & set(in_hand),
        )
        for row in kept
        if (comparison := found.get(row["comparison"])) is not None
    ]
