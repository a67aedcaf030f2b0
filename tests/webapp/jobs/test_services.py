import pytest
from django.db import transaction

from tests.factories import make_user
from webapp.audit.models import AuditEvent
from webapp.jobs.claims import job_claim
from webapp.jobs.errors import JobStateError, UnknownJobKind
from webapp.jobs.models import Job, JobState
from webapp.jobs.services import job_cancel, job_enqueue, job_retry, jobs_cancel_for_project
from webapp.users.models import User

pytestmark = pytest.mark.django_db


def test_a_job_is_sent_once_its_transaction_has_committed(sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        job = job_enqueue(kind="test.count", params={"to": 2}, project_id=7, title="Count")
        assert sent == []

    assert sent == [("jobs.run", job.pk, "default")]
    assert (job.state, job.attempts, job.fence, job.max_attempts) == ("queued", 0, 0, 3)


def test_without_a_broker_the_row_waits_to_be_sent_by_the_reaper(sent, django_capture_on_commit_callbacks):
    sent.broken = True
    with django_capture_on_commit_callbacks(execute=True):
        job = job_enqueue(kind="test.count", params={})

    job.refresh_from_db()
    assert (job.state, job.published_at) == ("queued", None)


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownJobKind, match=r"no\.such"):
        job_enqueue(kind="no.such", params={})


def test_cancelling_a_queued_job_ends_it_and_tells_its_subject_and_the_audit_log():
    actor = make_user()
    job = job_cancel(job_enqueue(kind="test.fail", params={}, project_id=3), actor=actor)

    assert job.state == JobState.CANCELLED
    assert job.finished_at is not None
    assert User.objects.filter(username=f"ended-{job.pk}-cancelled").exists()
    event = AuditEvent.objects.get(action="job.cancel")
    assert (event.actor, event.project_id, event.detail["job"]) == (actor, 3, str(job.uid))
    assert job_claim(job.pk, worker="late") is None


def test_cancelling_a_running_job_asks_its_worker_and_asking_twice_is_recorded_once():
    job = job_claim(job_enqueue(kind="test.count", params={}).pk, worker="w")
    job_cancel(job)
    job = job_cancel(job)

    assert (job.state, job.cancel_requested_at is not None) == ("running", True)
    assert AuditEvent.objects.filter(action="job.cancel").count() == 1


def test_cancelling_an_ended_job_changes_nothing():
    job = job_enqueue(kind="test.count", params={})
    Job.objects.filter(pk=job.pk).update(state=JobState.DONE)
    assert job_cancel(job).state == JobState.DONE
    assert not AuditEvent.objects.exists()


def test_retry_makes_one_new_job_however_often_it_is_asked_for():
    old = job_enqueue(kind="test.count", params={"to": 4}, project_id=9, title="Count")
    Job.objects.filter(pk=old.pk).update(state=JobState.FAILED)

    new = job_retry(old)

    assert job_retry(old) == new
    assert (new.retry_of, new.params, new.project_id, new.title) == (old, {"to": 4}, 9, "Count")
    assert (new.state, new.attempts) == ("queued", 0)
    assert new.uid != old.uid


@pytest.mark.parametrize("state", ["queued", "done"])
def test_only_failed_and_cancelled_jobs_can_be_retried(state):
    job = job_enqueue(kind="test.count", params={})
    Job.objects.filter(pk=job.pk).update(state=state)
    with pytest.raises(JobStateError):
        job_retry(job)


def test_a_job_of_a_kind_that_is_gone_is_not_retried(settings):
    job = job_enqueue(kind="test.count", params={})
    Job.objects.filter(pk=job.pk).update(state=JobState.FAILED)
    settings.JOB_KINDS = {}
    with pytest.raises(JobStateError, match="no longer exists"):
        job_retry(job)


def test_deleting_a_project_cancels_its_queued_jobs_and_asks_the_running_ones():
    queued = job_enqueue(kind="test.count", params={}, project_id=5)
    running = job_claim(job_enqueue(kind="test.count", params={}, project_id=5).pk, worker="w")
    other = job_enqueue(kind="test.count", params={}, project_id=6)

    assert jobs_cancel_for_project(5) == 2

    states = dict(Job.objects.values_list("pk", "state"))
    assert (states[queued.pk], states[running.pk], states[other.pk]) == ("cancelled", "running", "queued")
    running.refresh_from_db()
    assert running.cancel_requested_at is not None
