"""Items: addresses, budgets, parameters, and rows with canaries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from labeling.items.filters import FilterForm
from labeling.models import SavedFilter, SearchText, Voice
from labeling.search.indexing import index_chunk

RULES = """
projects/<slug:slug>/comparisons/                       GET view
projects/<slug:slug>/comparisons/filters/               POST view
projects/<slug:slug>/comparisons/filters/<int:pk>/      POST manage
projects/<slug:slug>/comparisons/bulk/                  POST manage
api/v1/projects/<slug:slug>/comparisons                 GET view
api/v1/projects/<slug:slug>/comparisons/bulk            POST manage
api/v1/projects/<slug:slug>/saved-filters               GET view    POST view
api/v1/projects/<slug:slug>/saved-filters/<int:pk>      PATCH manage  DELETE manage
"""
LISTS = {
    "projects/<slug:slug>/comparisons/": 11,
    "api/v1/projects/<slug:slug>/comparisons": 7,
    "api/v1/projects/<slug:slug>/saved-filters": 5,
}
FILTERS = tuple(FilterForm.base_fields)
PARAMETERS = {
    "projects/<slug:slug>/comparisons/": (*FILTERS, "before", "after"),
    "api/v1/projects/<slug:slug>/comparisons": FILTERS,
    "api/v1/projects/<slug:slug>/saved-filters": (),
}
MAIN_PAGES = ("projects/<slug:slug>/comparisons/",)


def fill(filled: Any, rows: int) -> None:
    """Everything is indexed, has voices, and `rows` filters are kept and shared by the manager."""
    plant, project = filled.words.plant, filled.team.project
    for comparison in filled.comparisons:
        for kind, source in (("judge", "items"), ("model", "items")):
            Voice.objects.create(
                project=project,
                comparison=comparison,
                kind=kind,
                source=source,
                name=plant("name of a voice"),
                outcome="a",
                p_a=0.7364551,
                value_a=3.1526374,
                value_b=-3.1526374,
            )
    filled.words.watch("0.7364551", "probability of a voice")
    filled.words.watch("3.1526374", "score of a voice")
    while index_chunk(project, before=timezone.now() + timedelta(days=1)):
        pass
    for text in SearchText.objects.filter(project=project):
        text.words += f"{plant('word of the index')} "
        text.save()
    for _ in range(rows):
        saved = SavedFilter.objects.create(
            project=project,
            owner=filled.team.manager,
            name=plant("name of a saved filter"),
            query={"topic": plant("topic of a saved filter")},
            is_shared=True,
        )
    filled.ids |= {
        "filters/<int:pk>": f"filters/{saved.pk}",
        "saved-filters/<int:pk>": f"saved-filters/{saved.pk}",
    }
