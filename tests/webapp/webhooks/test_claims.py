"""Which delivery is sent when: the table of delays, leases, fairness, and being switched off."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.webapp.webhooks.receiver import says
from webapp.webhooks import claims
from webapp.webhooks.claims import Outcome, claims_take, delay_s, outcome_record
from webapp.webhooks.delivery import deliveries_send, retry_after_s
from webapp.webhooks.events import event_emit
from webapp.webhooks.models import Delivery, Event, Webhook
from webapp.webhooks.services import webhook_create

pytestmark = pytest.mark.django_db

TABLE = [
    (1, 5),
    (2, 300),
    (3, 1800),
    (4, 7200),
    (5, 18_000),
    (6, 36_000),
    (7, 50_400),
    (8, 72_000),
    (9, 86_400),
]


def emit(hook: Webhook, kind: str = "label.created") -> Delivery:
    event_emit(project_id=hook.project_id, kind=kind, data={"comparison": 1})
    return Delivery.objects.filter(webhook=hook).latest("pk")


def make_due(*rows: Delivery) -> None:
    Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(
        next_at=timezone.now() - timedelta(seconds=1), lease_until=None
    )


def failed(status: int | None = 500, *, retry_after_s: float = 0.0) -> Outcome:
    return Outcome(status, "no", 3, retry_after_s=retry_after_s)


def test_a_lease_lasts_longer_than_a_call_may():
    from webapp.webhooks.delivery import CALL_S, RUN_S
    from webapp.webhooks.tasks import RUN_S as TASKS_RUN_S

    assert claims.LEASE_S > 2 * CALL_S
    assert TASKS_RUN_S == RUN_S


@pytest.mark.parametrize(("attempt", "seconds"), TABLE)
def test_the_delay_grows_and_has_a_tenth_of_jitter_at_most(attempt, seconds):
    delays = {delay_s(attempt) for _ in range(50)}
    assert min(delays) >= seconds
    assert max(delays) <= 1.1 * seconds
    assert len(delays) > 1


def test_the_tenth_attempt_is_the_last():
    assert delay_s(10) is None


def test_the_receivers_own_wish_counts_where_it_is_longer_and_up_to_a_day():
    assert delay_s(1, retry_after_s=120) == 120
    assert delay_s(2, retry_after_s=1) >= 300
    assert delay_s(1, retry_after_s=9e9) == 86_400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("", 0), ("soon", 0), ("-5", 0), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)],
)
def test_retry_after_is_read_as_seconds_and_nonsense_is_nothing(value, seconds):
    assert retry_after_s(value) == seconds


def test_retry_after_is_read_as_a_date():
    at = (timezone.now() + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert 85 <= retry_after_s(at) <= 90


@pytest.mark.parametrize(("attempt", "seconds"), TABLE[:3])
def test_a_failed_attempt_is_due_again_by_the_table(hook, attempt, seconds):
    row = emit(hook[0])
    Delivery.objects.filter(pk=row.pk).update(attempts=attempt - 1)
    (claim,) = claims_take(20)
    assert outcome_record(claim, failed())
    row.refresh_from_db()
    wait = (row.next_at - timezone.now()).total_seconds()
    assert (row.state, row.attempts, row.last_status) == ("waiting", attempt, 500)
    assert seconds - 2 < wait < 1.1 * seconds + 2


def test_after_the_last_attempt_it_has_failed(hook):
    row = emit(hook[0])
    Delivery.objects.filter(pk=row.pk).update(attempts=9)
    (claim,) = claims_take(20)
    outcome_record(claim, failed())
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("failed", 10)
    assert claims_take(20) == []


def test_a_claimed_delivery_is_not_claimed_again_until_its_lease_ends(hook):
    row = emit(hook[0])
    (first,) = claims_take(20)
    assert claims_take(20) == []
    # The worker was killed between the call and its outcome.
    make_due(row)
    (second,) = claims_take(20)
    assert (second.message_id, second.attempt) == (first.message_id, 2)
    assert not outcome_record(first, Outcome(200, "", 1)), "a late worker's outcome is refused"
    assert outcome_record(second, Outcome(200, "", 1))
    row.refresh_from_db()
    assert row.state == "delivered"


def test_no_more_than_two_at_once_for_one_webhook_and_another_is_not_held_up(team, hook, receiver):
    webhook, _secret = hook
    event = Event.objects.create(project_id=team.project.pk, kind="label.created", payload="{}")
    events = Event.objects.bulk_create(
        Event(project_id=team.project.pk, kind="label.created", payload="{}") for _ in range(10_000)
    )
    past = timezone.now() - timedelta(hours=1)
    Delivery.objects.bulk_create(
        (Delivery(webhook=webhook, event=event, next_at=past) for event in [event, *events]), batch_size=2000
    )
    other, _secret = webhook_create(
        project_id=team.project.pk, name="Other", url=receiver.url, events=["label.created"]
    )
    newest = emit(other)
    claimed = claims_take(20)
    assert len([claim for claim in claimed if claim.webhook_id == webhook.pk]) == 2
    assert [claim.delivery_id for claim in claimed if claim.webhook_id == other.pk] == [newest.pk]
    assert claims_take(20) == []


def test_a_limit_is_kept(hook):
    emit(hook[0])
    emit(hook[0])
    assert len(claims_take(1)) == 1
    assert claims_take(0) == []


def test_gone_switches_the_webhook_off_and_cancels_what_waits(hook, receiver):
    webhook, _secret = hook
    receiver.answers = [says(410)]
    rows = [emit(webhook) for _ in range(3)]
    make_due(*rows[:1])
    Delivery.objects.filter(pk__in=[row.pk for row in rows[1:]]).update(
        next_at=timezone.now() + timedelta(hours=1)
    )
    assert deliveries_send(run_s=0.0) == 1
    webhook.refresh_from_db()
    assert not webhook.is_enabled
    assert "410" in str(webhook.disabled_reason)
    states = sorted(Delivery.objects.values_list("state", flat=True))
    assert states == ["cancelled", "cancelled", "failed"]
    event_emit(project_id=webhook.project_id, kind="label.created", data={})
    assert Delivery.objects.count() == 3, "a webhook that is off is told of nothing"


def test_five_days_of_failures_switch_it_off_and_one_success_starts_them_anew(hook):
    webhook, _secret = hook
    long_ago = timezone.now() - timedelta(days=5, minutes=1)
    Webhook.objects.filter(pk=webhook.pk).update(failing_since=long_ago)
    emit(webhook)
    (claim,) = claims_take(20)
    outcome_record(claim, Outcome(204, "", 1))
    webhook.refresh_from_db()
    assert (webhook.is_enabled, webhook.failing_since) == (True, None)
    Webhook.objects.filter(pk=webhook.pk).update(failing_since=long_ago)
    row = emit(webhook)
    (claim,) = claims_take(20)
    outcome_record(claim, failed(None))
    webhook.refresh_from_db()
    row.refresh_from_db()
    assert (webhook.is_enabled, row.state) == (False, "cancelled")
    assert "five days" in str(webhook.disabled_reason)


def test_nothing_due_costs_one_query(hook, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert deliveries_send() == 0
