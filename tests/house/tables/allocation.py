"""Batches, people's work, gold and qualification: addresses, budgets, parameters, and rows with canaries."""

from __future__ import annotations

from typing import Any

from labeling.models import Batch, BatchPerson, Labeler
from tests.factories import make_comparison

RULES = """
projects/<slug:slug>/work/                              GET manage
projects/<slug:slug>/work/new/                          GET manage  POST manage
projects/<slug:slug>/work/<uuid:uid>/                   GET manage  POST manage
projects/<slug:slug>/work/<uuid:uid>/extend             POST manage
projects/<slug:slug>/work/<uuid:uid>/release            POST manage
projects/<slug:slug>/work/<uuid:uid>/delete             POST manage
projects/<slug:slug>/people/<int:pk>/work               POST manage
projects/<slug:slug>/settings/allocation/               GET manage  POST manage
projects/<slug:slug>/settings/checks                    POST manage
api/v1/projects/<slug:slug>/batches                     GET manage  POST manage
api/v1/projects/<slug:slug>/batches/<uuid:uid>          GET manage  POST manage  PATCH manage  DELETE manage
api/v1/projects/<slug:slug>/work/people                 GET manage  POST manage
api/v1/projects/<slug:slug>/allocation                  GET manage  PATCH manage  POST manage
"""
LISTS = {
    "projects/<slug:slug>/work/": 13,
    "projects/<slug:slug>/work/<uuid:uid>/": 11,
    "projects/<slug:slug>/settings/allocation/": 6,
    "api/v1/projects/<slug:slug>/batches": 7,
}
PARAMETERS = {
    "projects/<slug:slug>/work/": (),
    "projects/<slug:slug>/work/<uuid:uid>/": (),
    "projects/<slug:slug>/settings/allocation/": (),
    "api/v1/projects/<slug:slug>/batches": (),
    "api/v1/projects/<slug:slug>/work/people": (),
    "api/v1/projects/<slug:slug>/allocation": (),
}
MAIN_PAGES = (
    "projects/<slug:slug>/work/",
    "projects/<slug:slug>/work/new/",
    "projects/<slug:slug>/work/<uuid:uid>/",
    "projects/<slug:slug>/settings/allocation/",
)


def fill(filled: Any, rows: int) -> None:
    """`rows` batches for the labeler, the last with a comparison; a gold and a qualification comparison, all open, with
    canaries in the batches' names and the known outcomes."""
    project, plant = filled.team.project, filled.words.plant
    labeler = Labeler.objects.get(project=project, user=filled.team.labeler)
    batch = None
    for _ in range(rows):
        batch = Batch.objects.create(project=project, name=plant("name of a batch"))
        BatchPerson.objects.create(batch=batch, labeler=labeler)
        filled.words.watch(batch.uid, "a batch")
    assert batch is not None
    make_comparison(project, batch=batch)
    for use in ("gold", "qualification"):
        make_comparison(
            project, use=use, gold_outcome=plant("gold outcome")[:10], needed=30_000, priority=0.0
        )
    filled.ids |= {
        "work/<uuid:uid>": f"work/{batch.uid}",
        "batches/<uuid:uid>": f"batches/{batch.uid}",
    }
