"""Brokers that deliver too often, or forget."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from tests.faults.conftest import wait_for_state
from tests.servers import wait_until
from webapp.jobs.models import Job
from webapp.jobs.publishing import send_wake_up

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]


def test_the_same_message_twenty_times_runs_a_job_once(worker, enqueue, notes):
    job = enqueue("steps", steps=10)
    for _ in range(20):
        send_wake_up(job.pk, job.queue)
    worker(concurrency=4)
    wait_for_state(job, "done")
    after = enqueue("quick")
    wait_for_state(after, "done")
    job.refresh_from_db()
    assert (job.fence, job.attempts) == (1, 0)
    assert notes.words() == ["start", "start"]


@pytest.mark.parametrize("loss", ["flushed", "killed"])
def test_messages_that_redis_lost_are_sent_again_and_no_job_runs_twice(
    worker, enqueue, notes, on_redis, loss
):
    jobs = [enqueue("quick") for _ in range(30)]
    assert on_redis.client().llen("default") == 30
    if loss == "flushed":
        on_redis.client().flushall()
    else:
        on_redis.kill()
        on_redis.start()
    assert on_redis.client().llen("default") == 0
    # A minute passes for the messages, not for the test.
    Job.objects.update(
        published_at=F("published_at") - timedelta(minutes=1),
        created_at=F("created_at") - timedelta(minutes=1),
    )

    worker(env={"CELERY_BROKER_URL": on_redis.url})
    wait_until(lambda: not Job.objects.exclude(state="done").exists(), what="the end of all jobs")

    assert notes.words() == ["start"] * 30
    assert set(Job.objects.values_list("fence", flat=True)) == {1}
    assert len(jobs) == Job.objects.count()


def test_a_broker_that_is_away_costs_no_request_and_the_job_runs_when_it_is_back(
    worker, enqueue, notes, on_redis
):
    on_redis.kill()
    job = enqueue("quick")
    job.refresh_from_db()
    assert (job.state, job.published_at) == ("queued", None)
    on_redis.start()
    worker(env={"CELERY_BROKER_URL": on_redis.url})
    wait_for_state(job, "done")
    assert notes.words() == ["start"]
