"""A project is deleted while a real worker runs one of its jobs."""

from __future__ import annotations

import pytest
from django.conf import settings

from labeling.services.deletion import leftovers_remove, project_delete
from tests.factories import make_project
from tests.servers import wait_until
from webapp.jobs.models import ACTIVE_STATES, Job
from webapp.jobs.services import job_enqueue
from webapp.users.models import User

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("kind", ["fault.steps", "fault.child_steps"])
def test_its_job_is_cancelled_writes_nothing_more_and_leaves_nothing(worker, notes, kind):
    project = make_project()
    number = project.pk
    files = {"notes": str(notes.path), "gate": str(notes.gate)}
    job = job_enqueue(kind=kind, params={**files, "steps": 40, "wait_at": 5}, project_id=number)
    process = worker()
    notes.wait_for("waiting")
    folder = settings.DATA_DIR / "jobs" / str(job.uid)
    models = settings.DATA_DIR / "models" / str(number)
    models.mkdir(parents=True)
    assert (folder / "step").exists()

    project_delete(project=project)

    assert not models.exists()
    # A job that stops at once is gone with its project: deletion itself clears what has ended by then.
    rows = Job.objects.filter(pk=job.pk)
    wait_until(lambda: not rows.filter(state__in=ACTIVE_STATES), timeout_s=60, what=f"the end of {job}")
    assert rows.values_list("state", flat=True).first() in ("cancelled", None), process.output
    assert notes.words() == ["start", "waiting", "stopped"]
    assert not User.objects.filter(username=f"result-{job.pk}").exists()
    assert "Traceback" not in process.output
    leftovers_remove()
    assert not rows.exists()
    assert not folder.exists()
