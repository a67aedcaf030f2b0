"""The three voices of a comparison as rows: people ●, judges ◆, the reward model ▲."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import Comparison, Disagreement, Resolution, Voice, VoiceKind
from labeling.selectors.comparisons import PersonVoice, person_voices

MARKS = {VoiceKind.JUDGE.value: "◆", VoiceKind.MODEL.value: "▲"}


@dataclass(frozen=True)
class OtherVoice:
    """What `ui/_voice_row.html` shows of a judge or the reward model; `p` is P(response_a better)."""

    mark: str
    name: str
    outcome: str
    p: float | None

    @property
    def note(self) -> str:
        words = [] if self.p is None else [_("P(A better) %(p).2f") % {"p": self.p}]
        return " · ".join(words if self.outcome else [*words, _("no outcome read")])


@dataclass(frozen=True)
class ComparisonVoices:
    people: list[PersonVoice]
    others: list[OtherVoice]


def comparison_voices(comparison: Comparison) -> ComparisonVoices:
    """Everybody who says something of it now. Two queries."""
    voices = Voice.objects.filter(comparison=comparison).order_by("kind", "name", "pk")
    return ComparisonVoices(person_voices(comparison), _others(voices))


def _others(voices: Iterable[Voice]) -> list[OtherVoice]:
    model = gettext_lazy("reward model %(version)s")
    return [
        OtherVoice(
            MARKS[voice.kind],
            str(model % {"version": voice.name}) if voice.kind == VoiceKind.MODEL else voice.name,
            voice.outcome,
            voice.p_a,
        )
        for voice in voices
    ]


@dataclass(frozen=True)
class QueueRow:
    """A row of the queue. Nothing but the prompt may be shown of a closed one: its reader labels a response of it."""

    row: Disagreement
    is_open: bool
    resolution: Resolution | None
    others: list[OtherVoice]

    @property
    def comparison(self) -> Comparison:
        return self.row.comparison

    @property
    def percent(self) -> int:
        return max(1, round(100 * self.row.size))


def queue_row(row: Disagreement, closed: Collection[int]) -> QueueRow:
    """`closed` are the responses in the reader's hand; texts, resolution and voices were fetched with the row."""
    comparison = row.comparison
    is_open = not {comparison.response_a_id, comparison.response_b_id} & set(closed)
    return QueueRow(
        row=row,
        is_open=is_open,
        resolution=getattr(comparison, "resolution", None) if is_open else None,
        others=_others(comparison.voices.all()) if is_open else [],
    )
