"""Publishing what judges say now to labeling, which filters and queues by it."""

from __future__ import annotations

from collections.abc import Iterable

from judging.models import Judge, JudgeVersion
from judging.selectors.verdicts import paired_verdicts
from labeling.models import VoiceKind
from labeling.services.review import in_chunks
from labeling.services.voices import VoiceRow, voices_drop, voices_publish


def judge_voices_publish(judge: Judge, comparison_ids: Iterable[int]) -> int:
    """Publish the judge's word on these comparisons: both orders of its newest version that was asked about them.

    A word without an outcome (not read, or changing with the order) is published as such. Returns how many voices
    are new or others.
    """
    changed = 0
    versions = list(JudgeVersion.objects.filter(judge=judge).select_related("judge").order_by("-number"))
    for ids in in_chunks(comparison_ids):
        by_name: dict[str, list[VoiceRow]] = {}
        for pk, rows in paired_verdicts(ids, versions=versions).items():
            if rows:
                newest = rows[0]
                by_name.setdefault(str(newest.version), []).append(VoiceRow(pk, newest.outcome, newest.p_a))
        for name, voices in by_name.items():
            changed += voices_publish(
                project=judge.project, kind=VoiceKind.JUDGE, source=judge.uid.hex, name=name, rows=voices
            )
    return changed


def judge_voices_drop(judge: Judge) -> int:
    """The judge is about to go."""
    return voices_drop(project=judge.project, kind=VoiceKind.JUDGE, source=judge.uid.hex)
