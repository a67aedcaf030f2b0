"""A project, its people, and a data folder of the test's own."""

from __future__ import annotations

import pytest

from labeling.importing.options import ImportOptions
from labeling.importing.services import import_create
from labeling.importing.uploads import upload_store
from labeling.models import Import, Membership, Project, Role
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from webapp.users.models import User


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def manager(db):
    return User.objects.create_user("manager", password="long enough 1")


@pytest.fixture
def project(manager):
    project = Project.objects.create(name="Pairs", slug="pairs", created_by=manager)
    Membership.objects.create(project=project, user=manager, role=Role.MANAGER)
    return project


@pytest.fixture
def bring(project):
    """Stores bytes as an upload and makes the import, without a job."""

    def make(data: bytes, file_name: str = "rows.jsonl", *, into: Project | None = None, **options) -> Import:
        return import_create(
            project=into or project,
            file_name=file_name,
            stored=upload_store([data]),
            options=ImportOptions(**options),
            enqueue=False,
        )

    return make


def finish_job(import_: Import) -> Import:
    """Runs the import's job as a worker would, and returns the import as it then stands."""
    import_.refresh_from_db()
    run_inline(Job.objects.get(uid=import_.job_uid))
    return Import.objects.select_related("project").get(pk=import_.pk)
