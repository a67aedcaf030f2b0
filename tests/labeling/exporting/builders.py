"""Snapshots for the tests of exports: prompts of every shape, ranked prompts, and what a layout must say of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from labeling.exporting import export_open, read_options
from labeling.hashing import response_hash
from labeling.importing.options import ImportOptions
from labeling.importing.services import import_create, import_run
from labeling.importing.uploads import upload_store
from labeling.models import Comparison, Labeler, Project, Prompt, Response, Snapshot
from labeling.services.resolution import resolve_comparisons
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import SnapshotRow, read_snapshot
from tests.labeling.resolution.builders import (
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    vote,
)


def said(*turns: str) -> list[dict[str, str]]:
    """Messages of "role: text" lines."""
    return [dict(zip(("role", "content"), turn.split(": ", 1), strict=True)) for turn in turns]


SINGLE = said("user: 水的沸点是多少？")
TURNS = said("user: Hi", "assistant: Hello!", "user: What is 2 + 2?")
SYSTEM = said("system: Be brief.", "user: Name a river.")
TOOL = said("user: Weather in Oslo?", "assistant: [looks it up]", "tool: -3 °C")
SHAPES = (SINGLE, TURNS, SYSTEM, TOOL)
SEVERAL = {"A": "best", "B": "good", "C": "poor"}


def settle(project: Project) -> Snapshot:
    """A snapshot of all labels of the project."""
    resolve_comparisons(Comparison.objects.filter(project=project).values_list("pk", flat=True))
    return snapshot_build(snapshot_create(project=project, enqueue=False))


def shaped_project() -> Project:
    """Two comparisons under a prompt of each shape, one by one person with a strength of 1 to 4, one tied; and one
    with two bad responses."""
    project = make_project()
    people = [make_labeler(project, name) for name in ("Zoe", "Li")]
    for number, messages in enumerate(SHAPES):
        fields = {"topic": f"topic {number % 2}", "language": "en"}
        prompt = make_prompt(project, messages=messages, **fields)
        comparison = make_comparison(prompt, f"回答 {number}\nwith a line", f"Other answer {number}")
        vote(comparison, people[number % 2], "ab"[number % 2], strength=1 + number)
        tied = make_comparison(prompt, f"Tied {number}", f"As good {number}")
        vote(tied, people[0], "a", strength=2)
        vote(tied, people[1], "b", strength=3)
    bad = make_comparison(make_prompt(project, "Only bad ones?"), "bad", "worse")
    vote(bad, people[0], "both_bad")
    return project


def ranked_prompt(
    project: Project,
    person: Labeler,
    wins: Sequence[str],
    *,
    texts: Mapping[str, str] = SEVERAL,
    **fields: Any,
) -> Prompt:
    """A prompt with three responses A, B and C. `wins` are pairs, the better first ("AB"), or tied ("A=B")."""
    prompt = make_prompt(project, fields.pop("text", ""), **fields)
    made = {
        key: Response.objects.create(
            prompt=prompt,
            text=text,
            model_name=f"model-{key}",
            content_hash=response_hash(text, f"model-{key}"),
        )
        for key, text in texts.items()
    }
    for pair in wins:
        better, worse = made[pair[0]], made[pair[-1]]
        a, b = sorted((better, worse), key=lambda row: row.content_hash)
        comparison = Comparison.objects.create(project=project, prompt=prompt, response_a=a, response_b=b)
        outcome = "tie" if "=" in pair else "a" if a == better else "b"
        vote(comparison, person, outcome, strength=None if outcome == "tie" else 2)
    return prompt


def export(snapshot: Snapshot, **options: Any) -> bytes:
    return b"".join(export_open(snapshot, read_options(options)))


def lines(snapshot: Snapshot, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in export(snapshot, **options).splitlines()]


def decided(snapshot: Snapshot) -> list[SnapshotRow]:
    return [row for row in read_snapshot(snapshot) if row.outcome in ("a", "b")]


def sides(row: SnapshotRow) -> tuple[str, str]:
    """The chosen and the rejected text of a decided row."""
    return (row.response_a, row.response_b) if row.outcome == "a" else (row.response_b, row.response_a)


_numbers = itertools.count(1)


def brought(data: bytes, *, into: Project | None = None, **options: Any) -> Project:
    """A project, a new one unless it is given, with what an import makes of these bytes."""
    project = into or make_project()
    file_name = f"rows-{next(_numbers)}.jsonl"
    import_ = import_create(
        project=project,
        file_name=file_name,
        stored=upload_store([data]),
        options=ImportOptions(**options),
        enqueue=False,
    )
    import_run(import_)
    return project
