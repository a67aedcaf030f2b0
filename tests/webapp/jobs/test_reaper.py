from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from webapp.jobs.beats import beat_record, workers_alive
from webapp.jobs.claims import job_claim
from webapp.jobs.cleaning import remove_old_folders
from webapp.jobs.context import Interruptions, JobContext
from webapp.jobs.models import Job, JobState, WorkerBeat
from webapp.jobs.reaper import HEAD_OF_QUEUE, Reaped, reap, wake_next
from webapp.jobs.services import job_cancel, job_enqueue

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=10)


def running(*, attempts: int = 1, expired: bool = True, **fields) -> Job:
    job = job_claim(job_enqueue(kind="test.fail", params={}).pk, worker="gone:1")
    lease = timezone.now() + (-LONG_AGO if expired else LONG_AGO)
    Job.objects.filter(pk=job.pk).update(attempts=attempts, lease_expires_at=lease, **fields)
    job.refresh_from_db()
    return job


def queued(count: int = 1, **fields) -> list[Job]:
    jobs = [job_enqueue(kind="test.count", params={}) for _ in range(count)]
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(**fields)
    return jobs


def test_nothing_to_mend_costs_three_queries_and_changes_nothing(django_assert_num_queries, sent):
    running(expired=False)
    with django_assert_num_queries(3):
        assert reap() == Reaped(requeued=0, dead=0, cancelled=0, published=0)
    assert sent == []


def test_an_expired_lease_goes_back_to_the_queue_and_is_sent_again(sent):
    job = running()
    assert reap() == Reaped(requeued=1, dead=0, cancelled=0, published=1)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.lease_expires_at) == ("queued", 1, None)
    assert sent == [("jobs.run", job.pk, "default")]
    assert "gone:1" in str(job.error)


def test_after_three_attempts_without_a_checkpoint_a_job_is_dead():
    job = running(attempts=3)
    assert reap().dead == 1
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "attempt 3 of 3" in str(job.error)


def test_an_expired_job_that_was_to_be_cancelled_is_cancelled():
    job = running()
    job_cancel(job)
    assert reap().cancelled == 1
    assert Job.objects.get().state == JobState.CANCELLED


def test_a_stale_message_is_sent_again_and_only_once_by_two_reapers(sent):
    (job,) = queued(published_at=timezone.now() - LONG_AGO)
    assert (reap().published, reap().published) == (1, 0)
    assert sent == [("jobs.run", job.pk, "default")]


def test_a_fresh_message_and_a_job_in_backoff_are_left_alone(sent):
    queued(published_at=timezone.now())
    queued(published_at=None, not_before=timezone.now() + LONG_AGO)
    assert reap().published == 0
    Job.objects.update(not_before=timezone.now() - LONG_AGO)
    assert reap().published == 1


def sends_in(hours: float, sent, *, every_s: int = 30) -> int:
    """How many messages a reaper sends while all of them wait: time passes in the rows instead of the clock."""
    step = timedelta(seconds=every_s)
    before = len(sent)
    for _pass in range(int(hours * 3600 / every_s)):
        Job.objects.filter(state="queued").update(
            published_at=F("published_at") - step, created_at=F("created_at") - step
        )
        reap()
    return len(sent) - before


def test_a_thousand_jobs_behind_one_at_work_get_few_repeats(sent):
    running(expired=False)
    queued(1000, published_at=timezone.now())
    beat_record(name="celery@here", pid=12, queues=["default"])
    assert 0 < sends_in(0.5, sent) <= HEAD_OF_QUEUE * 5


def test_where_nobody_listens_messages_do_not_pile_up(sent):
    queued(50, published_at=timezone.now())
    beat_record(name="celery@here", pid=12, queues=["gpu"])
    assert 0 < sends_in(2, sent, every_s=60) <= HEAD_OF_QUEUE * 13


def test_a_worker_that_is_busy_with_another_of_its_queues_is_not_flooded(sent):
    job = running(expired=False)
    Job.objects.filter(pk=job.pk).update(queue="gpu")
    queued(50, published_at=timezone.now())
    beat_record(name="celery@here", pid=12, queues=["default", "gpu"])
    assert 0 < sends_in(2, sent, every_s=60) <= HEAD_OF_QUEUE * 13


def test_a_lost_message_of_an_old_job_is_doubted_after_a_quarter_of_an_hour(sent):
    running(expired=False)
    queued(created_at=timezone.now() - timedelta(hours=8), published_at=timezone.now())
    beat_record(name="celery@here", pid=12, queues=["default"])
    assert sends_in(0.2, sent) == 0
    assert sends_in(0.1, sent) == 1


def test_an_idle_worker_is_woken_again_however_long_the_jobs_have_waited(sent):
    queued(created_at=timezone.now() - timedelta(days=1), published_at=timezone.now())
    beat_record(name="celery@here", pid=12, queues=["default", "gpu"])
    assert sends_in(0.05, sent) >= 3


def test_a_full_queue_is_not_flooded_and_a_finished_job_wakes_the_next(sent):
    jobs = queued(HEAD_OF_QUEUE + 5, published_at=timezone.now() - LONG_AGO)
    assert reap().published == HEAD_OF_QUEUE
    assert wake_next("default")
    assert sent[-1] == ("jobs.run", jobs[HEAD_OF_QUEUE].pk, "default")
    assert not wake_next("gpu")


def test_the_reaper_survives_a_broken_broker_and_sends_again_later(sent):
    queued(published_at=None)
    sent.broken = True
    assert reap().published == 0
    sent.broken = False
    assert reap().published == 1


def test_workers_say_that_they_live():
    beat_record(name="celery@here", pid=12, queues=["default"])
    beat_record(name="celery@here", pid=12, queues=["default"])
    assert [(beat.name, beat.pid) for beat in workers_alive()] == [("celery@here", 12)]
    WorkerBeat.objects.update(last_seen_at=timezone.now() - LONG_AGO)
    assert not workers_alive()
    WorkerBeat.objects.update(last_seen_at=timezone.now() - timedelta(days=2))
    beat_record(name="celery@there", pid=13, queues=[])
    assert WorkerBeat.objects.count() == 1


def test_folders_of_jobs_that_ended_days_ago_or_are_gone_are_removed():
    active, ended, recent, gone = queued(4)
    folders = {job: JobContext(job, Interruptions()).checkpoint_dir for job in (active, ended, recent, gone)}
    Job.objects.filter(pk=ended.pk).update(state="done", finished_at=timezone.now() - timedelta(days=4))
    Job.objects.filter(pk=recent.pk).update(state="done", finished_at=timezone.now())
    Job.objects.filter(pk=gone.pk).delete()
    assert remove_old_folders() == 1
    assert [folders[job].exists() for job in (active, ended, recent, gone)] == [True, False, True, True]
    assert remove_old_folders(deleted={str(gone.uid)}) == 1
    assert [folders[job].exists() for job in (active, ended, recent, gone)] == [True, False, True, False]
