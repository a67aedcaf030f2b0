"""A file that is held out is held out, whichever file brought its prompts first."""

from __future__ import annotations

import pytest

from labeling.exporting import export_open, read_options
from labeling.importing.services import import_run
from labeling.models import Project, Prompt
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import read_snapshot
from tests.labeling.importing.helpers import explicit_row, jsonl
from tests.labeling.importing.wrappings import packed


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


CARD = b"---\nconfigs:\n- data_files:\n  - {split: train, path: a.jsonl}\n  - {split: test, path: b.jsonl}\n---\n"


def test_the_test_split_of_a_card_is_held_out(project, bring):
    """Prompts that an earlier file brought, and those that stand in both splits, too."""
    rows = [explicit_row(n) for n in range(9)]
    assert import_run(bring(jsonl(rows[4:6]))) is not None
    files = {
        "README.md": CARD,
        "a.jsonl": jsonl(rows[:4]),
        "b.jsonl": jsonl([rows[3] | {"id": "x"}, *rows[4:]]),
    }
    import_ = bring(packed(files), "set.zip")
    assert import_run(import_) is not None
    assert import_.counts["held_out"] == 6
    marked = Prompt.objects.filter(metadata__split="test")
    assert {prompt.messages[0]["content"] for prompt in marked} == {f"Question {n}?" for n in range(3, 9)}
    assert not Prompt.objects.filter(metadata__split="train").exists()


@pytest.mark.parametrize("layout", ["trl-explicit", "chosen"])
def test_our_own_dataset_folder_comes_back_with_its_test_split(project, bring, layout):
    assert import_run(bring(jsonl([explicit_row(n) for n in range(30)]))) is not None
    fractions = {"train": 0.5, "validation": 0.2, "test": 0.3}
    there = snapshot_build(snapshot_create(project=project, config={"fractions": fractions}, enqueue=False))
    data = b"".join(export_open(there, read_options({"layout": layout, "format": "dataset"})))
    other = Project.objects.create(name="Other", slug="other")
    assert import_run(bring(data, "set.zip", into=other)) is not None
    everything = {"train": 1.0, "validation": 0, "test": 0}
    back = snapshot_build(snapshot_create(project=other, config={"fractions": everything}, enqueue=False))
    held_out, again = (
        {row.messages[0]["content"] for row in read_snapshot(one, splits=("test",))} for one in (there, back)
    )
    assert held_out == again
    assert 0 < len(held_out) < 30
