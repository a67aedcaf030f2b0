"""Quality: addresses, budgets, and a fit with canaries."""

from __future__ import annotations

from typing import Any

from labeling.models import ReliabilityFit, Reveal, Voice
from tests.factories import make_labeler

RULES = """
projects/<slug:slug>/quality/labelers/<uuid:uid>/       GET view
projects/<slug:slug>/quality/fit/                       POST manage
projects/<slug:slug>/mine/                              GET label
api/v1/projects/<slug:slug>/labelers                    GET view
api/v1/projects/<slug:slug>/labelers/me                 GET label
api/v1/projects/<slug:slug>/labelers/<uuid:uid>         GET view
api/v1/projects/<slug:slug>/reliability                 GET view    POST manage
"""
LISTS = {"api/v1/projects/<slug:slug>/labelers": 8}
PARAMETERS = {"projects/<slug:slug>/mine/": (), "api/v1/projects/<slug:slug>/labelers": ()}
MAIN_PAGES = (
    "projects/<slug:slug>/quality/labelers/<uuid:uid>/",
    "projects/<slug:slug>/mine/",
)
ACCURACY = 0.314159


def fill(filled: Any, rows: int) -> None:
    """`rows` labelers in a fit, of which the last is the one of the addresses; somebody who changed after a reveal."""
    plant, project = filled.words.plant, filled.team.project
    confusion = [[0.25] * 4] * 4
    people = {}
    for _ in range(rows):
        labeler = make_labeler(project, plant("name of a labeler in a fit"))
        people[str(labeler.uid)] = {"n": 7, "accuracy": ACCURACY, "confusion": confusion}
        filled.words.watch(labeler.uid, "a labeler in a fit")
    filled.words.watch(ACCURACY, "accuracy of a labeler")
    ReliabilityFit.objects.create(
        project=project, people=people, prior=[0.4, 0.4, 0.1, 0.1], log_likelihood=-123.456789, rows=rows,
        preference_count=7 * rows,
    )  # fmt: skip
    filled.words.watch("-123.456789", "log-likelihood of a fit")
    Voice.objects.create(
        project=project, comparison=filled.comparisons[0], kind="judge", source="quality", outcome="a",
        name=plant("name of a voice"),
    )  # fmt: skip
    Reveal.objects.get_or_create(user=filled.team.manager, comparison=filled.comparisons[0])
    filled.ids["labelers/<uuid:uid>"] = f"labelers/{labeler.uid}"
