"""Deliveries to a real receiver on this machine: what arrives, what fails, and what a guard refuses."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from tests.webapp.test_outbound import REFUSED, fake_resolver
from tests.webapp.webhooks.receiver import cuts, drips, hangs, says
from tests.webapp.webhooks.test_claims import emit, make_due
from webapp.outbound import OutboundClient
from webapp.webhooks.claims import claims_take
from webapp.webhooks.delivery import attempt, deliveries_send
from webapp.webhooks.models import Delivery, Webhook
from webapp.webhooks.services import WebhookChange, webhook_rotate, webhook_test, webhook_update
from webapp.webhooks.tasks import RUNNING, deliver

pytestmark = pytest.mark.django_db


def test_what_arrives_is_what_was_stored_signed_and_named(hook, receiver):
    webhook, secret = hook
    row = emit(webhook)
    assert deliveries_send() == 1
    (got,) = receiver.got
    assert got.body.decode() == row.event.payload
    assert json.loads(got.body) == {
        "type": "label.created",
        "timestamp": json.loads(got.body)["timestamp"],
        "data": {"comparison": 1},
    }
    assert got.headers["webhook-id"] == f"msg_{row.event.uid.hex}"
    assert got.headers["content-type"] == "application/json"
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 5
    assert got.is_signed_with(secret)
    assert not got.is_signed_with("whsec_" + "A" * 43 + "=")
    row.refresh_from_db()
    assert (row.state, row.last_status, row.answer, str(row.last_error)) == ("delivered", 200, "ok", "")
    assert row.last_ms is not None


def test_a_receiver_that_was_down_gets_everything_once_it_is_back_under_the_same_ids(hook, receiver):
    receiver.answers = [says(503), says(503), says(200)]
    rows = [emit(hook[0]), emit(hook[0])]
    assert deliveries_send(run_s=0.0) == 2
    assert set(Delivery.objects.values_list("state", flat=True)) == {"waiting"}
    make_due(*rows)
    assert deliveries_send() == 2
    assert set(Delivery.objects.values_list("state", "attempts")) == {("delivered", 2)}
    ids = [got.headers["webhook-id"] for got in receiver.got]
    assert sorted(ids[:2]) == sorted(ids[2:])
    assert len(set(ids)) == 2


def test_more_than_twenty_at_once_all_arrive_in_one_run(hook, receiver):
    for _ in range(30):
        emit(hook[0])
    assert deliveries_send() == 30
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 30
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (says(302, Location="http://127.0.0.1/elsewhere"), 302, "302"),
        (says(404), 404, "404"),
        (says(500, b"x" * 60_000), 500, "500"),
        (says(200, b"x" * 100_000), None, "too large"),
        (drips, None, "in time"),
        (hangs(), None, "in time"),
        (cuts, None, "connection failed"),
    ],
    ids=["redirect", "missing", "long answer", "too large", "drip", "hang", "cut"],
)
def test_a_bad_answer_is_an_outcome_within_the_deadline(hook, receiver, answer, status, words):
    receiver.answers = [answer]
    row = emit(hook[0])
    started = time.monotonic()
    assert deliveries_send(run_s=0.0, call_s=0.8) == 1
    assert time.monotonic() - started < 3
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_status) == ("waiting", 1, status)
    assert words in str(row.last_error)
    assert len(row.answer) <= 2000
    assert len(receiver.got) == 1, "a redirect is not followed"


def test_the_receivers_retry_after_is_kept(hook, receiver):
    receiver.answers = [says(429, Retry_After="600")]
    row = emit(hook[0])
    deliveries_send(run_s=0.0)
    row.refresh_from_db()
    assert 595 < (row.next_at - timezone.now()).total_seconds() < 605


def test_after_a_rotation_both_secrets_sign_for_a_day(hook, receiver):
    webhook, old = hook
    new = webhook_rotate(webhook).reveal()
    emit(webhook)
    deliveries_send()
    assert receiver.got[0].is_signed_with(old)
    assert receiver.got[0].is_signed_with(new)
    Webhook.objects.filter(pk=webhook.pk).update(old_secret_until=timezone.now() - timedelta(seconds=1))
    emit(webhook)
    deliveries_send()
    assert not receiver.got[1].is_signed_with(old)
    assert receiver.got[1].is_signed_with(new)


def test_a_secret_that_cannot_be_opened_any_more_is_said_and_nothing_is_sent(hook, receiver, settings):
    row = emit(hook[0])
    settings.ENCRYPTION_KEY = "another"
    deliveries_send(run_s=0.0)
    row.refresh_from_db()
    assert receiver.got == []
    assert "Make a new one" in str(row.last_error)


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_of_this_network_is_refused_when_it_is_saved(hook, url, settings, monkeypatch):
    settings.OUTBOUND_ALLOW = []
    monkeypatch.setattr("webapp.outbound.system_resolver", fake_resolver)
    with pytest.raises(ValidationError) as caught:
        webhook_update(hook[0], WebhookChange(url=url))
    assert "url" in caught.value.message_dict
    assert Webhook.objects.get(pk=hook[0].pk).url != url


@pytest.mark.parametrize("url", REFUSED)
def test_and_when_it_is_called_should_it_have_come_to_lead_there(hook, url):
    Webhook.objects.filter(pk=hook[0].pk).update(url=url)
    emit(hook[0])
    (claim,) = claims_take(20)
    with OutboundClient(allow=[], resolver=fake_resolver) as client:
        outcome = attempt(client, claim)
    assert outcome.status is None
    assert str(outcome.error)


def test_a_name_that_changes_its_answer_is_not_asked_twice(hook, receiver):
    """Rebinding: good when it was checked, this machine when it is called."""
    Webhook.objects.filter(pk=hook[0].pk).update(url=receiver.url.replace("127.0.0.1", "rebound.example"))
    row = emit(hook[0])
    with OutboundClient(allow=[], resolver=lambda _host, _port: ["127.0.0.1"]) as client:
        deliveries_send(client, run_s=0.0)
    row.refresh_from_db()
    assert receiver.got == []
    assert "private or reserved" in str(row.last_error)


def test_a_test_is_sent_whatever_was_asked_for(hook, receiver, django_capture_on_commit_callbacks, sent):
    with django_capture_on_commit_callbacks(execute=True):
        webhook_test(hook[0])
    assert sent == ["webhooks.deliver"]
    deliveries_send()
    assert json.loads(receiver.got[0].body)["type"] == "webhook.test"


def test_one_run_at_a_time_in_a_process(hook, receiver):
    from webapp.caches import page_cache

    emit(hook[0])
    page_cache.add(RUNNING, 1, 60)
    assert deliver() == 0
    page_cache.delete(RUNNING)
    assert deliver() == 1
    assert page_cache.get(RUNNING) is None


def test_the_secret_is_in_no_dump_log_or_repr(hook, receiver, caplog):
    webhook, secret = hook
    core = secret.removeprefix("whsec_")
    receiver.answers = [cuts]
    with caplog.at_level(logging.DEBUG):
        emit(webhook)
        (claim,) = claims_take(20)
        with OutboundClient(allow=["127.0.0.1"]) as client:
            outcome = attempt(client, claim)
        webhook_rotate(webhook)
    dump = io.StringIO()
    call_command("dumpdata", "webhooks", "audit", stdout=dump)
    assert "CI" in dump.getvalue()
    everything = dump.getvalue() + caplog.text + repr(claim) + repr(outcome) + str(connection.queries)
    assert core not in everything


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_delivery_once(hook, receiver):
    for _ in range(20):
        emit(hook[0])
    counts, errors = [], []

    def work() -> None:
        try:
            counts.append(deliveries_send())
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert errors == []
    assert sum(counts) == 20
    ids = [got.headers["webhook-id"] for got in receiver.got]
    assert len(ids) == len(set(ids)) == 20
    assert set(Delivery.objects.values_list("state", "attempts")) == {("delivered", 1)}
