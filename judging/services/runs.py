"""Runs: asking a judge version about a selection, in both orders, as a job that can stop and resume."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from judging.engines.base import STOPPED, Engine, EngineError, JudgeRequest
from judging.models import EngineKind, JudgeRun, JudgeVersion, Order, Verdict, VerdictStatus
from judging.parsing import PARSER_VERSION, READ_STATUSES
from judging.prompts import build_pair_prompt
from judging.selectors.selection import Selection, selected_ids, selection_from_json
from judging.services.engines import engine_for
from judging.services.provenance import marker_nonce, verdict_hash
from judging.services.reading import verdict_fill
from judging.services.reparse import reparse_version
from judging.services.voices import judge_voices_publish
from labeling.models import Comparison
from webapp.audit.services import record
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import Message, message, said_by
from webapp.jobs.services import job_enqueue
from webapp.users.models import User

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext

CHUNK = 32  # comparisons judged between two writes: two calls each
# An endpoint that fails this often in a row is not asked the other ten thousand questions.
MAX_ERRORS_IN_A_ROW = 40
_UPDATED = [
    "run", "status", "outcome", "p_a", "label_mass", "detail", "raw_text", "reasoning", "finish_reason",
    "label_logprobs", "planted", "was_clipped", "parser_version", "provenance_hash", "usage", "latency_ms",
    "created_at",
]  # fmt: skip


@transaction.atomic
def run_start(*, version: JudgeVersion, selection: Selection, created_by: User | None = None) -> JudgeRun:
    """A run over a selection, begun as a job. Raises SelectionError for one that cannot be read."""
    selection = selection_from_json(selection.to_json())
    if selection.limit and not selection.seed:
        selection = replace(selection, seed=secrets.randbelow(2**31 - 1) + 1)
    project = version.judge.project
    run = JudgeRun.objects.create(
        project=project, judge_version=version, selection=selection.to_json(), created_by=created_by
    )
    job = job_enqueue(
        kind="judge.run",
        params={"run": str(run.uid)},
        project_id=project.pk,
        title=message(gettext_noop("Judge with %(judge)s"), judge=version),
        created_by=created_by,
    )
    run.job_uid = job.uid
    run.save(update_fields=["job_uid"])
    record(
        action="judge.run", subject=str(version), actor=created_by, project_id=project.pk, run=str(run.uid)
    )
    return run


def run_execute(context: JobContext) -> dict[str, Any]:
    """Carry the run named in the job's parameters to its end; go on where an earlier attempt ended."""
    run = (
        JudgeRun.objects.select_related("judge_version__judge__project", "judge_version__endpoint")
        .filter(uid=context.params["run"])
        .first()
    )
    if run is None:
        raise PermanentJobError(message(gettext_noop("This run has been deleted.")))
    version = run.judge_version
    ids = selected_ids(run.project, selection_from_json(run.selection))
    with context.guarded():
        JudgeRun.objects.filter(pk=run.pk).update(total=len(ids))
    reparse_version(version, guard=context.guarded)
    try:
        engine = engine_for(version)
    except EngineError as error:
        raise PermanentJobError(said_by(error)) from error
    try:
        reason = _judge_all(context, run, engine, ids)
    finally:
        engine.close()
    with context.guarded():
        counts = _counts(run, ids)
        JudgeRun.objects.filter(pk=run.pk).update(counts=counts, finished_at=timezone.now())
    if set(counts) == {VerdictStatus.ERROR}:
        raise PermanentJobError(
            message(
                gettext_noop("None of the %(count)d calls was answered; the last one said: %(reason)s"),
                count=counts[VerdictStatus.ERROR],
                reason=reason,
            )
        )
    return {"run": str(run.uid), "comparisons": len(ids), "counts": counts}


def _judge_all(context: JobContext, run: JudgeRun, engine: Engine, ids: Sequence[int]) -> str:
    """Returns what the last failed call said; raises PermanentJobError when it had to give up."""
    errors_in_a_row, reason = 0, ""
    tally: Counter[str] = Counter()
    for start in range(0, len(ids), CHUNK):
        context.progress(start, len(ids), _progress_words(tally))
        verdicts = _judge_chunk(context, run, engine, ids[start : start + CHUNK])
        with context.guarded():
            _store(run, verdicts)
            # Kept answers, too: they may be older than the table of voices.
            judge_voices_publish(run.judge_version.judge, ids[start : start + CHUNK])
        tally.update(verdict.status for verdict in verdicts)
        for verdict in verdicts:
            failed = verdict.status == VerdictStatus.ERROR
            errors_in_a_row, reason = (errors_in_a_row + 1, verdict.detail) if failed else (0, reason)
        if run.judge_version.engine == EngineKind.OPENAI and errors_in_a_row >= MAX_ERRORS_IN_A_ROW:
            raise PermanentJobError(
                message(
                    gettext_noop("%(count)d calls failed in a row; the last one said: %(reason)s"),
                    count=errors_in_a_row,
                    reason=reason,
                )
            )
        if verdicts:
            context.checkpointed()
        if context.should_stop():
            context.stop()
    context.progress(len(ids), len(ids), _progress_words(tally))
    return reason


def _progress_words(tally: Counter[str]) -> Message:
    read, failed = sum(tally[status] for status in READ_STATUSES), tally[VerdictStatus.ERROR]
    return message(
        gettext_noop("verdicts: %(read)d read, %(unread)d without an outcome, %(failed)d failed calls"),
        read=read,
        unread=tally.total() - read - failed,
        failed=failed,
    )


def _judge_chunk(context: JobContext, run: JudgeRun, engine: Engine, ids: Sequence[int]) -> list[Verdict]:
    """Verdicts that are not there yet; calls that were not made because of a stop are left out."""
    asked = _missing(run, ids)
    requests = [request for _verdict, request in asked]
    try:
        replies = engine.judge(requests, should_stop=context.should_stop) if requests else []
    except EngineError as error:
        raise PermanentJobError(said_by(error)) from error
    return [
        verdict_fill(verdict, run.judge_version, reply)
        for (verdict, _request), reply in zip(asked, replies, strict=True)
        if reply.error != STOPPED
    ]


def _missing(run: JudgeRun, ids: Sequence[int]) -> list[tuple[Verdict, JudgeRequest]]:
    """The calls to make: both orders of each comparison, without those whose answer is kept.

    An error is not an answer, so it is asked again. Scores change with the champion and cost nothing, so a
    scorer is always asked anew.
    """
    version = run.judge_version
    comparisons = Comparison.objects.filter(pk__in=ids).select_related("prompt", "response_a", "response_b")
    keys = {
        (comparison.pk, order): (comparison, verdict_hash(version, comparison, order, PARSER_VERSION))
        for comparison in comparisons.order_by("pk")
        for order in Order.values
    }
    kept: set[str] = set()
    if version.engine != EngineKind.SCORER:
        known = Verdict.objects.filter(provenance_hash__in=[key for _comparison, key in keys.values()])
        kept = set(known.exclude(status=VerdictStatus.ERROR).values_list("provenance_hash", flat=True))
    return [
        _call(run, comparison, order, key)
        for (_pk, order), (comparison, key) in keys.items()
        if key not in kept
    ]


def _call(run: JudgeRun, comparison: Comparison, order: str, key: str) -> tuple[Verdict, JudgeRequest]:
    version = run.judge_version
    texts = (comparison.response_a.text, comparison.response_b.text)
    first, second = texts if order == Order.AB else texts[::-1]
    prompt = build_pair_prompt(
        question=comparison.prompt.messages,
        first=first,
        second=second,
        rubric=version.rubric,
        language=version.language,
        allow_tie=version.allow_tie,
        template="compact" if version.template == "compact" else "pair",
        reasoned=version.reasoned,
        nonce=marker_nonce(key),
    )
    is_local = version.engine == EngineKind.LOCAL
    verdict = Verdict(
        judge_version=version,
        comparison=comparison,
        run=run,
        order=order,
        provenance_hash=key,
        # A stored score cannot be dictated by a verdict written into a text.
        planted=sorted(prompt.planted) if version.engine != EngineKind.SCORER else [],
        was_clipped=prompt.was_clipped and version.engine != EngineKind.SCORER,
        created_at=timezone.now(),
    )
    request = JudgeRequest(
        messages=prompt.messages,
        labels=prompt.labels,
        prefill=prompt.prefill if is_local else "",
        comparison_id=comparison.pk,
        order=order,
        pattern=version.pattern or None,
    )
    return verdict, request


def _store(run: JudgeRun, verdicts: Sequence[Verdict]) -> None:
    """Insert, or replace the earlier answer of the same call. Comparisons deleted meanwhile are left out."""
    alive = set(
        Comparison.objects.filter(pk__in=[verdict.comparison_id for verdict in verdicts]).values_list(
            "pk", flat=True
        )
    )
    Verdict.objects.bulk_create(
        [verdict for verdict in verdicts if verdict.comparison_id in alive],
        update_conflicts=True,
        unique_fields=["comparison", "judge_version", "order"],
        update_fields=_UPDATED,
    )


def _counts(run: JudgeRun, ids: Sequence[int]) -> dict[str, int]:
    """Verdicts by status over the run's whole selection, kept ones included."""
    tally: Counter[str] = Counter()
    for start in range(0, len(ids), 1000):
        rows = Verdict.objects.filter(
            judge_version=run.judge_version, comparison_id__in=ids[start : start + 1000]
        )
        tally.update(rows.values_list("status", flat=True))
    return dict(tally)
