"""Deleting a project with everything that it has, and collecting what deleted projects have left behind.

A project's files lie in `DATA_DIR/<one of FOLDERS>/<number of the project>`, its uploads and its jobs' folders
under names of their own. Rows go first; files follow once that has committed. What cannot go at once — files
that a job at work still writes, projects deleted from a shell — goes with the next sweep.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import transaction

from labeling.importing.services import import_files_sweep
from labeling.importing.uploads import upload_remove
from labeling.models import Project
from webapp.audit.models import AuditEvent
from webapp.audit.services import record
from webapp.jobs.cleaning import folder_remove, remove_old_folders
from webapp.jobs.models import ACTIVE_STATES, Job
from webapp.jobs.services import jobs_cancel_for_project
from webapp.notices.services import notices_remove
from webapp.users.models import User
from webapp.webhooks import cleaning as webhooks

FOLDERS = ("snapshots", "exports", "models", "judges")


@transaction.atomic
def project_delete(*, project: Project, actor: User | None = None) -> None:
    """Cancel the project's jobs, delete its rows, and remove its files once that has committed."""
    number = project.pk
    record(action="project.delete", subject=project.slug, actor=actor, project_id=number)
    jobs_cancel_for_project(number, actor=actor)
    webhooks.webhooks_remove(number)
    notices_remove(number)
    uploads = list(project.imports.values_list("path", flat=True))
    project.delete()

    def remove_files() -> None:
        for name in uploads:
            upload_remove(name)
        leftovers_remove()

    # The project is gone: what cannot be cleaned now goes with the next sweep.
    transaction.on_commit(remove_files, robust=True)


def leftovers_remove() -> int:
    """Remove what belongs to no project any more: files, ended jobs with their logs and folders.

    Jobs at work are asked to end, and go with the next sweep. Returns how many folders and jobs were removed.
    A few queries and a look at a few folders when there is nothing to do.
    """
    orphans = Job.objects.filter(project_id__isnull=False).exclude(
        project_id__in=Project.objects.order_by().values("pk")
    )
    at_work = orphans.filter(state__in=ACTIVE_STATES, cancel_requested_at__isnull=True)
    for number in set(at_work.order_by().values_list("project_id", flat=True)):
        if number is not None:
            jobs_cancel_for_project(number)
    ended = orphans.exclude(state__in=ACTIVE_STATES)
    deleted = {str(uid) for uid in ended.order_by().values_list("uid", flat=True)}
    removed, _by_model = ended.delete()
    removed += remove_old_folders(deleted=deleted)
    removed += sum(folder_remove(folder) for folder in _folders_left())
    removed += webhooks.leftovers_remove(Project.objects.all())
    return removed + import_files_sweep()


def _folders_left() -> list[Path]:
    """Folders of projects that the audit log knows and that are gone.

    A number that it does not know may be a project of another database on the same data folder.
    """
    roots = [root for root in (Path(settings.DATA_DIR) / name for name in FOLDERS) if root.is_dir()]
    folders = [entry for root in roots for entry in root.iterdir() if entry.name.isdecimal()]
    numbers = {int(folder.name) for folder in folders}
    known = AuditEvent.objects.filter(project_id__in=numbers).order_by().values_list("project_id", flat=True)
    gone = set(known) - set(Project.objects.filter(pk__in=numbers).order_by().values_list("pk", flat=True))
    return [folder for folder in folders if int(folder.name) in gone]
