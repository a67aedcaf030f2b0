"""What people said of one comparison."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labeling.models import Comparison, Outcome, Preference
from labeling.scheme import SKIP_REASONS


@dataclass(frozen=True)
class PersonVoice:
    """One person on one comparison: the revision that stands and those before it. Empty outcome: none stands."""

    current: Preference
    earlier: tuple[Preference, ...]

    @property
    def outcome(self) -> str:
        return self.current.outcome if self.current.outcome not in (Outcome.SKIP, Outcome.WITHDRAWN) else ""

    @property
    def p_a(self) -> float | None:
        """Where the vote stands between A (1) and B (0), from its strength 1 to 4; ½ for a tie."""
        if self.current.outcome not in (Outcome.A, Outcome.B):
            return 0.5 if self.current.outcome == Outcome.TIE else None
        share = 0.5 + (self.current.strength or 4) / 8
        return share if self.current.outcome == Outcome.A else 1 - share

    @property
    def seconds(self) -> float | None:
        return None if self.current.duration_ms is None else self.current.duration_ms / 1000

    @property
    def why_skipped(self) -> str:
        """As the person chose it from the menu."""
        return str(SKIP_REASONS.get(self.current.skip_reason, self.current.skip_reason))


def person_voices(comparison: Comparison) -> list[PersonVoice]:
    """Everybody who said something about the comparison, in the order in which they first did. One query."""
    rows = Preference.objects.filter(comparison=comparison).select_related("labeler").order_by("pk")
    by_labeler: dict[int, list[Preference]] = {}
    for row in rows:
        by_labeler.setdefault(row.labeler_id, []).append(row)
    return [
        PersonVoice(current=latest, earlier=tuple(rest))
        for *rest, latest in _by_revision(by_labeler.values())
    ]


def _by_revision(groups: Iterable[list[Preference]]) -> list[list[Preference]]:
    return [sorted(group, key=lambda row: row.revision) for group in groups]
