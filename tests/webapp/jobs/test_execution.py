import threading

import pytest
from django.db import connections

from webapp.jobs.claims import job_claim
from webapp.jobs.context import LOG_TAIL_CHARS, Interruptions, JobContext
from webapp.jobs.errors import JobLost
from webapp.jobs.execution import Ending, execute
from webapp.jobs.inline import run_inline
from webapp.jobs.json_values import json_safe
from webapp.jobs.models import Job
from webapp.jobs.services import job_enqueue
from webapp.users.models import User

pytestmark = pytest.mark.django_db


def enqueue(kind: str, **params) -> Job:
    return job_enqueue(kind=kind, params=params)


def context_of(kind: str = "test.count") -> JobContext:
    return JobContext(job_claim(enqueue(kind).pk, worker="w"), Interruptions())


def test_a_job_runs_and_leaves_result_metrics_log_and_progress():
    job = run_inline(enqueue("test.count", to=3))

    assert (job.state, job.result, job.metrics) == ("done", {"made": 3}, {"last": 3})
    assert (job.progress_done, job.progress_total, job.progress_message) == (3, 3, "number 3")
    assert [line.split(" ", 1)[1] for line in job.log_tail.splitlines()] == ["made 1", "made 2", "made 3"]
    assert User.objects.filter(username__startswith="made-").count() == 3


def test_a_handlers_helper_threads_ask_the_flags_and_open_no_connection():
    context = context_of()
    seen = []

    def ask() -> None:
        seen.append((context.should_stop(), connections["default"].connection))

    def in_thread() -> None:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()

    in_thread()
    context.interruptions.cancelled.set()
    in_thread()
    assert seen == [(False, None), (True, None)]


def test_running_an_ended_job_again_does_nothing():
    job = run_inline(enqueue("test.count", to=1))
    assert run_inline(job).fence == 1
    assert User.objects.filter(username__startswith="made-").count() == 1


def test_an_error_is_tried_three_times_and_its_traceback_and_log_are_kept():
    job = run_inline(enqueue("test.fail"))

    assert (job.state, job.attempts, job.fence) == ("failed", 3, 3)
    assert job.error_line == "ValueError: the disk is made of cheese"
    assert job.error_has_more
    assert job.log_tail.count("about to fail") == 3
    assert User.objects.filter(username=f"ended-{job.pk}-failed").count() == 1


def test_an_error_can_be_raised_for_the_caller():
    with pytest.raises(ValueError, match="cheese"):
        run_inline(enqueue("test.fail"), reraise=True)


def test_a_permanent_error_is_tried_once_and_shown_as_it_stands():
    job = run_inline(enqueue("test.refuse"))
    assert (job.state, job.attempts, job.error) == ("failed", 1, "This file holds no rows.")


def test_a_broken_hook_does_not_keep_a_job_from_ending():
    job = run_inline(enqueue("test.broken_hook"))
    assert job.state == "failed"
    assert not User.objects.filter(username="undone").exists()


def test_a_write_under_a_lost_claim_is_refused_and_the_job_is_left_to_its_new_holder():
    job = run_inline(enqueue("test.lose"))
    assert (job.state, job.fence) == ("running", 2)
    assert not User.objects.filter(username="stale-write").exists()


def test_a_cancel_reaches_the_handler_at_its_next_progress():
    job = run_inline(enqueue("test.cancelled"))
    assert (job.state, job.error) == ("cancelled", "")


def test_a_handler_that_stops_when_asked_goes_back_to_the_queue_without_a_lost_attempt():
    job = job_claim(enqueue("test.stopped").pk, worker="w")
    ending, _error = execute(job, Interruptions())
    job.refresh_from_db()
    assert ending is Ending.RELEASED
    assert (job.state, job.attempts) == ("queued", 0)
    assert (JobContext(job, Interruptions()).checkpoint_dir / "state").read_text() == "half"


def test_a_kind_that_no_longer_exists_fails_with_its_name(settings):
    job = enqueue("test.count")
    settings.JOB_KINDS = {}
    job = run_inline(job)
    assert (job.state, job.attempts) == ("failed", 1)
    assert "test.count" in str(job.error)


def test_progress_is_written_at_most_twice_a_second_and_at_the_end(django_assert_num_queries, monkeypatch):
    clock = iter([100.0] * 50)
    context = context_of()
    monkeypatch.setattr("webapp.jobs.context.time.monotonic", lambda: next(clock))
    with django_assert_num_queries(2):  # the first write, and one look for a cancel
        for done in range(10):
            context.progress(done, 100)
    assert Job.objects.get().progress_done == 0
    with django_assert_num_queries(1):
        context.progress(100, 100)
    assert Job.objects.get().progress_done == 100


def test_the_expected_end_follows_the_pace_of_this_attempt(monkeypatch):
    now = [1000.0]
    context = context_of()
    monkeypatch.setattr("webapp.jobs.context.time.monotonic", lambda: now[0])
    context.progress(500, 1000)
    assert Job.objects.get().seconds_left is None
    now[0] += 10
    context.progress(600, 1000)
    assert Job.objects.get().seconds_left == pytest.approx(40, abs=2)


def test_the_log_keeps_its_last_part():
    context = context_of()
    for number in range(3000):
        context.log(f"line {number}")
    context.write(force=True)
    log = Job.objects.get().log_tail
    assert len(log) == LOG_TAIL_CHARS
    assert log.endswith("line 2999\n")


def test_a_checkpoint_resets_the_attempts():
    context = context_of()
    context.checkpointed()
    assert Job.objects.get().attempts == 0
    Job.objects.update(fence=99)
    with pytest.raises(JobLost):
        context.checkpointed()


def test_values_that_a_database_refuses_are_made_harmless():
    messy = {"loss": float("nan"), "best": float("-inf"), "text": "a\x00b", 3: (1, 2.5, None)}
    assert json_safe(messy) == {"loss": None, "best": None, "text": "ab", "3": [1, 2.5, None]}
    context = context_of()
    context.metric(**{"loss": float("inf")})
    assert Job.objects.get().metrics == {"loss": None}
