from datetime import timedelta

import pytest
from django.utils import timezone

from webapp.jobs.claims import (
    Claim,
    claim_cancel,
    claim_check,
    claim_fail,
    claim_finish,
    claim_heartbeat,
    claim_release,
    claim_retry,
    job_claim,
    retry_delay_s,
)
from webapp.jobs.models import Job, JobState
from webapp.jobs.services import job_cancel, job_enqueue

pytestmark = pytest.mark.django_db


@pytest.fixture
def job():
    return job_enqueue(kind="test.count", params={})


def held(job: Job) -> tuple[Job, Claim]:
    job = job_claim(job.pk, worker="first")
    return job, Claim(job.pk, job.fence)


def test_a_claim_counts_the_attempt_raises_the_fence_and_starts_a_lease_by_the_database_clock(job, settings):
    settings.JOB_LEASE_S = 60
    claimed = job_claim(job.pk, worker="first")

    assert (claimed.state, claimed.attempts, claimed.fence, claimed.worker) == ("running", 1, 1, "first")
    lease_s = (claimed.lease_expires_at - claimed.heartbeat_at).total_seconds()
    assert lease_s == pytest.approx(60, abs=0.1)
    assert abs(timezone.now() - claimed.heartbeat_at) < timedelta(seconds=30)


def test_a_job_is_claimed_once(job):
    assert job_claim(job.pk, worker="first") is not None
    assert job_claim(job.pk, worker="second") is None


def test_a_job_in_backoff_is_not_claimed_before_its_time(job):
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now() + timedelta(hours=1))
    assert job_claim(job.pk, worker="w") is None
    assert job_claim(job.pk, worker="w", ignore_backoff=True) is not None


def test_a_heartbeat_prolongs_the_lease(job):
    _, claim = held(job)
    soon = timezone.now() + timedelta(seconds=1)
    Job.objects.filter(pk=job.pk).update(lease_expires_at=soon)
    assert claim_heartbeat(claim)
    job.refresh_from_db()
    assert job.lease_expires_at > soon + timedelta(seconds=10)


@pytest.mark.parametrize(
    "write",
    [
        claim_heartbeat,
        claim_cancel,
        claim_release,
        lambda claim: claim_finish(claim, {"late": True}),
        lambda claim: claim_fail(claim, "late"),
        lambda claim: claim_retry(claim, "late"),
    ],
)
def test_every_write_of_a_stale_claim_is_refused(job, write):
    _, stale = held(job)
    Job.objects.filter(pk=job.pk).update(state=JobState.QUEUED, lease_expires_at=None)
    job_claim(job.pk, worker="second")
    before = Job.objects.filter(pk=job.pk).values().get()

    assert write(stale) is False
    assert not claim_check(stale).held
    assert Job.objects.filter(pk=job.pk).values().get() == before


def test_finish_stores_the_result_and_frees_the_lease(job):
    _, claim = held(job)
    assert claim_finish(claim, {"rows": 3})
    job.refresh_from_db()
    assert (job.state, job.result, job.lease_expires_at, job.worker) == ("done", {"rows": 3}, None, "")
    assert job.finished_at is not None


def test_an_error_that_may_pass_waits_longer_after_each_attempt_and_the_last_one_fails(job, settings):
    settings.JOB_RETRY_S = 5
    assert [retry_delay_s(n) for n in (1, 2, 3)] == [5, 20, 80]
    for _attempt in range(2):
        claimed = job_claim(job.pk, worker="w", ignore_backoff=True)
        assert claim_retry(Claim(job.pk, claimed.fence), "boom")
        job.refresh_from_db()
        assert (job.state, job.error, job.published_at) == ("queued", "boom", None)
        assert job.not_before > timezone.now()
    claimed = job_claim(job.pk, worker="w", ignore_backoff=True)
    claim_retry(Claim(job.pk, claimed.fence), "boom")
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("failed", 3)


def test_without_a_backoff_the_message_is_sent_at_once(
    job, settings, sent, django_capture_on_commit_callbacks
):
    settings.JOB_RETRY_S = 0
    _, claim = held(job)
    with django_capture_on_commit_callbacks(execute=True):
        claim_retry(claim, "boom")
    assert sent == [("jobs.run", job.pk, "default")]


def test_a_shutdown_gives_the_attempt_back(job):
    _, claim = held(job)
    assert claim_release(claim)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.fence) == ("queued", 0, 1)


@pytest.mark.parametrize("end", [claim_release, lambda claim: claim_retry(claim, "boom")])
def test_a_cancel_that_was_asked_for_wins_over_going_back_to_the_queue(job, end):
    _, claim = held(job)
    job_cancel(job)
    assert claim_check(claim).cancel_requested
    assert end(claim)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
