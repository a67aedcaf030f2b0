"""Each partial index is found by the query that it is for: the conditions are repeated word for word."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from labeling.models import (
    IN_QUEUE,
    QUEUE_ORDER,
    Comparison,
    Disagreement,
    ItemFacet,
    Preference,
    RankingTask,
    Resolution,
    Response,
    Voice,
)

pytestmark = pytest.mark.django_db

OPEN = Q(state="open", open_slots__gt=0)
VOICES = Voice.objects.filter(project_id=1, kind="judge", source="j")
QUERIES = {
    "comparison_queue": Comparison.objects.filter(IN_QUEUE, project_id=1).order_by(*QUEUE_ORDER),
    "comparison_random": Comparison.objects.filter(IN_QUEUE, project_id=1, random_key__gte=0.5).order_by(
        "random_key", "id"
    ),
    "comparison_freed": Comparison.objects.filter(
        IN_QUEUE, project_id=1, freed_at__isnull=False, freed_at__gt=timezone.now()
    ).order_by("freed_at"),
    "comparison_batch": Comparison.objects.filter(OPEN, batch_id=1).order_by(*QUEUE_ORDER),
    "comparison_batch_state": Comparison.objects.filter(batch_id=1, state="done").order_by(),
    "comparison_check": Comparison.objects.filter(
        ~Q(use="work") & Q(state="open"), project_id=1, use="gold"
    ).order_by("random_key", "id"),
    "comparison_project_id": Comparison.objects.filter(project_id=1, pk__lt=100).order_by("-id"),
    "resolution_outcome": Resolution.objects.filter(project_id=1, outcome="tie").order_by("-comparison_id"),
    "resolution_agreement": Resolution.objects.filter(project_id=1, agreement__lt=0.6).order_by("agreement"),
    "response_parent": Response.objects.filter(parent_id=1).order_by(),
    "response_author": Response.objects.filter(author_id=1).order_by(),
    "preference_ranking": Preference.objects.filter(ranking_id=1).order_by(),
    "preference_shown": Preference.objects.filter(shown_left_id=1).order_by(),
    "ranking_task_lease": RankingTask.objects.filter(
        state="leased", lease_expires_at__lt=timezone.now()
    ).order_by("lease_expires_at"),
    "disagreement_queue": Disagreement.objects.filter(
        project_id=1, kind="people", settled_at__isnull=True
    ).order_by("-size", "comparison_id"),
    "voice_outcome": VOICES.filter(outcome="a").order_by("-comparison_id"),
    "voice_share": VOICES.filter(p_a__lt=0.4).order_by("p_a"),
    "voice_value_a": Voice.objects.filter(project_id=1, kind="model", value_a__gt=3.0).order_by("value_a"),
    "item_facet_once": ItemFacet.objects.filter(project_id=1, kind="model", value="m").order_by(
        "-comparison_id"
    ),
    "comparison_use": Comparison.objects.filter(~Q(use="work"), project_id=1, use="gold").order_by("-id"),
}


def forget_other_tests(cursor) -> None:
    """Tables as they are before a first row: what other tests left behind is known to the planner from a table's size
    and from its statistics, and where both say "nothing" any index is as cheap as the right one."""
    cursor.execute("TRUNCATE labeling_project CASCADE")
    cursor.execute(
        "DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relname ~ '^labeling_')"
    )


@pytest.mark.parametrize("index", QUERIES)
def test_a_query_finds_its_index_and_needs_no_sort(index):
    query = QUERIES[index]
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:  # the tables are empty: reading them whole would be cheapest
                forget_other_tests(cursor)
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute("SET LOCAL enable_bitmapscan = off")
                cursor.execute("SET LOCAL enable_sort = off")
        plan = query[:1].explain()
        transaction.set_rollback(True)
    if connection.vendor == "sqlite":  # gives the index of a unique constraint a name of its own
        index = {"item_facet_once": "autoindex_labeling_itemfacet"}.get(index, index)
    assert index in plan, plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan
