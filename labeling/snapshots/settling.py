"""What was said of one comparison, and how that settles its row: by a reviewer, by people, or by judges alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labeling.models import LabelerKind, VoiceKind
from labeling.services.resolution import ADJUDICATED, Tally
from labeling.snapshots.config import SnapshotConfig
from labeling.snapshots.rows import storable

RELIABILITY = "reliability"
_SHARES = {"a": 1.0, "tie": 0.5, "b": 0.0}
# What is read of a vote.
VOTE = (
    "comparison_id", "labeler_id", "outcome", "strength", "aspects", "aspect_strengths",
    "rationale", "reasons", "spans", "comparison__response_a_id", "comparison__response_b_id",
)  # fmt: skip


class Settled(NamedTuple):
    """`by` is one of SETTLED_BY, `weight` in (0, 1]."""

    outcome: str
    p_a: float
    strength: float | None
    by: str
    weight: float = 1.0


@dataclass
class Said:
    """The latest votes on one comparison and the voices on it: the `annotators`, `aspect_votes`, `explanations` and
    `voices` of its row, and who the annotators are."""

    annotators: list[dict[str, Any]] = field(default_factory=list)
    labeler_ids: list[int] = field(default_factory=list)
    aspect_votes: list[dict[str, Any]] = field(default_factory=list)
    explanations: list[dict[str, Any]] = field(default_factory=list)
    voices: list[dict[str, Any]] = field(default_factory=list)

    def add(self, vote: Any, name: str) -> None:
        """A vote (a named tuple of `VOTE`) of the labeler of this name. Its passages are of the responses a and b."""
        self.labeler_ids.append(vote.labeler_id)
        self.annotators.append({"labeler": name, "outcome": vote.outcome, "strength": vote.strength})
        strengths = vote.aspect_strengths or {}
        for aspect, side in sorted(vote.aspects.items()):
            said = {"aspect": aspect, "outcome": side, "strength": strengths.get(aspect)}
            self.aspect_votes.append({"labeler": name, **said})
        if vote.rationale or vote.reasons or vote.spans:
            sides = {vote.comparison__response_a_id: "a", vote.comparison__response_b_id: "b"}
            spans = [
                {
                    "response": sides[span["response"]],
                    "quote": storable(span["quote"]),
                    "nth": span["nth"],
                    "reason": span["reason"],
                }
                for span in vote.spans or ()
            ]
            self.explanations.append(
                {
                    "labeler": name,
                    "rationale": storable(vote.rationale),
                    "reasons": vote.reasons,
                    "spans": spans,
                }
            )

    @property
    def aspects(self) -> list[dict[str, Any]]:
        """By aspect how many found `a`, `b` or neither better, in the order of the aspects' keys."""
        counts = Counter((vote["aspect"], vote["outcome"]) for vote in self.aspect_votes)
        return [
            {"aspect": aspect, **{f"votes_{side}": counts[aspect, side] for side in ("a", "b", "tie")}}
            for aspect in sorted({vote["aspect"] for vote in self.aspect_votes})
        ]

    @property
    def tally(self) -> Tally:
        tally = Tally()
        for vote in self.annotators:
            tally.add(vote["outcome"], vote["strength"])
        return tally


def settle(
    said: Said, tally: Tally, resolution: Settled | None, config: SnapshotConfig, weights: Mapping[int, float]
) -> Settled | None:
    """How the row is settled, or None where the settings leave it out.

    `resolution` is what the comparison stands at now; `by` says by which rule. A reviewer's word stands. A resolution
    by reliability counts where everybody's votes do: it was made from all of them. `weights` are reliabilities by
    labeler; empty: everybody has 1.
    """
    if resolution is not None and resolution.by == ADJUDICATED:
        return resolution._replace(by="adjudication")
    if not tally.total:
        return by_judges(said.voices) if config.include_judge_rows else None
    if tally.total < config.min_labels:
        return None
    weight = sum(weights.get(labeler, 1.0) for labeler in said.labeler_ids) / tally.total
    if resolution is not None and resolution.by == RELIABILITY and is_everybody(config):
        return resolution._replace(weight=weight)
    return Settled(tally.outcome, tally.p_a, tally.strength, "votes", weight)


def is_everybody(config: SnapshotConfig) -> bool:
    return set(config.labeler_kinds) == set(LabelerKind.values)


def by_judges(voices: list[dict[str, Any]]) -> Settled | None:
    """What all judges that spoke agree on. `p_a` is the mean of theirs; a judge without one has 1, ½ or 0."""
    judges = [voice for voice in voices if voice["kind"] == VoiceKind.JUDGE]
    outcomes = {voice["outcome"] for voice in judges}
    if len(outcomes) != 1:
        return None
    outcome = outcomes.pop()
    shares = [_SHARES[outcome] if voice["p_a"] is None else voice["p_a"] for voice in judges]
    return Settled(outcome, sum(shares) / len(shares), None, "judges")
