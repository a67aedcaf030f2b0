"""The present word of judges and the reward model on comparisons, published by the storeys that hold it.

Labeling so filters, queues and ranks by voices without knowing who judges or scores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction

from labeling.models import Comparison, Project, Voice
from labeling.services.review import CHUNK, disagreements_refresh, in_chunks

_SAID = ("name", "outcome", "p_a", "value_a", "value_b")


@dataclass(frozen=True)
class VoiceRow:
    """One word. `outcome` is a, b, tie, or "" where a verdict could not be read; shares are for response_a."""

    comparison_id: int
    outcome: str
    p_a: float | None = None
    value_a: float | None = None
    value_b: float | None = None


def voices_publish(*, project: Project, kind: str, source: str, name: str, rows: Iterable[VoiceRow]) -> int:
    """Write what `source` (a judge's uid, "champion") says now, 1,000 comparisons in one transaction at a time.

    What stands already is left alone, and what differs brings the queue of disagreements in step. Comparisons that
    are gone, or of another project, are left out. Returns how many voices are new or others.
    """
    changed = 0
    for chunk in in_chunks(rows):
        with transaction.atomic():
            changed += _publish_chunk(project, kind, source, name, {row.comparison_id: row for row in chunk})
    return changed


def _publish_chunk(project: Project, kind: str, source: str, name: str, rows: dict[int, VoiceRow]) -> int:
    alive = _lock(project, rows)
    present = {
        voice.comparison_id: voice
        for voice in Voice.objects.filter(comparison_id__in=alive, kind=kind, source=source)
    }
    voices = [
        Voice(
            project=project,
            comparison_id=pk,
            kind=kind,
            source=source,
            name=name[:120],
            outcome=rows[pk].outcome,
            p_a=rows[pk].p_a,
            value_a=rows[pk].value_a,
            value_b=rows[pk].value_b,
        )
        for pk in alive
    ]
    others = [voice for voice in voices if _differs(voice, present.get(voice.comparison_id))]
    if others:
        Voice.objects.bulk_create(
            others,
            update_conflicts=True,
            unique_fields=["comparison", "kind", "source"],
            update_fields=[*_SAID, "updated_at"],
        )
        disagreements_refresh(voice.comparison_id for voice in others)
    return len(others)


def _lock(project: Project, comparison_ids: Iterable[int]) -> list[int]:
    """Votes on these comparisons wait for us, and we for them: in id order, as everybody does."""
    locked = Comparison.objects.select_for_update(no_key=True).filter(
        pk__in=list(comparison_ids), project=project
    )
    return list(locked.order_by("pk").values_list("pk", flat=True))


def _differs(voice: Voice, old: Voice | None) -> bool:
    return old is None or any(getattr(voice, name) != getattr(old, name) for name in _SAID)


def voices_drop(*, project: Project, kind: str, source: str, keep_name: str = "") -> int:
    """Remove what `source` said (of a deleted judge, of a former champion), but for the rows under `keep_name`."""
    dropped, last = 0, 0
    while True:
        stale = Voice.objects.filter(project=project, kind=kind, source=source, comparison_id__gt=last)
        found = (
            stale.exclude(name=keep_name).order_by("comparison_id").values_list("comparison_id", flat=True)
        )
        ids = list(found[:CHUNK])
        if not ids:
            return dropped
        last = ids[-1]
        with transaction.atomic():
            locked = _lock(project, ids)
            rows = Voice.objects.filter(comparison_id__in=locked, kind=kind, source=source)
            dropped += rows.exclude(name=keep_name).delete()[0]
            disagreements_refresh(locked)
