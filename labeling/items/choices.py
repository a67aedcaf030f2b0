"""What there is to choose from in the filters of a project."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.items.conditions import different
from labeling.models import Comparison, FacetKind, ItemFacet, Labeler, Project, Voice, VoiceKind
from webapp.caches import page_cache

MOST = 100
KEPT_S = 300
LAG_SHOWN = 10_000


@dataclass(frozen=True)
class Choices:
    """Values of facets; (key, name) of judges, the reward model and labelers."""

    languages: tuple[str, ...]
    topics: tuple[str, ...]
    models: tuple[str, ...]
    judges: tuple[tuple[str, str], ...]
    has_scores: bool
    labelers: tuple[tuple[str, str], ...]


def filter_choices(project: Project) -> Choices:
    """Kept for five minutes in each process."""
    key = f"item-choices:{project.pk}"
    found: Choices | None = page_cache.get(key)
    if found is None:
        found = _choices(project)
        page_cache.set(key, found, KEPT_S)
    return found


def _choices(project: Project) -> Choices:
    facets = {
        kind: tuple(
            row.value for row in different(ItemFacet.objects.filter(project=project, kind=kind), "value")
        )
        for kind in FacetKind
    }
    voices = Voice.objects.filter(project=project)
    judges = different(voices.filter(kind=VoiceKind.JUDGE), "source")
    labelers = Labeler.objects.filter(project=project).order_by("name", "pk")[:MOST]
    return Choices(
        languages=facets[FacetKind.LANGUAGE],
        topics=facets[FacetKind.TOPIC],
        models=facets[FacetKind.MODEL],
        judges=tuple((row.source, row.name) for row in judges),
        has_scores=voices.filter(kind=VoiceKind.MODEL).exists(),
        labelers=tuple((str(labeler.uid), labeler.name) for labeler in labelers),
    )


def not_searchable_yet(project: Project) -> int:
    """How many of the newest comparisons the index does not hold yet; counted up to LAG_SHOWN + 1."""
    rows = Comparison.objects.filter(project=project, pk__gt=project.search_cursor)
    return rows.order_by()[: LAG_SHOWN + 1].count()
