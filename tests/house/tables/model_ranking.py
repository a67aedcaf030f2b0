"""The ranking of models: addresses, budgets, parameters; enough voices with canaries for it to say something."""

from __future__ import annotations

from typing import Any

from labeling.models import Voice

RULES = """
projects/<slug:slug>/model-ranking/                     GET view
projects/<slug:slug>/model-ranking/table.csv            GET view
api/v1/projects/<slug:slug>/model-ranking               GET view
"""
PARAMETERS = {
    "projects/<slug:slug>/model-ranking/": ("length_control", "language", "topic", "snapshot"),
    "projects/<slug:slug>/model-ranking/table.csv": ("length_control", "language", "topic", "snapshot"),
    "api/v1/projects/<slug:slug>/model-ranking": ("length_control", "language", "topic", "snapshot"),
}
MAIN_PAGES = ("projects/<slug:slug>/model-ranking/",)
PANELS = ("model-ranking/table.csv",)


def fill(filled: Any, rows: int) -> None:
    """Seven judges and the reward model speak of every comparison: 21 voices with three comparisons."""
    project = filled.team.project
    for number in range(8):
        kind, name = ("model" if number == 7 else "judge"), filled.words.plant("name of a voice")
        for comparison in filled.comparisons:
            Voice.objects.create(
                project=project,
                comparison=comparison,
                kind=kind,
                source=f"source {number}",
                name=name,
                outcome="a",
                p_a=0.8374651,
            )
