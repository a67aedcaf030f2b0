"""Of a deleted project nothing stays: no row, no file, no job, whichever way it went."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import transaction
from django.urls import reverse

from labeling.importing.options import ImportOptions
from labeling.importing.services import import_create
from labeling.importing.uploads import upload_path, upload_store
from labeling.models import Import, Preference, Project
from labeling.services.deletion import FOLDERS, leftovers_remove, project_delete
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots.files import snapshot_path
from tests.factories import make_comparison, make_labeler, make_preference, make_project, make_user
from webapp.audit.models import AuditEvent
from webapp.jobs.claims import job_claim
from webapp.jobs.context import Interruptions, JobContext
from webapp.jobs.execution import Ending, execute
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data(settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def full_project(data: Path, slug: str) -> tuple[Project, list[Path]]:
    """A project with labels, a snapshot and its job, an import, files in every folder; and those files."""
    project = make_project(slug)
    make_preference(make_comparison(project), make_labeler(project))
    snapshot = snapshot_build(snapshot_create(project=project))
    stored = upload_store([b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n'])
    import_create(project=project, file_name="a.jsonl", stored=stored, options=ImportOptions())
    files = [snapshot_path(snapshot), upload_path(stored.name)]
    files += [data / name / str(project.pk) / "1" / "file" for name in FOLDERS[1:]]
    jobs = Job.objects.filter(project_id=project.pk)
    files += [JobContext(job, Interruptions()).checkpoint_dir / "state" for job in jobs]
    for file in files[2:]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    assert all(file.exists() for file in files)
    return project, files


def is_gone(number: int, files: list[Path], data: Path) -> bool:
    rows = Job.objects.filter(project_id=number).exists() or Project.objects.filter(pk=number).exists()
    folders = any((data / name / str(number)).exists() for name in FOLDERS)
    return not rows and not folders and not any(file.exists() for file in files)


def test_a_deleted_project_leaves_nothing_and_others_keep_all(data, django_capture_on_commit_callbacks):
    project, files = full_project(data, "gone")
    kept, kept_files = full_project(data, "kept")
    number, actor = project.pk, make_user()
    with django_capture_on_commit_callbacks(execute=True):
        project_delete(project=project, actor=actor)
        assert all(file.exists() for file in files)
    assert is_gone(number, files, data)
    assert all(file.exists() for file in kept_files)
    assert Preference.objects.filter(project=kept).count() == 1
    assert Job.objects.filter(project_id=kept.pk, state="queued").count() == 2
    assert AuditEvent.objects.get(action="project.delete").actor == actor
    assert AuditEvent.objects.filter(action="job.cancel", project_id=number).count() == 2


def test_a_deletion_that_is_undone_removes_no_file(data, django_capture_on_commit_callbacks):
    project, files = full_project(data, "back")
    number = project.pk
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        project_delete(project=project)
        transaction.set_rollback(True)
    leftovers_remove()
    assert all(file.exists() for file in files)
    assert Job.objects.filter(project_id=number, state="queued").count() == 2


@pytest.mark.parametrize("way", ["one", "several"])
def test_the_admin_deletes_a_project_with_its_read_only_rows(
    client, data, django_capture_on_commit_callbacks, way
):
    project, files = full_project(data, "admin")
    number = project.pk
    client.force_login(make_user(is_staff=True, is_superuser=True))
    if way == "one":
        url, values = reverse("admin:labeling_project_delete", args=[number]), {}
    else:
        url = reverse("admin:labeling_project_changelist")
        values = {"action": "delete_selected", "_selected_action": [number]}
    page = client.post(url, values) if values else client.get(url)
    assert page.status_code == 200
    assert "post" in page.text
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(url, values | {"post": "yes"}).status_code == 302
    assert is_gone(number, files, data)


def test_a_project_deleted_from_a_shell_goes_with_the_next_sweep(data, django_capture_on_commit_callbacks):
    project, files = full_project(data, "shell")
    number = project.pk
    upload = upload_path(Import.objects.get(project=project).path)
    Project.objects.filter(pk=number).delete()
    with django_capture_on_commit_callbacks(execute=True):
        leftovers_remove()
    # An upload that no import names may belong to one that is just being made; it goes after a day.
    hours_ago = time.time() - 5 * 3600
    os.utime(upload, (hours_ago, hours_ago))
    leftovers_remove()
    assert upload.exists()
    assert is_gone(number, [file for file in files if file != upload], data)
    os.utime(upload, (hours_ago - 86400, hours_ago - 86400))
    leftovers_remove()
    assert not upload.exists()


def test_a_job_at_work_ends_as_cancelled_and_then_goes(data, django_capture_on_commit_callbacks):
    project, files = full_project(data, "busy")
    number = project.pk
    job = Job.objects.get(project_id=number, kind="snapshot.make")
    Job.objects.filter(pk=job.pk).update(params={"snapshot_id": snapshot_create(project=project).pk})
    job = job_claim(job.pk, worker="w")
    assert job is not None
    with django_capture_on_commit_callbacks(execute=True):
        project_delete(project=project)
    job.refresh_from_db()
    assert (job.state, job.cancel_requested_at is not None) == ("running", True)

    ending, _error = execute(job, Interruptions())

    assert ending is Ending.CANCELLED
    job.refresh_from_db()
    assert (job.state, str(job.error)) == ("cancelled", "")
    leftovers_remove()
    assert is_gone(number, files, data)


def test_files_of_a_number_that_this_database_never_had_are_left_alone(data):
    stranger = data / "models" / "987654" / "1"
    stranger.mkdir(parents=True)
    leftovers_remove()
    assert stranger.exists()


def test_the_folder_of_another_databases_job_is_left_while_it_is_written(data):
    work = data / "jobs" / str(uuid4()) / "work"
    work.mkdir(parents=True)
    (work / "state").write_text("x")
    long_ago = time.time() - 4 * 86400
    for path in (work, work.parent):
        os.utime(path, (long_ago, long_ago))
    assert leftovers_remove() == 0
    assert (work / "state").exists()
    os.utime(work / "state", (long_ago, long_ago))
    assert leftovers_remove() == 1
    assert not work.parent.exists()


def test_a_folder_that_cannot_be_removed_is_not_counted_and_no_error_of_the_person(
    client, data, django_capture_on_commit_callbacks, monkeypatch
):
    project, _files = full_project(data, "stuck")
    url = reverse("admin:labeling_project_delete", args=[project.pk])
    client.force_login(make_user(is_staff=True, is_superuser=True))

    def broken() -> int:
        raise PermissionError("data folder")

    with monkeypatch.context() as patch:
        patch.setattr("labeling.services.deletion.leftovers_remove", broken)
        with django_capture_on_commit_callbacks(execute=True):
            assert client.post(url, {"post": "yes"}).status_code == 302
    assert not Project.objects.filter(pk=project.pk).exists()

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_args, **_options: None)
        jobs = Job.objects.count()
        assert leftovers_remove() == jobs > 0
    assert leftovers_remove() == len(FOLDERS)
