"""What webhooks are told of by votes, resolutions and snapshots, and that nobody is told costs nothing."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.models import Assignment, Resolution, Snapshot
from labeling.services.adjudication import adjudicate, adjudication_withdraw
from labeling.services.allocation import lease_next
from labeling.services.deletion import leftovers_remove, project_delete
from labeling.services.preferences import preference_submit, preference_undo
from labeling.services.ranked import ranking_undo
from labeling.services.ranking import ranking_next
from labeling.services.snapshots import snapshot_build, snapshot_create, snapshot_fail
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.ranking.builders import add_prompt, rank, ranking_project
from webapp.caches import page_cache
from webapp.outbound import Secret
from webapp.sealing import seal
from webapp.webhooks.cleaning import log_sweep
from webapp.webhooks.events import event_emit
from webapp.webhooks.kinds import NAMES
from webapp.webhooks.models import Delivery, Event, Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_cache():
    page_cache.clear()
    yield
    page_cache.clear()


def add_hook(project, *kinds: str) -> Webhook:
    page_cache.clear()
    return Webhook.objects.create(
        project_id=project.pk,
        name=f"Hook {Webhook.objects.count()}",
        url="https://ci.example/hook",
        secret_sealed=seal(Secret("whsec_AAAA")),
        events=sorted(kinds or NAMES),
    )


def submit(lease: Assignment, key: str, **options):
    data = {"choice": options.pop("choice", "1"), "rationale": "a text that stays here"}
    return preference_submit(assignment=lease, data=data, idempotency_key=key, **options)


def told() -> list[tuple[str, dict]]:
    """(kind, data) of every event, oldest first."""
    return [(row.kind, json.loads(row.payload)["data"]) for row in Event.objects.order_by("pk")]


def test_a_vote_a_change_and_an_undo_are_told_with_the_resolution():
    project = make_project(1, overlap=1)
    add_hook(project)
    lease = lease_next(make_labeler(project))[0]
    row = submit(lease, "k1")
    (kind, label), (second, settled) = told()
    assert (kind, second) == ("label.created", "resolution.changed")
    assert label == {
        "comparison": lease.comparison_id,
        "preference": row.pk,
        "labeler": str(lease.labeler.uid),
        "revision": 1,
        "outcome": row.outcome,
        "strength": 4,
    }
    found = Resolution.objects.get(comparison=lease.comparison_id)
    assert (settled["comparison"], settled["outcome"], settled["p_a"]) == (
        lease.comparison_id,
        found.outcome,
        found.p_a,
    )
    Event.objects.all().delete()
    lease.refresh_from_db()
    submit(lease, "k2", choice="tie", is_change=True)
    assert [kind for kind, _data in told()] == ["label.changed", "resolution.changed"]
    assert told()[1][1]["votes"] == {"a": 0, "b": 0, "tie": 1, "both_bad": 0}


def test_of_a_ranking_every_label_is_told_and_of_resolutions_those_that_changed():
    """A reviewer has settled one of the three pairs as the ranking says, counts included: it stays as it is."""
    project = ranking_project(overlap=1)
    pairs = add_prompt(project, 3)
    task = ranking_next(make_labeler(project))
    settled = pairs[0].pk
    Resolution.objects.create(
        comparison_id=settled, project=project, outcome="tie", p_a=0.5, method="adjudicated", votes_tie=1
    )
    add_hook(project)
    rank(task, [1, 1, 1])
    kinds = [(kind, data["comparison"]) for kind, data in told()]
    assert sorted(kinds) == [
        *(("label.created", pk) for pk in sorted(pair.pk for pair in pairs)),
        *(("resolution.changed", pair.pk) for pair in pairs[1:]),
    ]
    Event.objects.all().delete()
    ranking_undo(task=task, idempotency_key="u")
    withdrawn = [data for kind, data in told() if kind == "resolution.changed"]
    assert [data["comparison"] for data in withdrawn] == sorted(pair.pk for pair in pairs)
    assert [data["outcome"] for data in withdrawn] == ["tie", None, None]


def test_an_undo_is_told_and_the_resolution_is_none():
    project = make_project(1, overlap=1)
    add_hook(project, "label.withdrawn", "resolution.changed")
    lease = lease_next(make_labeler(project))[0]
    submit(lease, "k1")
    Event.objects.all().delete()
    preference_undo(assignment=lease, idempotency_key="u1")
    assert [kind for kind, _data in told()] == ["label.withdrawn", "resolution.changed"]
    assert told()[1][1] == {"comparison": lease.comparison_id, "outcome": None}


def test_a_skip_changes_no_resolution():
    project = make_project(1, overlap=1)
    add_hook(project)
    lease = lease_next(make_labeler(project))[0]
    preference_submit(
        assignment=lease, data={"choice": "skip", "skip_reason": "unclear"}, idempotency_key="k1"
    )
    assert [(kind, data["outcome"]) for kind, data in told()] == [("label.created", "skip")]


def test_no_text_and_no_name_goes_out():
    project = make_project(1, overlap=1)
    add_hook(project)
    lease = lease_next(make_labeler(project))[0]
    submit(lease, "k1")
    sent = "".join(Event.objects.values_list("payload", flat=True))
    comparison = lease.comparison
    hidden = [
        "a text that stays here",
        comparison.response_a.text,
        comparison.response_b.text,
        comparison.prompt.messages[0]["content"],
        lease.labeler.name,
    ]
    assert [word for word in hidden if word in sent] == []


def test_a_vote_that_is_taken_back_by_the_database_tells_nobody():
    project = make_project(1, overlap=1)
    add_hook(project)
    lease = lease_next(make_labeler(project))[0]
    with transaction.atomic():
        submit(lease, "k1")
        assert Delivery.objects.exists()
        transaction.set_rollback(True)
    assert not Event.objects.exists()


def test_without_webhooks_a_vote_costs_no_statement_more():
    project = make_project(4, overlap=1)
    labeler = make_labeler(project)
    leases = lease_next(labeler, count=2)
    submit(leases[0], "k1")  # the first one reads that there are none
    with CaptureQueriesContext(connection) as captured:
        submit(leases[1], "k2")
    assert [query["sql"] for query in captured if "webhooks_" in query["sql"]] == []


def test_a_new_webhook_hears_of_what_happens_at_once_in_its_own_process_and_others_stay_apart():
    project, other = make_project(1), make_project(1)
    hook, deaf = add_hook(project, "label.created"), add_hook(project, "snapshot.failed")
    foreign = add_hook(other, "label.created")
    event_emit(project_id=project.pk, kind="label.created", data={"comparison": 1})
    assert list(Delivery.objects.values_list("webhook", flat=True)) == [hook.pk]
    assert {deaf.pk, foreign.pk}.isdisjoint(Delivery.objects.values_list("webhook", flat=True))


def test_a_payload_that_is_too_large_is_an_error_of_ours():
    project = make_project(1)
    add_hook(project)
    with pytest.raises(ValueError, match="bytes"):
        event_emit(project_id=project.pk, kind="label.created", data={"text": "x" * 30_000})


def test_a_snapshot_tells_that_it_is_ready_or_has_failed():
    project = make_project(2, overlap=1)
    lease = lease_next(make_labeler(project))[0]
    submit(lease, "k1")
    add_hook(project)
    ready = snapshot_build(snapshot_create(project=project, enqueue=False))
    broken = snapshot_create(project=project, enqueue=False)
    Snapshot.objects.filter(pk=broken.pk).update(state="making")
    snapshot_fail(broken.pk)
    snapshot_fail(broken.pk)  # twice is once
    snapshot_fail(ready.pk)  # a ready one stays ready
    assert told() == [
        (
            "snapshot.ready",
            {
                "snapshot": 1,
                "rows": 1,
                "splits": ready.split_counts,
                "content_hash": ready.content_hash,
            },
        ),
        ("snapshot.failed", {"snapshot": 2}),
    ]


def test_a_deleted_webhook_does_not_make_a_vote_fail():
    """Another process still believes in it for some seconds; what it leaves goes with the sweep."""
    project = make_project(1, overlap=1)
    hook = add_hook(project)
    lease = lease_next(make_labeler(project))[0]
    event_emit(project_id=project.pk, kind="label.created", data={})
    Webhook.objects.filter(pk=hook.pk).delete()
    row = submit(lease, "k1")
    connection.check_constraints()
    assert row.pk
    assert Delivery.objects.count() == 2
    assert log_sweep() == 2
    assert not Delivery.objects.exists()


def test_deleting_a_project_takes_its_webhooks_along(django_capture_on_commit_callbacks):
    project, other = make_project(1), make_project(1)
    add_hook(project)
    kept = add_hook(other)
    for each in (project, other):
        event_emit(project_id=each.pk, kind="label.created", data={})
    with django_capture_on_commit_callbacks(execute=True):
        project_delete(project=project)
    assert list(Webhook.objects.all()) == [kept]
    assert list(Event.objects.values_list("project_id", flat=True)) == [other.pk]
    assert Delivery.objects.count() == 1


def test_the_sweep_collects_webhooks_of_a_project_deleted_from_a_shell():
    project = make_project(1)
    hook = add_hook(project)
    event_emit(project_id=project.pk, kind="label.created", data={})
    project.delete()
    leftovers_remove()
    assert not Webhook.objects.filter(pk=hook.pk).exists()
    assert not Event.objects.exists()


def test_the_log_is_kept_for_thirty_days_and_what_waits_for_longer():
    project = make_project(1)
    hook = add_hook(project)
    for _ in range(3):
        event_emit(project_id=project.pk, kind="label.created", data={})
    old, waiting, _young = Event.objects.order_by("pk")
    long_ago = timezone.now() - timedelta(days=31)
    Event.objects.filter(pk__in=[old.pk, waiting.pk]).update(created_at=long_ago)
    Delivery.objects.filter(webhook=hook).exclude(event=waiting).update(state="delivered")
    log_sweep()
    assert not Event.objects.filter(pk=old.pk).exists()
    assert Event.objects.count() == Delivery.objects.count() == 2


def test_a_reviewers_settlement_and_its_withdrawal_are_told():
    project = make_project(1, overlap=1)
    add_hook(project, "resolution.changed")
    reviewer = make_labeler(project).user
    comparison = project.comparisons.get()
    by = {"comparison": comparison, "reviewer": reviewer}
    adjudicate(**by, outcome="b", strength=2, reason="a text that stays here", key="k")
    adjudicate(**by, outcome="b", strength=2, reason="a text that stays here", key="k")
    adjudication_withdraw(**by, reason="a text that stays here", key="w")
    [(_kind, settled), (_other, back)] = told()
    assert (settled["outcome"], settled["p_a"], settled["method"]) == ("b", 0.0, "adjudicated")
    assert back == {"comparison": comparison.pk, "outcome": None}
    assert "stays here" not in Event.objects.first().payload
