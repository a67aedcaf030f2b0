"""The handlers of the import jobs: load, call one service, report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext_noop

from labeling.importing.hub import HubError
from labeling.importing.services import (
    CHECKABLE,
    WRITABLE,
    ImportStateError,
    import_check,
    import_check_begin,
    import_fail,
    import_fetch,
    import_write,
)
from labeling.importing.writing import CursorMovedError
from labeling.models import Import, ImportState
from webapp.jobs.context import JobContext
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import Message, message
from webapp.jobs.models import Job


def _load(context: JobContext, allowed: tuple[ImportState, ...]) -> tuple[Import, bool]:
    """The job's import, and whether there is work on it; if so, it is told which job is at work.

    A job may run again after its last write, when its import has long gone on: it must not become that job
    whose end is the import's end.
    """
    import_ = Import.objects.select_related("project").filter(uid=context.params["import"]).first()
    if import_ is None:
        raise PermanentJobError(message(gettext_noop("The import was thrown away.")))
    with context.guarded():
        rows = Import.objects.filter(pk=import_.pk, state__in=allowed)
        is_due = bool(rows.update(job_uid=context.job.uid))
    import_.refresh_from_db()
    return import_, is_due


def fetch_import(context: JobContext) -> dict[str, Any]:
    """Fetches a hub's data set, keeps it as the import's file, and lets it be checked."""
    import_, is_due = _load(context, (ImportState.UPLOADED,))
    words = message(gettext_noop("fetching files"))
    if is_due and not import_.path:
        try:
            import_fetch(
                import_,
                guard=context.guarded,
                progress=lambda done, total: context.progress(done, total, words),
            )
        except HubError as error:
            raise PermanentJobError(error.words) from error
    if is_due:
        with context.guarded():
            import_check_begin(import_)
    return {"bytes": import_.size_bytes}


def check_import(context: JobContext) -> dict[str, Any]:
    """Reads the whole file of an import, and stores its preview and its problems."""
    import_, is_due = _load(context, CHECKABLE)
    words = message(gettext_noop("reading the file"))
    try:
        if is_due:
            import_check(
                import_,
                guard=context.guarded,
                progress=lambda done, total: context.progress(done, total, words),
            )
    except ImportStateError as error:
        # Another job checks it by newer options, or has done so already: what that one finds counts.
        context.log(str(error))
        import_.refresh_from_db()
    return {"state": import_.state, "rows": import_.row_count, "problems": import_.problem_count}


def write_import(context: JobContext) -> dict[str, Any]:
    """Writes the rows of a confirmed import, batch by batch; each batch is a checkpoint."""
    import_, is_due = _load(context, WRITABLE)
    if import_.state == ImportState.DONE:
        return dict(import_.counts.get("written", {}))
    if not is_due:
        raise PermanentJobError(message(gettext_noop("This import is not to be written.")))
    words = message(gettext_noop("rows written"))

    def progress(done: int, total: int) -> None:
        context.checkpointed()
        context.progress(done, total, words)

    try:
        return asdict(import_write(import_, guard=context.guarded, progress=progress))
    except CursorMovedError as error:
        raise PermanentJobError(message(gettext_noop("Another worker is writing this import."))) from error


def import_job_ended(job: Job) -> None:
    """Called in the transaction in which an import's job failed or was cancelled: the import follows."""
    import_ = Import.objects.filter(uid=job.params.get("import"), job_uid=job.uid).first()
    if import_ is not None:
        told = job.error if isinstance(job.error, Message) else job.error_line
        import_fail(import_, told or message(gettext_noop("cancelled")))
