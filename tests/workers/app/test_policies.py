"""Retrain policies: by labels, by cron, once however often the beat sends, one run at a time."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import PeriodicTask

from labeling.models import Comparison, Preference
from labeling.services.resolution import resolve_comparisons
from tests.factories import make_labeler, make_preference
from tests.workers.app.world import World, add_comparison, label
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel
from workers.models import RetrainPolicy, RunTrigger, TrainingRun
from workers.selectors.policies import new_labels, next_due
from workers.services.policies import policies_tick, policy_cron, policy_labels, policy_save
from workers.services.training import training_start
from workers.tasks import retrain_policy, retrain_tick

NOON = datetime(2026, 5, 4, 12, 0, 3, tzinfo=UTC)


def add_labels(world: World, count: int) -> None:
    rng = random.Random(99)
    start = 1000 + world.project.preferences.count()
    for number in range(start, start + count):
        comparison, outcome = add_comparison(world, rng, number)
        label(world, comparison, outcome)
        resolve_comparisons([comparison.pk])


def save(world: World, **values: object) -> RetrainPolicy:
    return policy_save(project=world.project, values={"is_enabled": True, **values}, user=None)


def test_enough_new_labels_start_one_run(world: World) -> None:
    policy = save(world, every_n_labels=5)
    assert new_labels(policy).count == 0  # labels from before the policy do not count
    add_labels(world, 4)
    assert retrain_tick() == 0
    add_labels(world, 1)
    assert retrain_tick() == 1
    run = TrainingRun.objects.get()
    assert (run.trigger, run.kind) == (RunTrigger.LABELS, "starter")
    assert retrain_tick() == 0


def test_a_label_counts_once_when_it_first_stands(world: World) -> None:
    """After a skip or an undo it is new; changed it is not, and undone it is none."""
    old, pair = world.labeled_ids[0], [Comparison.objects.get(pk=pk) for pk in world.open_ids[:4]]
    say(world, pair[0], "skip")
    policy = save(world, every_n_labels=50)
    say(world, pair[0], "a")  # skipped before the mark
    say(world, pair[1], "skip", "b")
    say(world, pair[2], "a", "withdrawn", "b", "a")
    say(world, pair[3], "a", "withdrawn")
    say(world, Comparison.objects.get(pk=old), "tie", "withdrawn", "b")  # it stood at the mark, and stands
    assert new_labels(policy).count == 3
    assert new_labels(policy).newest == Preference.objects.filter(comparison=pair[2]).latest("pk").pk


def test_new_labels_are_counted_by_index(world: World) -> None:
    """Thousands of older preferences are not read to count ten new ones."""
    old = list(world.project.preferences.order_by("pk"))
    people = [make_labeler(world.project) for _ in range(40)]
    Preference.objects.bulk_create(
        Preference(
            project=world.project,
            comparison_id=row.comparison_id,
            labeler=person,
            outcome="a",
            source="simulation",
            idempotency_key=f"{person.pk}:{row.pk}",
            created_at=row.created_at,
        )
        for person in people
        for row in old
    )
    policy = save(world, every_n_labels=5)
    policy.last_triggered_preference_id -= 10
    with CaptureQueriesContext(connection) as queries:
        assert new_labels(policy).count == 10
    assert len(queries) == 1
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE labeling_preference")
        cursor.execute(f"EXPLAIN {'' if is_postgres else 'QUERY PLAN'} {queries[0]['sql']}")
        plan = str(cursor.fetchall())
    assert "Seq Scan" not in plan, plan
    assert "SCAN labeling_preference" not in plan, plan
    assert plan.count("Index") >= 4 if is_postgres else plan.count("USING") >= 4, plan


def say(world: World, comparison: Comparison, *outcomes: str) -> None:
    """Revisions of one person's answer, one behind the other."""
    known = comparison.preferences.count()
    for revision, outcome in enumerate(outcomes, start=known + 1):
        make_preference(comparison, world.labeler, outcome, revision=revision)


def test_two_beats_start_one_run(world: World) -> None:
    """Both beats read the policy before either writes."""
    save(world, every_n_labels=3)
    add_labels(world, 3)
    first, second = RetrainPolicy.objects.get(), RetrainPolicy.objects.get()
    assert [policy_labels(first), policy_labels(second)] == [True, False]
    # Even with the place free again, the second beat's stale copy starts nothing.
    job_cancel(Job.objects.get())
    assert not policy_labels(second)
    assert TrainingRun.objects.count() == 1


def test_a_busy_project_keeps_its_count(world: World) -> None:
    policy = save(world, every_n_labels=3)
    training_start(project=world.project)
    add_labels(world, 3)
    assert policies_tick() == 0
    assert new_labels(RetrainPolicy.objects.get(pk=policy.pk)).count == 3
    job_cancel(Job.objects.get())
    assert policies_tick() == 1


def test_a_policy_that_is_off_starts_nothing(world: World) -> None:
    policy_save(
        project=world.project,
        values={"is_enabled": False, "every_n_labels": 1, "cron": "* * * * *"},
        user=None,
    )
    add_labels(world, 2)
    assert policies_tick() == 0
    assert not policy_cron(world.project.pk, now=NOON)


def test_cron_starts_once_a_minute(world: World) -> None:
    save(world, cron="* * * * *")
    assert policy_cron(world.project.pk, now=NOON)
    job_cancel(Job.objects.get())
    assert not policy_cron(world.project.pk, now=NOON + timedelta(seconds=40))
    assert policy_cron(world.project.pk, now=NOON + timedelta(minutes=1))
    assert set(TrainingRun.objects.values_list("trigger", flat=True)) == {RunTrigger.CRON}


def test_the_beat_holds_one_task_for_a_policy(world: World) -> None:
    policy = save(world, cron="0 3 * * 1")
    save(world, cron="30 4 * * *")
    task = PeriodicTask.objects.get(task="workers.retrain_policy")
    assert (task.crontab.minute, task.crontab.hour, task.enabled) == ("30", "4", True)
    assert task.kwargs == f'{{"project_id": {world.project.pk}}}'
    policy.refresh_from_db()
    due = next_due(policy, now=NOON)
    assert due is not None
    assert NOON < due <= NOON + timedelta(days=1)
    save(world, cron="", every_n_labels=5)
    assert not PeriodicTask.objects.filter(task="workers.retrain_policy").exists()


def test_a_schedule_of_a_deleted_project_removes_itself(world: World) -> None:
    save(world, cron="0 3 * * *")
    pk = world.project.pk
    world.project.delete()
    assert retrain_policy(project_id=pk) is False
    assert not PeriodicTask.objects.filter(task="workers.retrain_policy").exists()


@pytest.mark.parametrize("line", ["* * *", "61 * * * *", "0 25 * * *", "a b c d e", "0 3 * * * *"])
def test_a_bad_schedule_is_refused(world: World, line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        save(world, cron=line)
    assert "cron" in caught.value.message_dict
    assert not RetrainPolicy.objects.exists()


def test_an_enabled_policy_says_when(world: World) -> None:
    with pytest.raises(ValidationError):
        save(world)
