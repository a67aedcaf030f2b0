"""Nothing is measured on what was trained on: prompts stand in one split, and folders know the prompts they saw."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest

from workers.reward import (
    CorruptModelError,
    EmbeddingConfig,
    Pair,
    StarterConfig,
    TransformerConfig,
    open_reward_model,
    train,
)
from workers.reward.cli.main import main
from workers.reward.cli.settings import read_settings
from workers.reward.errors import ConfigError
from workers.reward.files import split_of, split_pairs
from workers.reward.folder import seal
from workers.reward.scorers import ScorerSpec
from workers.reward.seen import SEEN, prompts_of, read_seen

from .builders import planted_pairs, prompt

TINY = {"tiny_vocabulary": 320, "tiny_hidden": 32, "tiny_layers": 1, "tiny_heads": 2, "device": "cpu"}
KINDS = {
    "starter": StarterConfig(heads=1, hash_bits=10),
    "embedding": EmbeddingConfig(heads=1, device="cpu"),
    "transformer": TransformerConfig(max_steps=1, batch_tokens=512, **TINY),
    "longest": ScorerSpec("longest"),
}
RUN = "kind: starter\nout: m\ndata: {data}\nsplit: {{validation: 0.1, test: 0.3}}\nmodel: {{heads: 1, hash_bits: 14}}\n"


def write(path: Path, pairs: list[Pair]) -> Path:
    rows = [
        {
            "id": p.pair_id,
            "prompt": p.messages[0].content,
            "chosen": p.chosen,
            "rejected": p.rejected,
            "group": p.group,
        }
        for p in pairs
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def noise(n: int = 200) -> list[Pair]:
    """Labels by chance, each pair of another prompt: there is nothing to learn but the pairs themselves."""
    rng = random.Random(0)
    text = lambda: " ".join(str(rng.randrange(10_000)) for _ in range(8))  # noqa: E731
    return [Pair(f"n{i}", prompt(f"Question {i}?"), text(), text()) for i in range(n)]


def run(capsys, *arguments: object) -> dict:
    assert main([*map(str, arguments), "--json", "--quiet"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def said(capsys, code: int, *arguments: object) -> str:
    assert main([*map(str, arguments), "--quiet"]) == code
    found = capsys.readouterr()
    return found.out + found.err


@pytest.fixture
def noisy(tmp_path, capsys) -> Path:
    """A model of noise in ``m`` and the file it was trained on."""
    write(tmp_path / "pairs.jsonl", noise())
    (tmp_path / "run.yaml").write_text(RUN.format(data="pairs.jsonl"))
    run(capsys, "train", tmp_path / "run.yaml")
    return tmp_path


def test_a_model_is_not_measured_on_prompts_it_was_trained_on(noisy, capsys):
    folder, data = noisy / "m", noisy / "pairs.jsonl"
    tested = sum(pair.split == "test" for pair in read_settings(noisy / "run.yaml").pairs())
    found = run(capsys, "evaluate", folder, data)
    assert (found["n"], found["seen_pairs"], found["seen_left_out"]) == (tested, 200 - tested, 200 - tested)
    assert found["seen_unknown"] == []
    kept = json.loads((noisy / "m.evaluation.json").read_text())["evaluations"]
    assert kept["test split"]["accuracy"] == found["accuracy"]
    for order in ((folder, "longest"), ("longest", folder)):  # whichever of the two was trained
        compared = run(capsys, "compare", *order, data)
        assert (compared["candidate"]["n"], compared["seen_left_out"]) == (tested, 200 - tested)
        assert compared["gate"]["promote"] is False
    assert f"{200 - tested} of 200 pairs were left out" in said(capsys, 0, "evaluate", folder, data)
    assert run(capsys, "evaluate", "longest", data)["n"] == 200


def test_pairs_of_trained_prompts_are_taken_in_by_wish_alone(noisy, capsys):
    folder, data = noisy / "m", noisy / "pairs.jsonl"
    honest = run(capsys, "evaluate", folder, data)
    found = run(capsys, "evaluate", folder, data, "--seen")
    assert (found["n"], found["seen_left_out"]) == (200, 0)
    assert found["seen_pairs"] == honest["seen_pairs"] > 100
    assert found["accuracy"]["value"] > honest["accuracy"]["value"] + 0.15  # what was measured before
    assert len(json.loads((noisy / "m.evaluation.json").read_text())["evaluations"]) == 3
    assert "have prompts that were trained on" in said(capsys, 0, "evaluate", folder, data, "--seen")
    trained = [pair for pair in read_settings(noisy / "run.yaml").pairs() if pair.split == "train"]
    write(data, trained)
    assert "--seen evaluates on them all the same" in said(capsys, 2, "evaluate", folder, data)


def test_of_a_folder_of_an_older_format_it_cannot_be_told(noisy, capsys):
    (noisy / "m" / SEEN).unlink()
    seal(noisy / "m")
    found = run(capsys, "evaluate", noisy / "m", noisy / "pairs.jsonl")
    assert (found["n"], found["seen_left_out"], found["seen_unknown"]) == (200, 0, ["m"])
    assert "m does not say which prompts it was trained on" in said(
        capsys, 0, "compare", noisy / "m", "longest", noisy / "pairs.jsonl"
    )


def test_a_run_whose_file_tests_on_trained_prompts_leaves_them_out(tmp_path, capsys):
    pairs = [dataclasses.replace(p, split="test" if i < 60 else "train") for i, p in enumerate(noise())]
    shared = [dataclasses.replace(p, pair_id=f"again {p.pair_id}", split="test") for p in pairs[60:70]]
    rows = [
        {
            "id": p.pair_id,
            "prompt": p.messages[0].content,
            "chosen": p.chosen,
            "rejected": p.rejected,
            "split": p.split,
        }
        for p in [*pairs, *shared]
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "run.yaml").write_text(
        "kind: starter\nout: m\ndata: pairs.jsonl\nmodel: {heads: 1, hash_bits: 12}\n"
    )
    found = run(capsys, "train", tmp_path / "run.yaml")
    assert (found["evaluation"]["n"], found["seen_left_out"]) == (60, 10)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_seals_hashes_of_the_prompts_it_read(kind, tmp_path):
    pairs = planted_pairs(24, groups=8, validation=0.25)
    pairs += [dataclasses.replace(p, split="test") for p in noise(3)]
    train(kind, pairs, KINDS[kind], tmp_path / "m", cache_dir=tmp_path / "cache")
    read = [
        p for p in pairs if kind != "longest" or p.split == "validation"
    ]  # a scorer's temperature alone is fitted
    assert read_seen(tmp_path / "m") == prompts_of(read)
    assert (tmp_path / "m" / SEEN).stat().st_size == 8 * (2 if kind == "longest" else 8)
    assert SEEN in json.loads((tmp_path / "m" / "manifest.json").read_text())["files"]
    assert b"Question" not in (tmp_path / "m" / SEEN).read_bytes()
    (tmp_path / "m" / SEEN).write_bytes(b"")
    with pytest.raises(CorruptModelError, match=SEEN):
        open_reward_model(tmp_path / "m")


@pytest.mark.parametrize("kind", ["starter", "embedding", "transformer"])
def test_cut_pairs_are_counted_of_training_and_validation_alone(kind, tmp_path):
    pairs = planted_pairs(24, groups=8, validation=0.25)
    long = [
        dataclasses.replace(pairs[-1], pair_id=split, split=split, chosen=f"{split} " + "money " * 300)
        for split in ("train", "validation", "test")
    ]
    short = {"max_chars": 600} if kind == "starter" else {"max_length": 128}
    config = dataclasses.replace(KINDS[kind], **short)
    result = train(kind, [*pairs, *long], config, tmp_path / "m", cache_dir=tmp_path / "cache")
    assert result.counts["overlong"] == 2
    assert result.counts["test_ignored"] == 1


def test_what_a_base_was_trained_on_its_heirs_have_seen(tmp_path):
    old, new = planted_pairs(8, groups=4), noise(4)
    train("transformer", old, KINDS["transformer"], tmp_path / "old")
    heir = TransformerConfig(base=str(tmp_path / "old"), max_steps=1, batch_tokens=512, device="cpu")
    train("transformer", new, heir, tmp_path / "new")
    assert read_seen(tmp_path / "new") == prompts_of([*old, *new])
    (tmp_path / "old" / SEEN).unlink()
    seal(tmp_path / "old")
    train("transformer", new, heir, tmp_path / "newer")
    assert read_seen(tmp_path / "newer") is None


def test_no_prompt_stands_in_two_splits_even_under_two_groups(tmp_path):
    rng = random.Random(1)
    # Sixty islands of three prompts; each prompt stands under two groups of its island, and under none.
    pairs = [
        Pair(f"{i}/{j}/{group}", prompt(f"Question {i} {j}?"), "a", "b", group=group)
        for i in range(60)
        for j in range(3)
        for group in (f"g{i}-{j}", f"g{i}-{j + 1}", "")
    ]
    rng.shuffle(pairs)
    parts = list(split_pairs(iter(pairs), validation=0.2, test=0.2))
    assert [p.pair_id for p in parts] == [p.pair_id for p in pairs]
    assert [p.group for p in parts] == [p.group for p in pairs]
    for key in ("group_key", "prompt_key"):
        seen = [{getattr(p, key) for p in parts if p.split == s} for s in ("train", "validation", "test")]
        assert all(seen)
        assert sum(map(len, seen)) == len(set.union(*seen))
    assert (
        len({(p.pair_id.split("/")[0], p.split) for p in parts}) == 60
    )  # an island stays together, others apart

    halves = [pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]]  # and over the files of a run
    names = [write(tmp_path / f"{i}.jsonl", half).name for i, half in enumerate(halves)]
    (tmp_path / "run.yaml").write_text(
        f"kind: starter\nout: m\ndata: [{', '.join(names)}]\nsplit: {{validation: 0.2, test: 0.2}}\n"
    )
    assert [p.split for p in read_settings(tmp_path / "run.yaml").pairs()] == [p.split for p in parts]


def test_groups_that_share_nothing_are_split_by_their_own_hash():
    shares = {"validation": 0.2, "test": 0.2}
    pairs = [*planted_pairs(40, groups=40), *noise(40)]
    for pair in split_pairs([dataclasses.replace(p, group="") for p in pairs], **shares):
        assert pair.split == split_of(pair.prompt_key, **shares)
    alone = [Pair(str(i), prompt(f"{i}?"), "a", "b", group=f"g{i // 2}") for i in range(40)]
    assert all(pair.split == split_of(pair.group, **shares) for pair in split_pairs(alone, **shares))
    with pytest.raises(ConfigError, match="sum is below 1"):
        list(split_pairs(pairs, validation=0.5, test=0.5))
