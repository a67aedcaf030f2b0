"""The command line, without Django: one worked example, every command, every kind of complaint."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workers.reward import open_reward_model, score_file
from workers.reward.cli.console import Progress
from workers.reward.cli.main import main
from workers.reward.cli.settings import Document, read_settings, read_spec
from workers.reward.errors import ConfigError
from workers.reward.files import read_pairs
from workers.reward.folder import hash_file
from workers.reward.simulate import SimulationConfig, simulate
from workers.reward.transformer.figures import StepFigures

from .builders import ROOT, items, planted_pairs

DOCUMENT = ROOT / "docs" / "reward-library.md"
# Runs command after command as ``python -m workers.reward`` would, where importing Django raises.
WITHOUT_DJANGO = """
import json, runpy, sys
sys.modules["django"] = None
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["workers.reward", *arguments]
    try:
        runpy.run_module("workers.reward", run_name="__main__")
    except SystemExit as left:
        print(f"exit {left.code}: {' '.join(arguments)}", file=sys.stderr)
        if left.code:
            raise
"""


def rows(n: int = 80) -> list[dict[str, object]]:
    return [
        {
            "id": pair.pair_id,
            "prompt": pair.messages[0].content,
            "chosen": pair.chosen,
            "rejected": [{"role": "assistant", "content": pair.rejected}],
            "group": pair.group,
            "margin": 0.5,
        }
        for pair in planted_pairs(n, groups=16)
    ]


def write(path: Path, values: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in values)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


CONFIG = """\
kind: starter
out: models/first
data: pairs.jsonl.gz
split: {validation: 0.2, test: 0.3}
model:
  heads: 2
  hash_bits: 12
"""


@pytest.fixture
def place(tmp_path):
    write(tmp_path / "pairs.jsonl.gz", rows())
    (tmp_path / "run.yaml").write_text(CONFIG)
    return tmp_path


def run(capsys, *arguments: object) -> dict:
    code = main([*map(str, arguments), "--json", "--quiet"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out)


def complaint(capsys, *arguments: object) -> str:
    code = main([str(part) for part in arguments] + ["--quiet"])
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_a_model_is_trained_evaluated_compared_and_scored_with(place, capsys):
    trained = run(capsys, "train", place / "run.yaml")
    folder = place / "models" / "first"
    counts = trained["counts"]
    assert trained["evaluation"]["n"] == counts["test_ignored"] > 5
    assert counts["train"] + counts["validation"] + counts["test_ignored"] == 80
    kept = json.loads((place / "models" / "first.evaluation.json").read_text())
    assert kept["evaluations"]["test split"] == trained["evaluation"]

    found = run(
        capsys, "evaluate", folder, place / "pairs.jsonl.gz", "--cluster-by", "group", "--resamples", 50
    )
    assert (
        found["n"] == trained["evaluation"]["n"]
    )  # the run's test pairs: the others' prompts were trained on
    assert found["seen_left_out"] == 80 - found["n"]
    assert found["accuracy"]["value"] > 0.9
    assert found["cluster_by"] == "group"
    assert {part["key"] for part in found["slices"]} == {"script", "turns", "length", "strength"}
    kept = json.loads(Path(found["evaluation_path"]).read_text())
    mark = hash_file(place / "pairs.jsonl.gz")[:8]
    assert set(kept["evaluations"]) == {"test split", f"pairs.jsonl.gz {mark}"}
    (place / "other").mkdir()
    fresh = [row | {"prompt": f"Another {row['prompt']}"} for row in rows()]
    other = write(place / "other" / "pairs.jsonl.gz", fresh)
    kept = json.loads(Path(run(capsys, "evaluate", folder, other)["evaluation_path"]).read_text())
    assert len(kept["evaluations"]) == 3  # other pairs in a file of the same name

    compared = run(capsys, "compare", folder, "random", other, "--resamples", 200)
    assert compared["difference"]["low"] > 0
    assert compared["gate"]["promote"] is True
    assert run(capsys, "compare", "random", folder, other)["gate"]["promote"] is False

    scored = run(capsys, "score", folder, place / "pairs.jsonl.gz", place / "scores.jsonl")
    assert scored["rows"] == 160
    again = run(capsys, "score", folder, place / "pairs.jsonl.gz", place / "scores.jsonl")
    assert again["scored"] == 0
    by_hand = score_file(open_reward_model(folder), place / "pairs.jsonl.gz", place / "hand.jsonl", model="x")
    assert by_hand.rows == 160
    first = json.loads((place / "scores.jsonl").read_text().splitlines()[0])
    assert first["version"] == "first"


def test_names_with_lone_surrogates_are_split_by_and_reported(place, capsys):
    half = "\ud83d"
    named = [
        row
        | {
            "id": f"{row['id']}{half}",
            "group": f"{row['group']}{half}",
            "topic": half,
            "votes": {half: "chosen"},
        }
        for row in rows()
    ]
    write(place / "pairs.jsonl.gz", named)
    trained = run(capsys, "train", place / "run.yaml")
    assert trained["evaluation"]["n"] == trained["counts"]["test_ignored"] > 5
    kept = json.loads((place / "models" / "first.evaluation.json").read_text())["evaluations"]["test split"]
    assert kept == trained["evaluation"]
    assert "?" in {part["value"] for part in kept["slices"] if part["key"] == "topic"}
    assert kept["annotators"][0]["annotator"] == "?"


def test_the_split_is_by_group(place):
    settings = read_settings(place / "run.yaml")
    pairs = list(settings.pairs())
    groups = {
        split: {p.group for p in pairs if p.split == split} for split in ("train", "validation", "test")
    }
    assert all(groups.values())
    assert sum(map(len, groups.values())) == 16
    assert {p.strength for p in pairs} == {2.5}


def test_tables_are_for_people(place, capsys):
    assert main(["evaluate", "longest", str(place / "pairs.jsonl.gz")]) == 0
    said = capsys.readouterr()
    assert re.search(r"model +0\.\d{3} +0\.\d{3} … 0\.\d{3}", said.out)
    assert "length=similar" in said.out
    assert main(["compare", "longest", "random", str(place / "pairs.jsonl.gz"), "--quiet"]) == 0
    assert "the gate would not promote it: beats_longest" in capsys.readouterr().out


def test_a_scorers_file_stands_for_a_model(place, capsys):
    (place / "judge.yaml").write_text("kind: generative\nverdicts: said.jsonl\n")
    write(place / "said.jsonl", [{"pair": "p0", "outcome": "chosen"}, {"pair": "p1", "outcome": None}])
    found = run(capsys, "evaluate", place / "judge.yaml", place / "pairs.jsonl.gz")
    assert (found["n"], found["no_verdict"], found["kind"]) == (1, 79, "generative")
    assert "compares pairs" in complaint(
        capsys, "score", place / "judge.yaml", place / "pairs.jsonl.gz", place / "out.jsonl"
    )
    (place / "run.yaml").write_text(
        "kind: generative\nout: judge\ndata: pairs.jsonl.gz\nmodel: {verdicts: said.jsonl}\nsplit: {test: 0.3}\n"
    )
    write(place / "said.jsonl", [{"pair": f"p{i}", "outcome": "chosen"} for i in range(80)])
    trained = run(capsys, "train", place / "run.yaml")
    assert trained["evaluation"]["n"] == trained["counts"]["test_ignored"] > 5
    assert trained["evaluation"]["accuracy"]["value"] == 1.0
    (place / "bad.yaml").write_text("kind: dpo\nmodel: x\nbeta: 0\n")
    assert complaint(capsys, "evaluate", place / "bad.yaml", place / "pairs.jsonl.gz").startswith(
        "error: bad.yaml, line 3: dpo: beta must lie in"
    )


def test_rewardbench(place, capsys):
    data = [
        {"prompt": "q", "chosen": "longer", "rejected": "short", "subset": "donotanswer", "id": 1},
        {"prompt": "q", "chosen": "a", "rejected": "bb", "subset": "shp", "id": 2},
    ]
    found = run(capsys, "rewardbench", "longest", write(place / "bench.jsonl", data))
    assert found["score"] == pytest.approx(1 / 1.5)
    assert main(["rewardbench", "longest", str(place / "bench.jsonl"), "--quiet"]) == 0
    assert "for want of data: Chat, Chat Hard, Reasoning" in capsys.readouterr().out


def test_orders_of_labeling_are_simulated_on_ones_own_pairs(place, capsys):
    asked = ("simulate", place / "pairs.jsonl.gz", "--seeds", 2, "--strategy", "covering entropy")
    found = run(capsys, *asked)
    assert set(found["strategies"]) == {"random", "covering entropy"}
    assert found["sizes"] == [4, 9, 14, 19, 24, 28, 33, 38, 43, 48]  # up to 0.6 of 80 pairs
    assert found["reference"] == 48
    chosen = run(capsys, *asked, "--labels", 10, 30)
    assert chosen["sizes"] == [10, 30]
    pairs = list(read_pairs(place / "pairs.jsonl.gz"))
    config = SimulationConfig(seeds=(0, 1), sizes=(10, 30), strategies=("covering entropy",), reference=30)
    by_hand = simulate(pairs, config).as_dict()["strategies"]
    for name, figures in chosen["strategies"].items():
        assert figures["accuracy"] == by_hand[name]["accuracy"]
    assert main([*map(str, asked), "--labels", "10", "30", "--quiet"]) == 0
    assert re.search(r"^labels +random +covering entropy$", capsys.readouterr().out, re.MULTILINE)
    assert "80 labels asked for" in complaint(capsys, *asked, "--labels", 10, 80)
    assert "too few to simulate on" in complaint(capsys, "simulate", write(place / "one.jsonl", rows(1)))


def test_a_plan_is_printed_and_nothing_trained(place, capsys):
    (place / "run.yaml").write_text(
        CONFIG.split("model:")[0].replace("starter", "transformer")
        + "model: {tiny_vocabulary: 320, tiny_hidden: 32, tiny_layers: 1, tiny_heads: 2, batch_tokens: 512}\n"
    )
    found = run(capsys, "plan", place / "run.yaml")
    assert found["layout"] == "tree"
    assert found["tokens_computed"] < found["tokens_padded"]
    assert found["pairs"] == found["counts"]["train"]
    assert not (place / "models").exists()
    assert main(["plan", str(place / "run.yaml"), "--quiet"]) == 0
    assert "steps an epoch" in capsys.readouterr().out


def test_progress_shows_a_steps_loss_accuracy_and_speed(capsys):
    step = StepFigures(pairs=8, tokens=90, padded=100, terms={"total": 4.0}, right=6.0, decided=8)
    told = Progress()
    told.metric(1, step.values(2.0))
    told.progress(1, 1, "train")
    assert capsys.readouterr().err == "train 1/1 · loss 0.5 · accuracy 0.75 · pairs/s 4\n"


def test_files_that_a_run_reads_are_read_by_every_command(place, capsys):
    renamed = [
        {("question" if key == "prompt" else key): value for key, value in (row | {"margin": 7}).items()}
        for row in rows()
    ]
    write(place / "pairs.jsonl.gz", renamed)
    (place / "run.yaml").write_text(
        "kind: starter\nout: m\ndata: {path: pairs.jsonl.gz, keys: {prompt: question}}\nsplit: {test: 0.3}\n"
        "model: {heads: 1, hash_bits: 12, margin_scale: 10}\n"
    )
    run(capsys, "train", place / "run.yaml")
    asked = (place / "pairs.jsonl.gz", "--key", "prompt=question", "--margin-scale", 10)
    found = run(capsys, "evaluate", place / "m", *asked)
    assert {part["value"] for part in found["slices"] if part["key"] == "strength"} == {"clear"}
    assert run(capsys, "compare", place / "m", "random", *asked, "--seen")["candidate"]["n"] == 80
    said = complaint(capsys, "evaluate", place / "m", *asked[:-2])
    assert "margin 7 lies outside 0..1; set margin_scale (--margin-scale) to the largest one" in said
    assert "--margin-scale must be" in complaint(capsys, "evaluate", place / "m", *asked[:-1], 0)
    (place / "run.yaml").write_text(
        (place / "run.yaml").read_text().split("model:")[0].replace("starter", "transformer")
        + "model: {tiny_vocabulary: 320, margin_scale: 10}\n"
    )
    shown = run(capsys, "preview", place / "run.yaml")
    assert shown["previews"][0]["pair"] == "p0"
    assert run(capsys, "preview", place / "run.yaml", *asked) == shown


def test_aspects_are_trained_on_the_ratings_of_a_file(place, capsys):
    rated = [
        row | {"ratings_chosen": {"clear": 4 - i % 2, "kind": None}, "ratings_rejected": {"clear": 1.5}}
        for i, row in enumerate(rows(24))
    ]
    write(place / "pairs.jsonl.gz", rated)
    (place / "run.yaml").write_text(
        "kind: transformer\nout: m\ndata: pairs.jsonl.gz\nmodel: {tiny_vocabulary: 320, tiny_hidden: 32, "
        "tiny_layers: 1, tiny_heads: 2, batch_tokens: 512, max_steps: 2, device: cpu, aspects: [clear]}\n"
    )
    read = list(read_settings(place / "run.yaml").pairs())
    assert [(p.ratings_chosen, p.ratings_rejected) for p in read[:2]] == [
        ({"clear": 4.0}, {"clear": 1.5}),
        ({"clear": 3.0}, {"clear": 1.5}),
    ]
    run(capsys, "train", place / "run.yaml")
    scores = open_reward_model(place / "m").score(items(["because"]))
    assert list(scores.aspects) == ["clear"]


def test_a_preview_shows_what_is_read_of_the_first_pairs(place, capsys):
    assert "reads text and no tokens" in complaint(capsys, "preview", place / "run.yaml")
    (place / "run.yaml").write_text(
        CONFIG.split("model:")[0].replace("starter", "transformer") + "model: {tiny_vocabulary: 320}\n"
    )
    found = run(capsys, "preview", place / "run.yaml", "-n", 2)["previews"]
    assert [(one["pair"], one["side"]) for one in found] == [
        ("p0", "chosen"),
        ("p0", "rejected"),
        ("p1", "chosen"),
        ("p1", "rejected"),
    ]
    first = rows(1)[0]
    assert first["prompt"] in found[0]["text"]
    assert found[0]["text"].count(first["chosen"]) == 1
    assert "".join(text for _id, text, _prompt, _special in found[0]["tokens"]).startswith("<|im_start|>")
    (place / "run.yaml").write_text(
        (place / "run.yaml").read_text().replace("320}", "320, tiny_layers: 1, max_steps: 1, device: cpu}")
    )
    run(capsys, "train", place / "run.yaml")
    assert (
        run(capsys, "preview", place / "models/first", place / "pairs.jsonl.gz", "-n", 2)["previews"] == found
    )
    assert "needs a file of pairs" in complaint(capsys, "preview", place)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("kind: starter", "kind: poem"), "run.yaml, line 1: kind must be one of starter"),
        (("out: models/first", "out:"), "run.yaml, line 2: out must name"),
        (
            ("pairs.jsonl.gz", "other.jsonl"),
            "run.yaml, line 3: data names other.jsonl, and there is no such file",
        ),
        (
            ("pairs.jsonl.gz", "{path: pairs.jsonl.gz, keys: {poem: x}}"),
            "line 3: data.keys.poem is none of prompt",
        ),
        (("test: 0.3", "test: 0.9"), "run.yaml, line 4: split needs shares"),
        (("test: 0.3", "tests: 0.3"), "run.yaml, line 4: split.tests is none of"),
        (("heads: 2", "heads: 0"), "run.yaml, line 6: starter: heads must lie in 1..64, got 0"),
        (("heads: 2", "haeds: 2"), "run.yaml, line 6: unknown setting for starter: haeds"),
        (("hash_bits: 12", "hash_bits: x"), "run.yaml, line 7: hash_bits has the wrong type: 'x'"),
        (("hash_bits: 12", "heads: 3"), "run.yaml, line 7: model.heads stands here twice"),
        (("model:", "modle:"), "run.yaml, line 5: modle is none of"),
        (("split: {", "split: {{"), "run.yaml, line 5: is not YAML"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(place, capsys, change, said):
    (place / "run.yaml").write_text(CONFIG.replace(*change, 1))
    assert said in complaint(capsys, "train", place / "run.yaml")
    assert not (place / "models").exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"chosen": "a", "rejected": "b"}, "row 2: prompt is missing, and chosen and rejected bring no"),
        ({"prompt": "q", "chosen": "a"}, "row 2: rejected is missing; the row has chosen, prompt"),
        ({"prompt": "q", "chosen": "a", "rejected": 3}, "row 2: rejected is neither a text nor"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "margin": 2}, "row 2: margin 2 lies outside 0..1"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "weight": "x"}, "row 2: weight must be a number"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "p_chosen": 2}, "p_chosen 2.0 is outside [0, 1]"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "votes": {"x": "?"}}, "votes must map annotators"),
        (
            {"prompt": "q", "chosen": "a", "rejected": "b", "ratings_chosen": {"clear": "4"}},
            "row 2: ratings_chosen.clear must be a number, got '4'",
        ),
        (
            {"prompt": "q", "chosen": "a", "rejected": "b", "ratings_rejected": [4]},
            "row 2: ratings_rejected must map aspects to numbers, got [4]",
        ),
        ([], "row 2: is no JSON object"),
    ],
)
def test_a_wrong_row_is_named(place, capsys, row, said):
    write(place / "bad.jsonl", [rows(1)[0], row])
    found = complaint(capsys, "evaluate", "random", place / "bad.jsonl")
    assert found.startswith("error: bad.jsonl, row 2:")
    assert said in found


def test_other_wrong_arguments_say_what_to_do(place, capsys):
    assert "no model folder or scorer's file nowhere" in complaint(
        capsys, "evaluate", "nowhere", place / "pairs.jsonl.gz"
    )
    assert "holds no chosen_model.json" in complaint(capsys, "evaluate", place, place / "pairs.jsonl.gz")
    assert "there is no file" in complaint(capsys, "evaluate", "random", place / "none.jsonl")
    assert "only .jsonl" in complaint(capsys, "evaluate", "random", place / "run.yaml")
    (place / "cut.jsonl.gz").write_bytes((place / "pairs.jsonl.gz").read_bytes()[:50])
    assert "cannot be read" in complaint(capsys, "evaluate", "random", place / "cut.jsonl.gz")
    assert "no pair of the split test" in complaint(
        capsys, "evaluate", "random", place / "pairs.jsonl.gz", "--split", "test"
    )
    assert "has no batches of tokens" in complaint(capsys, "plan", place / "run.yaml")
    with pytest.raises(SystemExit) as left:
        main(["poem"])
    assert left.value.code == 2


def test_implicit_and_whole_conversation_layouts_are_read(place, capsys):
    turn = {"role": "user", "content": "q"}
    whole = (
        [turn, {"role": "assistant", "content": "long answer"}],
        [turn, {"role": "assistant", "content": "no"}],
    )
    shapes = [
        {"chosen": whole[0], "rejected": whole[1]},
        {"prompt": "q", "chosen": whole[0], "rejected": whole[1]},
        {"prompt": [turn], "chosen": whole[0][1:], "rejected": whole[1][1:]},
        {"prompt": "q", "chosen": "long answer", "rejected": "no"},
        {"prompt": [turn | {"content": [{"type": "text", "text": "q"}]}], "chosen": "long one", "rejected": "no"},
        {"prompt": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "long one"}, "rejected": "no"},
    ]  # fmt: skip
    found = run(capsys, "evaluate", "longest", write(place / "shapes.jsonl", shapes))
    assert (found["n"], found["clusters"], found["accuracy"]["value"]) == (6, 1, 1.0)
    other = [{"question": "q", "better": "long answer", "rejected": "no"}]
    keys = ["--key", "prompt=question", "--key", "chosen=better"]
    found = run(capsys, "evaluate", "longest", write(place / "other.jsonl", other), *keys)
    assert found["n"] == 1
    assert "--key needs two names" in complaint(
        capsys, "evaluate", "longest", place / "other.jsonl", "--key", "x"
    )
    image = [{"prompt": [{"role": "user", "content": [{"type": "image"}]}], "chosen": "a", "rejected": "b"}]
    assert "message without role" in complaint(
        capsys, "evaluate", "longest", write(place / "image.jsonl", image)
    )


def test_scorers_are_described_by_files_with_lines(tmp_path):
    (tmp_path / "base").mkdir()
    path = tmp_path / "dpo.yaml"
    path.write_text("kind: dpo\nmodel: base\nreference: owner/name\n")
    spec = read_spec(path)
    assert (spec.model, spec.reference) == (str(tmp_path / "base"), "owner/name")
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="holds no settings"):
        Document(path)


def test_the_worked_example_of_the_documentation_runs_without_django(tmp_path):
    text = DOCUMENT.read_text(encoding="utf-8")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert {name for name, _ in files} >= {"pairs.jsonl", "first.yaml"}
    for name, content in files:
        (tmp_path / name).write_text(content, encoding="utf-8")
    commands = re.findall(r"^\$ python -m workers\.reward (.*)$", text, re.MULTILINE)
    assert len(commands) >= 5
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    asked = json.dumps([command.split() for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DJANGO, asked],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("exit 0: ") == len(commands)
    shown = re.search(r"<!-- output -->\n```\n(.*?)```", text, re.DOTALL)
    assert shown, "the document shows what evaluate prints"
    assert shown.group(1).strip() in done.stdout
