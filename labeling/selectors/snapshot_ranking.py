"""The ranking of the models by the labels of one snapshot, as they were then."""

from __future__ import annotations

from labeling.models import Snapshot
from labeling.selectors.figures import kept_figure
from labeling.selectors.model_ranking import (
    COMPARISONS_MOST,
    KINDS,
    ModelRanking,
    Pairing,
    Said,
    ranking_of,
)
from labeling.snapshots import SnapshotRow, read_snapshot

COLUMNS = (
    "comparison_id", "prompt_id", "model_a", "model_b", "response_a", "response_b", "language", "topic",
    "annotators", "voices",
)  # fmt: skip


def snapshot_ranking(
    snapshot: Snapshot, *, controlled: bool = False, language: str = "", topic: str = ""
) -> ModelRanking:
    """As `model_ranking`. Judges and the reward model speak where the snapshot was made with what they say. Raises
    SnapshotError."""
    name = f"snapshot-ranking:{snapshot.pk}:{controlled}:{language}:{topic}"
    return kept_figure(name, snapshot.project, lambda: _made(snapshot, controlled, language, topic))


def _made(snapshot: Snapshot, controlled: bool, language: str, topic: str) -> ModelRanking:
    pairings: dict[int, Pairing] = {}
    people, voices = Said("people", ""), dict[tuple[str, str], Said]()
    spare = max(0, snapshot.row_count - COMPARISONS_MOST)
    for number, row in enumerate(read_snapshot(snapshot, columns=COLUMNS)):
        if number < spare or not _is_game(row, language, topic):
            continue
        lengths = (len(row.response_a), len(row.response_b))
        pairings[row.comparison_id] = Pairing(row.prompt_id, (row.model_a, row.model_b), lengths)
        people.outcomes += [(row.comparison_id, vote["outcome"]) for vote in row.annotators]
        for voice in row.voices:
            kind, name = voice["kind"], voice["name"]
            heard = voices.setdefault((kind, name), Said(kind, name))
            heard.outcomes.append((row.comparison_id, voice["outcome"]))
    said = [people, *sorted(voices.values(), key=lambda voice: (KINDS.index(voice.kind), voice.name))]
    return ranking_of(pairings, said, controlled=controlled, is_newest=spare > 0)


def _is_game(row: SnapshotRow, language: str, topic: str) -> bool:
    """Whether two different named models stand against each other, on a prompt that is asked for."""
    named = row.model_a and row.model_b and row.model_a != row.model_b
    return bool(named) and language in ("", row.language) and topic in ("", row.topic)
