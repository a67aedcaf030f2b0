"""A file that is held out is held out, whichever file brought its prompts first."""

from __future__ import annotations

from labeling.importing.services import import_run
from labeling.models import Prompt
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import read_snapshot
from tests.labeling.importing.helpers import explicit_row, jsonl


def test_a_test_file_holds_out_prompts_that_are_there_already(project, bring):
    rows = [explicit_row(n) | {"metadata": {"source": f"s{n}"}} for n in range(8)]
    assert import_run(bring(jsonl(rows))) is not None
    assert import_run(bring(jsonl(rows[:3]), "test.jsonl", split="test")) is not None

    marked = Prompt.objects.filter(metadata__split="test")
    assert {prompt.metadata["source"] for prompt in marked} == {"s0", "s1", "s2"}
    assert Prompt.objects.count() == 8
    snapshot = snapshot_create(
        project=project, config={"fractions": {"train": 1.0, "validation": 0, "test": 0}}, enqueue=False
    )
    held_out = {row.prompt_id for row in read_snapshot(snapshot_build(snapshot), splits=("test",))}
    assert held_out == set(marked.values_list("pk", flat=True))


def test_an_ordinary_file_takes_no_prompt_out_of_the_test_split(bring):
    rows = [explicit_row(n) for n in range(3)]
    assert import_run(bring(jsonl(rows), "test.jsonl", split="test")) is not None
    assert import_run(bring(jsonl(rows), "again.jsonl")) is not None
    assert Prompt.objects.filter(metadata__split="test").count() == 3
