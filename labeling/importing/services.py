"""What happens to an import, step by step: created, checked, confirmed, written, or thrown away.

Each step is one transaction, except the two long ones (`import_check`, `import_write`), which read the
file outside of transactions and write through the guard of the job that runs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.importing.checking import CheckReport, Progress, check_file
from labeling.importing.folders import packed_folder
from labeling.importing.hub import FetchProgress, HubError, HubName, fetch_dataset
from labeling.importing.layouts import layout_for
from labeling.importing.mapping import Mapping
from labeling.importing.options import ImportOptions, default_labeler
from labeling.importing.problems import ImportProblem
from labeling.importing.sample import sample_keys
from labeling.importing.texts import problem_words
from labeling.importing.uploads import (
    StoredFile,
    UploadTooLargeError,
    read_chunks,
    upload_digest,
    upload_path,
    upload_remove,
    upload_store,
    uploads_sweep,
)
from labeling.importing.writing import Guard, ImportWriteError, WriteCounts, write_file
from labeling.models import Import, ImportSource, ImportState, Project
from webapp.audit.services import record
from webapp.jobs.messages import Text, cut, encode, message
from webapp.jobs.services import job_enqueue
from webapp.users.models import User

CHECKABLE = (
    ImportState.UPLOADED,
    ImportState.CHECKING,
    ImportState.READY,
    ImportState.REFUSED,
    ImportState.FAILED,
)
WRITABLE = (ImportState.WRITING, ImportState.FAILED)


class ImportStateError(Exception):
    """The import's state does not allow what was asked; the message says why."""


@transaction.atomic
def import_create(
    *,
    project: Project,
    file_name: str,
    stored: StoredFile,
    options: ImportOptions | None = None,
    mapping: Mapping | None = None,
    source: ImportSource = ImportSource.UPLOAD,
    created_by: User | None = None,
    enqueue: bool = True,
) -> Import:
    """An import of a stored file; its check begins at once, as a job, unless `enqueue` is false."""
    options = options or ImportOptions()
    if not options.labeler:
        options = replace(options, labeler=_labeler_of(project, stored, file_name))
    import_ = Import.objects.create(
        project=project,
        file_name=file_name[:255],
        path=stored.name,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        options=options.as_json(),
        mapping=mapping.as_json() if mapping else {},
        source=source,
        created_by=created_by,
    )
    record(
        action="import.create",
        subject=file_name,
        actor=created_by,
        project_id=project.pk,
        uid=str(import_.uid),
    )
    if enqueue:
        _enqueue(import_, _first_job(import_), created_by)
    transaction.on_commit(import_files_sweep)
    return import_


@transaction.atomic
def import_from_hub(
    *,
    project: Project,
    name: HubName,
    options: ImportOptions | None = None,
    mapping: Mapping | None = None,
    created_by: User | None = None,
    enqueue: bool = True,
) -> Import:
    """An import of a hub's data set; fetching it begins at once, as a job, and its check after that."""
    return import_create(
        project=project,
        file_name=str(name),
        stored=StoredFile("", 0, ""),
        options=options,
        mapping=mapping,
        source=ImportSource.HUB,
        created_by=created_by,
        enqueue=enqueue,
    )


def import_fetch(
    import_: Import, *, guard: Guard = transaction.atomic, progress: FetchProgress | None = None
) -> None:
    """Fetches a hub's data set, and keeps it as the import's file. Raises HubError, ImportStateError."""
    with tempfile.TemporaryDirectory(prefix="chosen-hub-") as folder:
        name = HubName.read(import_.file_name)
        fetch_dataset(name, Path(folder), max_bytes=settings.UPLOAD_MAX_BYTES, progress=progress)
        try:
            with packed_folder(Path(folder)) as archive:
                stored = upload_store(read_chunks(archive))
        except UploadTooLargeError as error:
            raise HubError(message(gettext_noop("The data set is too large."))) from error
    with guard():
        _take(
            import_,
            (ImportState.UPLOADED,),
            _("This import is not to be fetched."),
            path=stored.name,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
        )


@transaction.atomic
def import_check_begin(import_: Import, *, created_by: User | None = None) -> None:
    """Lets a file that was just fetched be checked, as a job."""
    _enqueue(import_, "import.check", created_by)


def import_files_sweep() -> int:
    """Removes files that deleted projects or aborted uploads have left behind; returns how many."""
    kept = Import.objects.exclude(state=ImportState.DONE).order_by().values_list("path", flat=True)
    return uploads_sweep(set(kept))


def _labeler_of(project: Project, stored: StoredFile, file_name: str) -> str:
    """The labeler's name of an earlier import of the same bytes (or the same data set), so that a renamed file is not a
    second opinion.
    """
    same = {"sha256": stored.sha256} if stored.sha256 else {"file_name": file_name}
    earlier = Import.objects.filter(project=project, **same).order_by("pk").first()
    return (earlier and earlier.options.get("labeler")) or default_labeler(file_name)


def _first_job(import_: Import) -> str:
    """What comes first: its check, or fetching the file."""
    return "import.check" if import_.path else "import.fetch"


def _enqueue(import_: Import, kind: str, created_by: User | None) -> None:
    titles = {
        "import.fetch": gettext_noop("Fetch %(file)s"),
        "import.check": gettext_noop("Check %(file)s"),
        "import.write": gettext_noop("Import %(file)s"),
    }
    job = job_enqueue(
        kind=kind,
        params={"import": str(import_.uid)},
        project_id=import_.project_id,
        title=message(titles[kind], file=import_.file_name),
        created_by=created_by,
    )
    import_.job_uid = job.uid
    Import.objects.filter(pk=import_.pk).update(job_uid=job.uid)


def _take(import_: Import, allowed: tuple[ImportState, ...], message: str, **changes: Any) -> None:
    """Changes the row if its state is one of `allowed`, else raises ImportStateError. Refreshes the
    instance.
    """
    if not Import.objects.filter(pk=import_.pk, state__in=allowed).update(**changes):
        raise ImportStateError(message)
    import_.refresh_from_db()


@transaction.atomic
def import_recheck(
    import_: Import,
    *,
    options: ImportOptions,
    mapping: dict[str, Any] | None = None,
    actor: User | None = None,
) -> None:
    """Checks the file anew with other options, or another mapping: an empty one lets its layout be found, None keeps
    what there is. Raises ImportStateError once writing has begun, MappingError.
    """
    if mapping is None:
        mapping = import_.mapping
    elif mapping != {}:  # with the file's keys, by which the next file like it is known
        mapping = Mapping.from_json(mapping).as_json() | {"keys": sample_keys(import_.sample)}
    if not options.labeler:
        options = replace(
            options, labeler=import_.options.get("labeler") or default_labeler(import_.file_name)
        )
    if import_.cursor:
        raise ImportStateError(
            _("Rows of this file have been written already. Upload it again to change settings.")
        )
    _take(
        import_,
        CHECKABLE,
        _("This import is being written or is done; it cannot be checked again."),
        state=ImportState.UPLOADED,
        options=options.as_json(),
        mapping=mapping,
    )
    _enqueue(import_, _first_job(import_), actor)


@transaction.atomic
def import_confirm(
    import_: Import, *, skip_bad: bool = False, actor: User | None = None, enqueue: bool = True
) -> None:
    """Lets a checked import be written. One with bad lines needs `skip_bad`; one that cannot be read whole
    is never written. Raises ImportStateError."""
    import_.refresh_from_db()
    skip = skip_bad or bool(import_.options.get("skip_bad"))
    if import_.state == ImportState.REFUSED:
        if import_.counts.get("is_fatal") or not import_.counts.get("records"):
            raise ImportStateError(
                _("This file cannot be imported: nothing behind its first fault can be trusted.")
            )
        if not skip:
            raise ImportStateError(
                _("The file has bad lines. Correct them, or say that they are to be skipped.")
            )
    _take(
        import_,
        (ImportState.READY, ImportState.REFUSED),
        _("Only an import that has been checked can be confirmed."),
        state=ImportState.WRITING,
        options=import_.options | {"skip_bad": skip and import_.problem_count > 0},
    )
    record(
        action="import.confirm",
        subject=import_.file_name,
        actor=actor,
        project_id=import_.project_id,
        uid=str(import_.uid),
        skipped_lines=import_.problem_count,
    )
    if enqueue:
        _enqueue(import_, "import.write", actor)


@transaction.atomic
def import_retry(import_: Import, *, actor: User | None = None) -> None:
    """Goes on with a failed import where it stopped. Raises ImportStateError in any other state."""
    checked = bool(import_.counts.get("records"))
    state = ImportState.WRITING if checked else ImportState.UPLOADED
    _take(import_, (ImportState.FAILED,), _("Only a failed import can be tried again."), state=state)
    _enqueue(import_, "import.write" if checked else _first_job(import_), actor)


@transaction.atomic
def import_discard(import_: Import, *, actor: User | None = None) -> None:
    """Throws away an import of which nothing was written, with its file. Raises ImportStateError."""
    rows = (
        Import.objects.select_for_update()
        .filter(pk=import_.pk, cursor=0)
        .exclude(state__in=(ImportState.WRITING, ImportState.DONE, ImportState.CHECKING))
    )
    if not rows.first():
        raise ImportStateError(_("An import that is at work, or has written rows, cannot be thrown away."))
    record(action="import.discard", subject=import_.file_name, actor=actor, project_id=import_.project_id)
    path = import_.path
    rows.delete()
    transaction.on_commit(lambda: upload_remove(path))


def import_check(
    import_: Import, *, guard: Guard = transaction.atomic, progress: Progress | None = None
) -> None:
    """Reads the whole file and stores what was found; afterwards the import is ready or refused.

    Raises ImportStateError when it cannot be checked any more, or was given other options meanwhile: what was
    found by the old ones is not stored.
    """
    with guard():
        _take(import_, CHECKABLE, _("This import cannot be checked any more."), state=ImportState.CHECKING)
    options = ImportOptions.from_json(import_.options)
    with upload_path(import_.path).open("rb") as handle:
        layout = layout_for("", import_.mapping)
        report = check_file(handle, options, layout=layout, size_bytes=import_.size_bytes, progress=progress)
    is_good = report.is_usable and (options.skip_bad or not report.problem_count)
    changed = _("This import was changed while it was checked.")
    with guard():
        now = Import.objects.select_for_update().get(pk=import_.pk)
        if (now.options, now.mapping) != (import_.options, import_.mapping):
            raise ImportStateError(changed)
        _take(
            import_,
            (ImportState.CHECKING,),
            changed,
            state=ImportState.READY if is_good else ImportState.REFUSED,
            **_findings(report),
        )


def _findings(report: CheckReport) -> dict[str, Any]:
    return {
        "layout": report.layout,
        "members": report.members,
        "sample": report.sample,
        "row_count": report.rows,
        "counts": report.counts(),
        "problems": [problem.as_json() for problem in report.problems],
        "problem_count": report.problem_count,
        "preview": report.preview,
    }


def import_write(
    import_: Import, *, guard: Guard = transaction.atomic, progress: Progress | None = None
) -> WriteCounts:
    """Writes a confirmed import, or what is left of it, and returns its counts.

    Raises ImportWriteError (permanent) when the stored file is not the one that was checked.
    """
    with guard():
        _take(import_, WRITABLE, _("This import is not to be written."), state=ImportState.WRITING)
    if upload_digest(import_.path) != import_.sha256:
        raise ImportWriteError(problem_words(ImportProblem(0, 0, "file_changed")))
    counts = write_file(import_, guard=guard, progress=progress)
    with guard():
        _take(
            import_,
            (ImportState.WRITING,),
            _("This import is not to be written."),
            state=ImportState.DONE,
            finished_at=timezone.now(),
        )
        record(
            action="import.done",
            subject=import_.file_name,
            project_id=import_.project_id,
            uid=str(import_.uid),
            **asdict(counts),
        )
        transaction.on_commit(lambda: upload_remove(import_.path))
    return counts


def import_fail(import_: Import, reason: Text) -> None:
    """Marks an import whose job has ended without finishing it. Rows that it has written stay; a retry
    goes on.
    """
    Import.objects.filter(pk=import_.pk).exclude(state=ImportState.DONE).update(
        state=ImportState.FAILED, counts=import_.counts | {"error": encode(cut(reason, 500))}
    )


def import_run(
    import_: Import,
    *,
    skip_bad: bool = False,
    dry_run: bool = False,
    actor: User | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> WriteCounts | None:
    """Check, confirm and write in this process, for commands. None when the file was refused, or on a dry
    run.
    """
    import_check(import_)
    say(_("checked: %(rows)s rows, %(problems)s problems") % _figures(import_))
    if dry_run or (import_.state == ImportState.REFUSED and not (skip_bad and import_.counts.get("records"))):
        return None
    if import_.counts.get("is_fatal"):
        return None
    import_confirm(import_, skip_bad=skip_bad, actor=actor, enqueue=False)
    return import_write(import_)


def _figures(import_: Import) -> dict[str, int]:
    return {"rows": import_.row_count, "problems": import_.problem_count}
