"""The webhooks' pages and REST: a manager's journey, refusals in words, the secret shown once."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from tests.webapp.webhooks.receiver import says
from tests.webapp.webhooks.test_claims import emit, make_due
from webapp.audit.models import AuditEvent
from webapp.webhooks.delivery import deliveries_send
from webapp.webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")
REST = "/api/v1/projects/mine/webhooks"


@pytest.fixture
def client(team) -> Client:
    client = Client()
    client.force_login(team.manager)
    return client


def page(client: Client, hook: Webhook, **query: str) -> str:
    response = client.get(reverse("webhooks:detail", args=["mine", hook.uid]), query)
    assert response.status_code == 200
    return response.content.decode()


def test_a_manager_adds_one_tests_it_and_sees_the_answer(client, receiver):
    fields = {"name": "CI", "url": receiver.url, "events": ["snapshot.ready", "model.promoted"]}
    made = client.post(reverse("webhooks:list", args=["mine"]), fields)
    (secret,) = set(SECRET.findall(made.content.decode()))
    assert "no-store" in made.headers["Cache-Control"]
    webhook = Webhook.objects.get()
    assert webhook.events == ["model.promoted", "snapshot.ready"]
    client.post(reverse("webhooks:test", args=["mine", webhook.uid]))
    assert "hx-get" in page(client, webhook), "the log looks again while something waits"
    deliveries_send()
    shown = page(client, webhook)
    assert "webhook.test" in shown
    assert ">200<" in shown
    assert "hx-get" not in shown.partition('id="log"')[2].partition("</section>")[0]
    assert receiver.got[0].is_signed_with(secret)
    assert secret not in shown
    assert secret not in client.get(reverse("webhooks:list", args=["mine"])).content.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "http://10.0.0.5/hook"}, "private or reserved"),
        ({"url": "ftp://127.0.0.1/"}, "Only http and https"),
        ({"events": []}, "required"),
        ({"events": ["label.read"]}, "Select a valid choice"),
        ({"name": "CI"}, "has this name"),
        ({"name": "x" * 81}, "at most 80"),
    ],
)
def test_what_is_refused_is_said_at_the_field_and_nothing_is_stored(client, hook, receiver, fields, words):
    sent = {"name": "New", "url": receiver.url, "events": ["snapshot.ready"], **fields}
    response = client.post(reverse("webhooks:list", args=["mine"]), sent)
    assert words in response.content.decode()
    assert Webhook.objects.count() == 1
    assert SECRET.search(response.content.decode()) is None


def test_the_log_shows_each_outcome_and_a_failed_delivery_is_sent_again(client, hook, receiver):
    webhook, _secret = hook
    receiver.answers = [says(500, b"<script>no</script>"), says(200)]
    row = emit(webhook)
    Delivery.objects.filter(pk=row.pk).update(attempts=9)
    deliveries_send()
    shown = page(client, webhook)
    assert "The receiver answered 500." in shown
    assert "<script>no" not in shown
    assert "Calls have failed since" in shown
    client.post(reverse("webhooks:retry", args=["mine", webhook.uid, row.uid]))
    deliveries_send()
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("delivered", 1)
    assert "Calls have failed since" not in page(client, webhook)


def test_a_delivery_under_way_is_left_alone(client, hook):
    from webapp.webhooks.claims import claims_take

    row = emit(hook[0])
    assert claims_take(1)
    response = client.post(f"{REST}/{hook[0].uid}/deliveries/{row.uid}/retry")
    assert response.status_code == 409
    assert "at this moment" in response.json()["error"]["message"]


def test_switched_off_nothing_is_sent_and_what_waited_is_cancelled(client, hook, receiver):
    webhook, _secret = hook
    row = emit(webhook)
    fields = {"name": "CI", "url": webhook.url, "events": webhook.events}
    client.post(reverse("webhooks:detail", args=["mine", webhook.uid]), fields)
    row.refresh_from_db()
    webhook.refresh_from_db()
    assert (webhook.is_enabled, row.state) == (False, "cancelled")
    make_due(row)
    assert deliveries_send() == 0
    assert "nothing is sent" in page(client, webhook)
    assert client.post(f"{REST}/{webhook.uid}/test").status_code == 409


def test_a_new_address_asks_for_a_test_and_keeps_the_secret(client, hook, receiver):
    webhook, secret = hook
    fields = {"name": "CI", "url": receiver.url + "2", "events": webhook.events, "is_enabled": "on"}
    response = client.post(
        reverse("webhooks:detail", args=["mine", webhook.uid]), fields, follow=True
    ).content.decode()
    assert "send a test" in response
    emit(webhook)
    deliveries_send()
    assert receiver.got[0].path == "/hook2"
    assert receiver.got[0].is_signed_with(secret)


def test_a_new_secret_is_shown_once(client, hook):
    webhook, old = hook
    shown = client.post(reverse("webhooks:rotate", args=["mine", webhook.uid])).content.decode()
    (new,) = set(SECRET.findall(shown))
    assert new != old
    assert SECRET.search(page(client, webhook)) is None


def test_removing_it_removes_its_log_and_the_audit_keeps_the_deed_without_the_path(client, hook):
    webhook, _secret = hook
    emit(webhook)
    client.post(reverse("webhooks:delete", args=["mine", webhook.uid]))
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
    events = list(AuditEvent.objects.filter(action__startswith="webhook.").order_by("pk"))
    assert [event.action for event in events] == ["webhook.create", "webhook.delete"]
    assert all("/hook" not in str(event.detail) for event in events)


def test_the_log_pages_by_number(client, hook):
    webhook, _secret = hook
    for _ in range(30):
        emit(webhook)
    first = page(client, webhook)
    (before,) = re.findall(r"\?before=(\d+)", first)
    rest = page(client, webhook, before=before)
    assert first.count("<summary>Content") == 25
    assert rest.count("<summary>Content") == 5


def test_rest_makes_changes_lists_and_removes(client, receiver):
    body = {"name": "CI", "url": receiver.url, "events": ["snapshot.ready"]}
    made = client.post(REST, body, content_type="application/json")
    assert made.status_code == 201
    assert SECRET.fullmatch(made.json()["secret"])
    one = f"{REST}/{made.json()['uid']}"
    assert "secret" not in client.get(one).json()
    assert client.get(REST).json()["results"][0]["name"] == "CI"
    assert client.post(REST, body, content_type="application/json").status_code == 400
    changed = client.patch(one, {"events": ["label.created"]}, content_type="application/json")
    assert changed.json()["events"] == ["label.created"]
    bad = client.patch(one, {"events": ["x"]}, content_type="application/json")
    assert bad.status_code == 400
    assert "events" in bad.json()["error"]["detail"]
    assert client.post(f"{one}/test").status_code == 202
    deliveries_send()
    (row,) = client.get(f"{one}/deliveries").json()["results"]
    assert (row["event"], row["state"], row["last_status"]) == ("webhook.test", "delivered", 200)
    assert row["webhook_id"] == receiver.got[0].headers["webhook-id"]
    assert SECRET.fullmatch(client.post(f"{one}/rotate").json()["secret"])
    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404


@pytest.mark.parametrize(
    ("role", "status"), [("labeler", 403), ("viewer", 403), ("reviewer", 403), ("stranger", 404)]
)
def test_webhooks_are_for_managers(team, hook, role, status):
    client = Client()
    client.force_login(getattr(team, role))
    assert client.get(reverse("webhooks:list", args=["mine"])).status_code == status
    assert client.get(f"{REST}/{hook[0].uid}/deliveries").status_code == status


def test_errors_are_read_in_the_readers_language(client, hook, receiver):
    receiver.answers = [says(500)]
    emit(hook[0])
    deliveries_send(run_s=0.0)
    stored = Delivery.objects.get().last_error
    assert stored.msgid == "The receiver answered %(status)d."
    assert stored.params == {"status": 500}
