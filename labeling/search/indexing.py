"""Bringing items into the index, behind the import: GIN and FTS5 would take most of its speed.

A project's comparisons are walked in the order of their ids. A new response is always part of a new comparison, so the
words of that comparison's prompt are read anew, and nobody has to say that they have changed. Words are cut outside of
the transaction that writes them; the cursor moves in it, and only from where this walker believes it to be.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from labeling.models import Comparison, FacetKind, ItemFacet, Project, Prompt, SearchText
from labeling.search.tokens import words_of

CHUNK = 500
SLICE_S = 20.0
# Between the moment that a row bears and its number's being given out.
SLACK = timedelta(seconds=5)


def index_behind(*, for_s: float = SLICE_S) -> int:
    """Index what came since, of all projects, for about so many seconds. Returns how many comparisons."""
    until = time.monotonic() + for_s
    newer = Comparison.objects.filter(project=OuterRef("pk"), pk__gt=OuterRef("search_cursor"))
    done = 0
    for project in Project.objects.filter(Exists(newer)).order_by("pk"):
        while time.monotonic() < until and (number := index_chunk(project)):
            done += number
    return done


def index_chunk(project: Project, *, before: datetime | None = None) -> int:
    """Index the next comparisons of a project that were made before a moment (default: what is safe, see
    `settled_moment`). Returns how many; 0 when there is none, or another walker is at work."""
    before = before or settled_moment()
    project.refresh_from_db(fields=["search_cursor"])
    cursor = project.search_cursor
    rows = Comparison.objects.filter(project=project, pk__gt=cursor).select_related(
        "prompt", "response_a", "response_b"
    )
    chunk = []
    for comparison in rows.order_by("pk")[:CHUNK]:
        if comparison.created_at >= before:
            break
        chunk.append(comparison)
    if not chunk:
        return 0
    texts = _texts(project, {comparison.prompt_id for comparison in chunk})
    facets = [facet for comparison in chunk for facet in _facets(comparison)]
    with transaction.atomic():
        moved = Project.objects.filter(pk=project.pk, search_cursor=cursor).update(search_cursor=chunk[-1].pk)
        if not moved:
            return 0
        _store(texts, facets, chunk)
    return len(chunk)


def _store(texts: list[SearchText], facets: list[ItemFacet], chunk: list[Comparison]) -> None:
    """What was deleted since it was read is left out."""
    prompts = set(
        Prompt.objects.filter(pk__in=[text.prompt_id for text in texts]).values_list("pk", flat=True)
    )
    alive = set(Comparison.objects.filter(pk__in=[row.pk for row in chunk]).values_list("pk", flat=True))
    SearchText.objects.bulk_create(
        [text for text in texts if text.prompt_id in prompts],
        update_conflicts=True,
        unique_fields=["prompt"],
        update_fields=["words"],
    )
    ItemFacet.objects.bulk_create(
        [facet for facet in facets if facet.comparison_id in alive], ignore_conflicts=True
    )


def _texts(project: Project, prompt_ids: Iterable[int]) -> list[SearchText]:
    prompts = Prompt.objects.filter(pk__in=prompt_ids).prefetch_related("responses").order_by("pk")
    return [
        SearchText(prompt_id=prompt.pk, project_id=project.pk, words=words_of(_passages(prompt)))
        for prompt in prompts
    ]


def _passages(prompt: Prompt) -> list[str]:
    turns = [str(turn.get("content", "")) for turn in prompt.messages]
    return turns + [response.text for response in prompt.responses.all()]


def _facets(comparison: Comparison) -> list[ItemFacet]:
    found = {
        (FacetKind.LANGUAGE, comparison.prompt.language),
        (FacetKind.TOPIC, comparison.prompt.topic),
        (FacetKind.MODEL, comparison.response_a.model_name),
        (FacetKind.MODEL, comparison.response_b.model_name),
    }
    return [
        ItemFacet(project_id=comparison.project_id, kind=kind, value=value, comparison_id=comparison.pk)
        for kind, value in sorted(found)
        if value
    ]


def settled_moment() -> datetime:
    """Comparisons made before it are all to be seen, so that the walker passes none that is committed later.

    SQLite has one writer at a time, who gives numbers out in the order of commits. On PostgreSQL nothing is settled
    that came after the start of a transaction which is still writing.
    """
    now = timezone.now()
    if connection.vendor == "sqlite":
        return now + SLACK
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
        )
        (oldest,) = cursor.fetchone()
    return min(now, oldest or now) - SLACK
