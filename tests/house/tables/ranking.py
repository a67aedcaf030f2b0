"""Rankings and rewrites: addresses, budgets, parameters, and rows with canaries."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from labeling.models import Comparison, Labeler, Ranking
from labeling.services.ranking import ranking_next
from tests.factories import make_labeler, make_prompt, make_response

RULES = """
projects/<slug:slug>/rank/                              GET label
projects/<slug:slug>/rank/<uuid:uid>/submit             POST own
projects/<slug:slug>/rank/<uuid:uid>/skip               POST own
projects/<slug:slug>/rank/<uuid:uid>/undo               POST own
projects/<slug:slug>/rank/<uuid:uid>/draft              POST own
projects/<slug:slug>/label/<uuid:uid>/rewrite           POST own
projects/<slug:slug>/label/<uuid:uid>/rewrite/draft     POST own
projects/<slug:slug>/label/<uuid:uid>/rewrite/undo      POST own
api/v1/assignments/<uuid:uid>/rewrite                   POST own
api/v1/assignments/<uuid:uid>/rewrite/undo              POST own
api/v1/projects/<slug:slug>/rankings/next               POST label
api/v1/rankings/<uuid:uid>/submit                       POST own
api/v1/rankings/<uuid:uid>/skip                         POST own
api/v1/rankings/<uuid:uid>/undo                         POST own
api/v1/rankings/<uuid:uid>/draft                        POST own
"""
LISTS = {"projects/<slug:slug>/rank/": 12}
PARAMETERS = {"projects/<slug:slug>/rank/": ()}
MAIN_PAGES = ("projects/<slug:slug>/rank/",)


def fill(filled: Any, rows: int) -> None:
    """A prompt of four responses that the labeler and another person rank, each response with a canary for a model."""
    plant, project = filled.words.plant, filled.team.project
    project.scheme = {**project.scheme, "screen": "both", "rewrites": True, "spans": True}
    project.save()
    prompt = make_prompt(project, "Which of these is best?")
    responses = [
        make_response(prompt, f"Answer {number} of four.", plant("model of a ranked response"))
        for number in range(4)
    ]
    for first in range(4):
        for second in range(first + 1, 4):
            pair = sorted((responses[first], responses[second]), key=lambda row: row.content_hash)
            Comparison.objects.create(
                project=project,
                prompt=prompt,
                response_a=pair[0],
                response_b=pair[1],
                needed=3,
                open_slots=3,
            )
    other = make_labeler(project, plant("name of another who ranked"))
    task = ranking_next(other)
    assert task is not None
    row = Ranking.objects.create(
        project=project,
        prompt=prompt,
        labeler=other,
        task=task,
        ranks=[[pk] for pk in task.order],
        rationale=plant("another's reason for an order"),
        source="web",
        idempotency_key="filled",
        request_hash=plant("hash of a ranking"),
        created_at=timezone.now(),
    )
    filled.words.watch(row.uid, "another's ranking")
    filled.words.watch(task.uid, "another's ranking task")
    me = Labeler.objects.get(project=project, user=filled.team.labeler)
    mine = ranking_next(me)
    assert mine is not None
    filled.ids["rank/<uuid:uid>"] = f"rank/{mine.uid}"
    filled.ids["rankings/<uuid:uid>"] = f"rankings/{mine.uid}"
