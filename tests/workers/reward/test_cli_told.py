"""What the command line tells of a training beside its figures: how rows were read, and nothing at all when asked."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from workers.reward.cli.main import main

from .builders import ROOT, planted_pairs

CONFIG = """\
kind: transformer
out: model
data: pairs.jsonl
model:
  {{base: {base}, max_steps: 2, tiny_vocabulary: 320, tiny_hidden: 32, tiny_layers: 1, tiny_heads: 2, batch_tokens: 512,
  device: cpu}}
"""


def write_run(folder, base: str = "tiny") -> str:
    rows = [
        {"prompt": pair.messages[0].content, "chosen": pair.chosen, "rejected": pair.rejected}
        for pair in planted_pairs(16)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "run.yaml").write_text(CONFIG.format(base=base))
    return str(folder / "run.yaml")


PADDED = "an encoder reads both ways, so answers cannot share a prompt"


@pytest.mark.parametrize(
    ("base", "layout", "because", "line"),
    [
        ("tiny", "tree", "", "rows were packed: each prompt was read once, without padding"),
        ("tiny-encoder", "padded", PADDED, f"rows were padded: {PADDED}"),
    ],
)
def test_a_training_says_how_its_rows_were_read(tmp_path, capsys, base, layout, because, line):
    run = write_run(tmp_path, base=base)
    assert main(["train", run, "--quiet"]) == 0
    assert line in capsys.readouterr().out.splitlines()
    assert main(["train", run, "--quiet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["layout"], found["padded_because"]) == (layout, because)


def test_a_frozen_backbone_says_it_too_and_a_starter_has_no_rows(tmp_path, capsys):
    model = "{base: tiny-encoder, heads: 1, device: cpu}"
    run = write_run(tmp_path)
    for kind, layout, said in (("embedding", "padded", "pool mean reads more"), ("starter", "", "")):
        settings = model if kind == "embedding" else "{heads: 1, hash_bits: 12}"
        (tmp_path / "run.yaml").write_text(
            f"kind: {kind}\nout: {kind}\ndata: pairs.jsonl\nmodel: {settings}\n"
        )
        assert main(["train", run, "--quiet", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["layout"] == layout
        assert found["padded_because"].startswith(said)
        assert bool(found["padded_because"]) == bool(said)


def test_quiet_leaves_stderr_empty(tmp_path):
    command = [sys.executable, "-m", "workers.reward"]
    for arguments in (["train", write_run(tmp_path)], ["score", "model", "pairs.jsonl", "scores.jsonl"]):
        said = subprocess.run(
            [*command, *arguments, "--quiet"],
            cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert said.stderr == ""
        assert said.stdout
