"""Import: the page on which a file's keys are mapped, and data sets of a hub."""

from __future__ import annotations

from typing import Any

from labeling.models import Import

RULES = """
projects/<slug:slug>/imports/<uuid:uid>/mapping/        GET manage  POST manage
projects/<slug:slug>/imports/hub/                       POST manage
api/v1/projects/<slug:slug>/imports/hub                 POST manage
"""
LISTS = {"projects/<slug:slug>/imports/<uuid:uid>/mapping/": 8}
PARAMETERS: dict[str, tuple[str, ...]] = {"projects/<slug:slug>/imports/<uuid:uid>/mapping/": ()}
MAIN_PAGES = ("projects/<slug:slug>/imports/<uuid:uid>/mapping/",)


def fill(filled: Any, rows: int) -> None:
    """First rows of every file, with its keys and the names of its members."""
    plant = filled.words.plant
    for import_ in Import.objects.filter(project=filled.team.project):
        import_.sample = [
            {
                "question": plant("prompt of a sample"),
                "left answer": plant("response of a sample"),
                "right answer": "two",
                "better": "left",
            }
            for _ in range(min(rows, 20))
        ]
        import_.members = [plant("name of a member") for _ in range(rows)]
        import_.save()
