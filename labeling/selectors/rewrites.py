"""The rewrites of a comparison's two responses, for those who may view."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from labeling.models import Comparison, ComparisonState


@dataclass(frozen=True)
class Rewrite:
    """`letter`: which of the two responses was rewritten, or stands on its page as the rewrite of the other one (then
    `is_here`). `comparison_id` is the pair of parent and rewrite."""

    letter: str
    author: str
    author_id: int | None
    comparison_id: int
    is_here: bool
    is_withdrawn: bool


def rewrites_of(comparison: Comparison) -> list[Rewrite]:
    """Rewrites of either response, and which of the two is itself a rewrite of the other; oldest first. One query."""
    letters = {comparison.response_a_id: "A", comparison.response_b_id: "B"}
    rows = Comparison.objects.filter(
        Q(response_a__parent__in=letters, response_b__in=letters)
        | Q(response_b__parent__in=letters, response_a__in=letters),
        prompt_id=comparison.prompt_id,
    ).select_related("response_a__author", "response_b__author")
    found = []
    for row in rows.order_by("pk"):
        is_a = row.response_a.parent_id == row.response_b_id
        child, parent_id = (
            (row.response_a, row.response_b_id) if is_a else (row.response_b, row.response_a_id)
        )
        is_here = row.pk == comparison.pk
        found.append(
            Rewrite(
                letter=letters[child.pk if is_here else parent_id],
                author=child.author.name if child.author else "",
                author_id=child.author_id,
                comparison_id=row.pk,
                is_here=is_here,
                is_withdrawn=row.state == ComparisonState.RETIRED,
            )
        )
    return found
