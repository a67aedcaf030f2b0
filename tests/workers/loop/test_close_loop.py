"""`manage.py close_loop`: every stage does real work on a small file, and says so where it does not."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from labeling.models import Comparison, LabelerKind, Preference, Project, Prompt
from workers.models import ModelState, RewardModel, Score
from workers.reward.types import Message, Pair

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = "a clear answer with a reason because of {} and an example"
BAD = "nonsense about {}"


def rows(count: int, *, start: int = 0, groups: int = 8) -> list[dict[str, object]]:
    return [
        {
            "id": f"r{n}",
            "topic_key": f"group {n % groups}",
            "prompt": f"question {n}",
            "chosen": GOOD.format(f"thing {n}"),
            "rejected": BAD.format(f"thing {n}"),
        }
        for n in range(start, start + count)
    ]


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> str:
    out = StringIO()
    call_command("close_loop", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def test_once_round_with_the_starter(tmp_path: Path):
    data = write(tmp_path / "pairs.jsonl", rows(96))
    report = tmp_path / "out.json"
    table = run("--data", data, "--group-key", "topic_key", "--project", "Small", "--json", report)
    found = json.loads(report.read_text())
    names = [stage["stage"] for stage in found["stages"]]
    assert names == [
        "import", "snapshot", "train", "evaluate", "gate", "score and re-order", "cross-validate", "judge", "export",
    ]  # fmt: skip
    assert found["worked"] is True
    assert all(stage["worked"] and stage["peak_mb"] > 20 for stage in found["stages"])
    assert found["evaluation"]["accuracy"] == 1.0
    assert found["evaluation"]["longest"]["value"] == 1.0
    assert found["evaluation"]["n"] == 96
    assert found["evaluation"]["groups"] == 8
    assert 0 < found["test_split"]["n"] < 96
    assert found["gate"]["promote"] is True
    assert "longest wins 1.0000" in table
    project = Project.objects.get(slug="small")
    assert RewardModel.objects.get(project=project).state == ModelState.CHAMPION
    assert Score.objects.filter(reward_model__project=project).count() == 192
    folder = Path(next(stage["folder"] for stage in found["stages"] if stage["stage"] == "export"))
    line = json.loads((folder / "trl-explicit.jsonl").read_text().splitlines()[0])
    assert set(line) == {"prompt", "chosen", "rejected"}
    manifest = json.loads((folder / "trl-explicit.jsonl.manifest.json").read_text())
    assert manifest["rows"]["written"] == 96


def test_a_test_file_is_scored_and_never_trained_on(tmp_path: Path):
    data = write(tmp_path / "train.jsonl", rows(80))
    # In the test file the worse text is called chosen: a model that had trained on it could not be this wrong.
    turned = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in rows(30, start=500)]
    test = write(tmp_path / "test.jsonl", turned)
    report = tmp_path / "out.json"
    # So it is refused, there is no champion to score with, and the command says that with its exit code.
    with pytest.raises(CommandError, match="score and re-order"):
        run("--data", data, "--test", test, "--project", "Held", "--json", report)
    found = json.loads(report.read_text())
    assert found["evaluation"]["n"] == 30
    assert found["evaluation"]["accuracy"] == 0.0
    assert found["gate"]["promote"] is False
    assert Prompt.objects.filter(project__slug="held", metadata__split="test").count() == 30


def test_simulated_labelers_label_what_the_file_leaves_open(tmp_path: Path):
    lines = [
        {"prompt": f"question {n}", "language": "en", "responses": [GOOD.format(n), BAD.format(n)]}
        for n in range(120)
    ]
    data = write(tmp_path / "plain.jsonl", lines)
    report = tmp_path / "out.json"
    run("--data", data, "--project", "Simulated", "--simulate-labels", "--json", report)
    labels = Preference.objects.filter(project__slug="simulated")
    assert labels.count() == 120
    assert set(labels.values_list("labeler__kind", flat=True)) == {LabelerKind.SIMULATED}
    stages = {stage["stage"]: stage for stage in json.loads(report.read_text())["stages"]}
    assert stages["label"]["labels"] == 120


def test_without_labels_it_says_what_is_missing(tmp_path: Path):
    data = write(tmp_path / "plain.jsonl", [{"prompt": "q", "responses": ["one", "two"]}])
    with pytest.raises(CommandError, match="Not enough labels"):
        run("--data", data, "--project", "Empty")


def test_a_bad_file_stops_it_by_line_and_leaves_nothing(tmp_path: Path):
    lines = [json.dumps(row) for row in rows(30)]
    lines[17] = lines[17][:-4]
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(CommandError, match=r"line 18"):
        run("--data", path, "--project", "Bad")
    assert not Comparison.objects.exists()


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(CommandError, match=r"nothing\.jsonl"):
        run("--data", tmp_path / "nothing.jsonl", "--project", "x")


def test_a_stage_that_did_nothing_fails_the_round(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(
        "workers.loop.round.export_to_folder", lambda snapshot, folder: folder.mkdir(parents=True) or 0
    )
    data = write(tmp_path / "pairs.jsonl", rows(60))
    with pytest.raises(CommandError, match="export"):
        run("--data", data, "--project", "Idle")


def test_cross_validation_never_scores_what_it_trained_on():
    """Labels that follow nothing but the group cannot be learned across groups: pooled accuracy stays at chance."""
    from workers.reward import StarterConfig, cross_validate

    pairs = [
        Pair(
            f"{g}-{n}",
            (Message("user", f"q{g} {n}"),),
            f"word{g if n % 2 else g + 100} {n}",
            f"word{g + 100 if n % 2 else g} {n}",
            group=f"g{g}",
        )
        for g in range(6)
        for n in range(20)
    ]
    found = cross_validate("starter", pairs, StarterConfig(regularisation=(1.0,)), folds=6)
    assert found.n == 120
    assert found.accuracy.value == pytest.approx(0.5, abs=0.1)


def test_cross_validation_needs_groups():
    from workers.reward import DataError, StarterConfig, cross_validate

    pair = Pair("1", (Message("user", "q"),), "a", "b", group="one")
    with pytest.raises(DataError, match="3 groups"):
        cross_validate("starter", [pair], StarterConfig())
