"""Webhooks: addresses, budgets, parameters, and rows with canaries."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from webapp.webhooks.models import Delivery, Event, Webhook

RULES = """
projects/<slug:slug>/webhooks/                          GET manage  POST manage
projects/<slug:slug>/webhooks/<uuid:uid>/               GET manage  POST manage
projects/<slug:slug>/webhooks/<uuid:uid>/rotate         POST manage
projects/<slug:slug>/webhooks/<uuid:uid>/test           POST manage
projects/<slug:slug>/webhooks/<uuid:uid>/delete         POST manage
projects/<slug:slug>/webhooks/<uuid:uid>/deliveries/<uuid:delivery>/retry  POST manage
api/v1/projects/<slug:slug>/webhooks                    GET manage  POST manage
api/v1/projects/<slug:slug>/webhooks/<uuid:uid>         GET manage  PATCH manage  DELETE manage
api/v1/projects/<slug:slug>/webhooks/<uuid:uid>/rotate  POST manage
api/v1/projects/<slug:slug>/webhooks/<uuid:uid>/test    POST manage
api/v1/projects/<slug:slug>/webhooks/<uuid:uid>/deliveries  GET manage
api/v1/projects/<slug:slug>/webhooks/<uuid:uid>/deliveries/<uuid:delivery>/retry  POST manage
"""
LISTS = {
    "projects/<slug:slug>/webhooks/": 7,
    "projects/<slug:slug>/webhooks/<uuid:uid>/": 8,
    "api/v1/projects/<slug:slug>/webhooks": 6,
    "api/v1/projects/<slug:slug>/webhooks/<uuid:uid>/deliveries": 7,
}
PARAMETERS = {
    "projects/<slug:slug>/webhooks/": (),
    "projects/<slug:slug>/webhooks/<uuid:uid>/": ("before",),
    "api/v1/projects/<slug:slug>/webhooks": (),
    "api/v1/projects/<slug:slug>/webhooks/<uuid:uid>/deliveries": (),
}
MAIN_PAGES = ("projects/<slug:slug>/webhooks/", "projects/<slug:slug>/webhooks/<uuid:uid>/")


def fill(filled: Any, rows: int) -> None:
    """`rows` webhooks, the last with `rows` deliveries in its log."""
    plant, project = filled.words.plant, filled.team.project
    for _ in range(rows):
        webhook = Webhook.objects.create(
            project_id=project.pk,
            name=plant("name of a webhook"),
            url=f"http://127.0.0.1:9/{plant('address of a webhook')}",
            secret_sealed=plant("sealed secret of a webhook"),
            events=["snapshot.failed"],
        )
    for _ in range(rows):
        event = Event.objects.create(
            project_id=project.pk,
            kind="snapshot.failed",
            payload=f'{{"x": "{plant("content of an event")}"}}',
        )
        delivery = Delivery.objects.create(
            webhook=webhook,
            event=event,
            state="failed",
            attempts=10,
            next_at=timezone.now(),
            last_status=500,
            last_error=plant("error of a delivery"),
            answer=plant("answer of a receiver"),
        )
    filled.ids |= {
        "webhooks/<uuid:uid>": f"webhooks/{webhook.uid}",
        "<uuid:delivery>": str(delivery.uid),
    }
