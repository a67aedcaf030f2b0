"""Review: addresses, budgets, parameters, and voices, settlements and comments with canaries."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from labeling.models import Adjudication, Assignment, Comment, SentBack
from labeling.services.sending_back import send_back
from labeling.services.voices import VoiceRow, voices_publish
from tests.factories import make_comparison, make_labeler

RULES = """
projects/<slug:slug>/review/                                GET view
projects/<slug:slug>/review/<int:pk>/                       GET view
projects/<slug:slug>/comparisons/<int:pk>/adjudicate        POST review
projects/<slug:slug>/comparisons/<int:pk>/withdraw          POST review
projects/<slug:slug>/comparisons/<int:pk>/send-back         POST review
projects/<slug:slug>/comparisons/<int:pk>/comments          POST review
projects/<slug:slug>/comments/<uuid:uid>/delete             POST review
projects/<slug:slug>/again/<uuid:uid>/                      GET own
projects/<slug:slug>/panels/comparisons/<int:pk>/verdicts/  GET view
projects/<slug:slug>/panels/comparisons/<int:pk>/scores/    GET view
api/v1/projects/<slug:slug>/review                          GET view
api/v1/projects/<slug:slug>/comparisons/<int:pk>/adjudication  POST review  DELETE review
api/v1/projects/<slug:slug>/comparisons/<int:pk>/send-back  POST review
api/v1/projects/<slug:slug>/comparisons/<int:pk>/comments   GET view    POST review
api/v1/projects/<slug:slug>/comments/<uuid:uid>             DELETE review
api/v1/projects/<slug:slug>/comparisons/<int:pk>/history    GET view
"""
LISTS = {
    "projects/<slug:slug>/review/": 10,
    "projects/<slug:slug>/review/<int:pk>/": 33,
    "projects/<slug:slug>/comparisons/<int:pk>/": 26,
    "api/v1/projects/<slug:slug>/review": 9,
    "api/v1/projects/<slug:slug>/comparisons/<int:pk>/comments": 10,
    "api/v1/projects/<slug:slug>/comparisons/<int:pk>/history": 18,
}
QUEUE = ("kind", "language", "topic", "labeler", "judge", "least", "since", "after")
PARAMETERS = {
    "projects/<slug:slug>/review/": QUEUE,
    "projects/<slug:slug>/review/<int:pk>/": QUEUE,
    "projects/<slug:slug>/panels/comparisons/<int:pk>/verdicts/": (),
    "projects/<slug:slug>/panels/comparisons/<int:pk>/scores/": (),
    "api/v1/projects/<slug:slug>/review": QUEUE,
    "api/v1/projects/<slug:slug>/comparisons/<int:pk>/comments": (),
    "api/v1/projects/<slug:slug>/comparisons/<int:pk>/history": (),
}
MAIN_PAGES = ("projects/<slug:slug>/review/", "projects/<slug:slug>/review/<int:pk>/")


def fill(filled: Any, rows: int) -> None:
    """Every comparison has voices that differ; the one in the labeler's hand also settlements, comments and more."""
    plant, project, team = filled.words.plant, filled.team.project, filled.team
    for kind, outcome in (("judge", "b"), ("model", "a")):
        voices = [
            VoiceRow(pair.pk, outcome, 0.1928374 if outcome == "b" else 0.7362514, 1.9283746, 0.8273645)
            for pair in filled.comparisons
        ]
        name = plant(f"name of a voice ({kind})")
        voices_publish(project=project, kind=kind, source=plant("source of a voice"), name=name, rows=voices)
    for number in ("0.1928374", "0.7362514", "1.9283746", "0.8273645"):
        filled.words.watch(number, "a voice")
    comparison = filled.lease.comparison
    by = {"project": project, "comparison": comparison}
    for number in range(rows):
        Adjudication.objects.create(
            **by,
            reviewer=team.reviewer,
            outcome="b",
            reason=plant("reason of a reviewer"),
            idempotency_key=f"{project.slug}:{number}",
            request_hash="x",
        )
        comment = Comment.objects.create(**by, author=team.reviewer, text=plant("a comment"))
        comment.mentions.create(user=team.manager)
        SentBack.objects.create(**by, actor=team.reviewer, to="others", more=1, note=plant("note to nobody"))
    filled.ids |= {
        "review/<int:pk>": f"review/{comparison.pk}",
        "comments/<uuid:uid>": f"comments/{comment.uid}",
        "again/<uuid:uid>": f"again/{_asked_again(filled).uid}",
    }


def _asked_again(filled: Any) -> Assignment:
    """The labeler has answered this one, and a reviewer asks to look again."""
    project = filled.team.project
    comparison = make_comparison(project, state="done", needed=1, open_slots=0, label_count=1)
    labeler = project.labelers.filter(user=filled.team.labeler).first() or make_labeler(
        project, user=filled.team.labeler
    )
    answered = Assignment.objects.create(
        comparison=comparison,
        labeler=labeler,
        state="submitted",
        swapped=False,
        drawn="priority",
        lease_expires_at=timezone.now(),
    )
    send_back(comparison=comparison, actor=filled.team.reviewer, to="same", note="Is it right?")
    return answered
