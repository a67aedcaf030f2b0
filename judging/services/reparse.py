"""Reading stored answers again with a newer parser, without asking anybody."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from django.db import transaction

from judging.models import JudgeVersion, Verdict
from judging.parsing import PARSER_VERSION
from judging.services.provenance import verdict_hash
from judging.services.reading import verdict_read

BATCH = 500
Guard = Callable[[], AbstractContextManager[None]]
_FIELDS = ["status", "outcome", "p_a", "label_mass", "detail", "parser_version", "provenance_hash"]


def reparse_version(version: JudgeVersion, *, guard: Guard = transaction.atomic) -> int:
    """Read again every verdict of a version that an older parser read. Returns how many changed their status
    or outcome. The hash moves with the parser, so that kept answers are still found under it.
    """
    changed = 0
    last = 0
    while True:
        rows = list(
            Verdict.objects.filter(judge_version=version, pk__gt=last)
            .exclude(parser_version=PARSER_VERSION)
            .select_related("comparison__prompt", "comparison__response_a", "comparison__response_b")
            .order_by("pk")[:BATCH]
        )
        if not rows:
            return changed
        last = rows[-1].pk
        for verdict in rows:
            before = (verdict.status, verdict.outcome)
            verdict_read(verdict, version)
            verdict.provenance_hash = verdict_hash(version, verdict.comparison, verdict.order, PARSER_VERSION)
            changed += before != (verdict.status, verdict.outcome)
        with guard():
            Verdict.objects.bulk_update(rows, _FIELDS, batch_size=BATCH)
