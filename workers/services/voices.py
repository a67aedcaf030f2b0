"""Publishing what the champion says now to labeling, which filters, queues and ranks by it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from labeling.models import Comparison, VoiceKind
from labeling.services.voices import VoiceRow, voices_drop, voices_publish
from workers.models import RewardModel
from workers.selectors.scores import lean, opinions

CHUNK = 1000
SOURCE = "champion"
Guard = Callable[[], AbstractContextManager[None]]


def model_voices_publish(champion: RewardModel, *, guard: Guard) -> int:
    """Publish the champion's word on every comparison that it has scored, 1,000 under `guard` at a time.

    What a former champion said is replaced row by row, and goes only then where the new one says nothing: the queue
    is never empty in between. Returns how many voices are new or others.
    """
    changed, last = 0, 0
    project, name = champion.project, str(champion)
    rows = Comparison.objects.filter(project=project).order_by("pk")
    triples = rows.values_list("pk", "response_a_id", "response_b_id")
    while chunk := list(triples.filter(pk__gt=last)[:CHUNK]):
        last = chunk[-1][0]
        voices = [
            VoiceRow(pk, lean(said.p_a), said.p_a, said.score_a, said.score_b)
            for pk, said in opinions(champion, chunk).items()
        ]
        with guard():
            changed += voices_publish(
                project=project, kind=VoiceKind.MODEL, source=SOURCE, name=name, rows=voices
            )
    with guard():
        voices_drop(project=project, kind=VoiceKind.MODEL, source=SOURCE, keep_name=name)
    return changed
