"""A real worker hears of an event over the broker and delivers it."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.servers import wait_until
from webapp.webhooks.models import Delivery
from webapp.webhooks.services import webhook_test

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def sent():
    """The broker is a real one here."""


def test_what_is_committed_is_delivered_by_a_worker_and_what_is_taken_back_is_not(
    hook, receiver, worker_process
):
    webhook, secret = hook
    worker_process(queues="default", env={"CHOSEN_OUTBOUND_ALLOW": "127.0.0.1"})
    with transaction.atomic():
        webhook_test(webhook)
        transaction.set_rollback(True)
    row = webhook_test(webhook)
    wait_until(
        lambda: Delivery.objects.filter(pk=row.pk, state="delivered").exists(),
        timeout_s=30,
        what="the delivery",
    )
    (got,) = receiver.got
    assert got.headers["webhook-id"] == row.event.message_id
    assert got.is_signed_with(secret)
