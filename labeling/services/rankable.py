"""What of everybody's queue can be ranked by one person: prompts with at least MIN_PAIRS open pairs."""

from __future__ import annotations

from django.db.models import Count, QuerySet

from labeling.models import QUEUE_ORDER, AssignmentState, Comparison, RankingTask
from labeling.services.bookmark import Queue

# So many comparisons at the top of the queue are looked at for a prompt to rank.
LOOK_AHEAD = 500
# Two pairs of one prompt hold three responses or more. What has fewer is left to the pair page.
MIN_PAIRS = 2


def pairs_to_rank(rows: QuerySet[Comparison]) -> QuerySet[Comparison]:
    """Those of these that a ranking may hold: pairs without a rewrite."""
    return rows.filter(response_a__parent__isnull=True, response_b__parent__isnull=True)


def prompts_ahead(queue: Queue) -> list[int]:
    """Prompts of the first LOOK_AHEAD pairs that the queue's person may be given, in their order, from the bookmark on:
    those with MIN_PAIRS such pairs or more that the person has not ranked or skipped. Five queries at most."""
    rows = list[int]()
    freed = queue.rows.filter(pk__in=queue.freed_before()[:LOOK_AHEAD])
    for part in (freed, *(part(queue.rows, **values) for part, values in queue.behind())):
        ordered = part.order_by(*QUEUE_ORDER).values_list("prompt_id", flat=True)
        rows += ordered[: LOOK_AHEAD - len(rows)]
    had = RankingTask.objects.filter(labeler=queue.labeler, prompt_id__in=set(rows))
    done = set(had.exclude(state=AssignmentState.EXPIRED).values_list("prompt_id", flat=True))
    prompts = [pk for pk in dict.fromkeys(rows) if pk not in done]
    pairs = pairs_to_rank(queue.rows.filter(prompt_id__in=prompts)).order_by().values("prompt_id")
    enough = pairs.annotate(number=Count("pk")).filter(number__gte=MIN_PAIRS)
    rankable = set(enough.values_list("prompt_id", flat=True))
    return [pk for pk in prompts if pk in rankable]
