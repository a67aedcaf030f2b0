"""Prompts with several responses, all or some of whose pairs are to be labeled."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

from labeling.models import Comparison, Labeler, Project, RankingTask
from labeling.services.bookmark import bookmarks_void
from labeling.services.ranked import ranking_submit
from tests.factories import make_labeler as make_any_labeler
from tests.factories import make_member, make_project, make_prompt, make_response

SCHEME = {"screen": "both", "rewrites": True, "spans": True}
_numbers = iter(range(1, 1_000_000))


def ranking_project(**fields: Any) -> Project:
    return make_project(**{"scheme": SCHEME, "random_share": 0.0, **fields})


def make_labeler(project: Project) -> Labeler:
    """A member with an account, who labels."""
    return make_any_labeler(project, user=make_member(project), kind="member")


def add_prompt(
    project: Project,
    count: int = 4,
    *,
    priority: float = 0.0,
    pairs: Iterable[tuple[int, int]] | None = None,
    needed: int | None = None,
) -> list[Comparison]:
    """A prompt with `count` responses and comparisons of `pairs` of them (default: all), by number from 0."""
    prompt = make_prompt(project)
    responses = [make_response(prompt, f"Answer {next(_numbers)}.") for _ in range(count)]
    places = project.overlap if needed is None else needed
    rows = []
    for first, second in combinations(range(count), 2) if pairs is None else pairs:
        a, b = sorted((responses[first], responses[second]), key=lambda row: row.content_hash)
        rows.append(
            Comparison(
                project=project,
                prompt=prompt,
                response_a=a,
                response_b=b,
                needed=places,
                open_slots=places,
                priority=priority,
            )
        )
    bookmarks_void(project.pk)  # as an import does
    return Comparison.objects.bulk_create(rows)


def rank(task: RankingTask, places: list[int | None], key: str = "k1", **fields: Any):
    """Submit these places, one for each response as shown."""
    data = {"places": places, **fields.pop("data", {})}
    return ranking_submit(task=task, data=data, idempotency_key=key, **fields)


def said(task: RankingTask) -> dict[tuple[int, int], str]:
    """What the person's standing preferences say of each pair, by position on the screen: "<", ">" or "="."""
    at = {pk: position for position, pk in enumerate(task.order)}
    found = {}
    rows = task.labeler.preferences.filter(comparison__prompt=task.prompt).order_by("revision")
    for row in rows.select_related("comparison"):
        first, second = at[row.comparison.response_a_id], at[row.comparison.response_b_id]
        sign = {"a": ">", "b": "<", "tie": "="}.get(row.outcome, row.outcome)
        if first > second:
            first, second, sign = second, first, {"<": ">", ">": "<"}.get(sign, sign)
        found[first, second] = sign
    return {pair: sign for pair, sign in sorted(found.items()) if sign != "withdrawn"}
