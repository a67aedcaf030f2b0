"""Model folders: hashed, atomic, and closed to code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from workers.reward import (
    CorruptModelError,
    DataError,
    ModelUnavailableError,
    RewardScorer,
    StarterConfig,
    UntrustedModelError,
    open_reward_model,
    train,
)
from workers.reward.folder import MANIFEST, atomic_folder, manifest_hash, remove_leftovers, seal, verify

from .builders import items, planted_pairs


@pytest.fixture
def model_folder(tmp_path):
    train("starter", planted_pairs(20), StarterConfig(hash_bits=10, heads=2), tmp_path / "model")
    return tmp_path / "model"


def test_a_trained_folder_opens_as_a_scorer(model_folder):
    model = open_reward_model(model_folder)
    assert isinstance(model, RewardScorer)
    assert model.kind == "starter"
    assert len(model.template_hash) == 16
    card = json.loads((model_folder / "chosen_model.json").read_text())
    assert card["config"]["heads"] == 2
    assert card["template_hash"] == model.template_hash


def test_a_flipped_byte_is_refused(model_folder):
    path = model_folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptModelError, match=r"model\.safetensors"):
        open_reward_model(model_folder)


@pytest.mark.parametrize("name", ["model.safetensors", "chosen_model.json", MANIFEST])
def test_a_missing_file_is_refused(model_folder, name):
    (model_folder / name).unlink()
    with pytest.raises(CorruptModelError):
        open_reward_model(model_folder)


def test_a_file_that_nobody_signed_is_refused(model_folder):
    (model_folder / "extra.txt").write_text("x")
    with pytest.raises(CorruptModelError, match=r"extra\.txt"):
        open_reward_model(model_folder)


@pytest.mark.parametrize("name", ["weights.bin", "weights.pt", "modeling.py"])
def test_pickles_and_code_are_refused(model_folder, name):
    (model_folder / name).write_bytes(b"x")
    seal(model_folder)
    with pytest.raises(UntrustedModelError):
        open_reward_model(model_folder)


def test_auto_map_is_refused(model_folder):
    (model_folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "x.Y"}}))
    seal(model_folder)
    with pytest.raises(UntrustedModelError, match="auto_map"):
        open_reward_model(model_folder)


def test_weights_that_do_not_fit_the_card_are_refused(model_folder):
    path = model_folder / "chosen_model.json"
    card = json.loads(path.read_text())
    card["features"]["hash_bits"] = 11
    path.write_text(json.dumps(card))
    seal(model_folder)
    with pytest.raises(CorruptModelError, match="shape"):
        open_reward_model(model_folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelUnavailableError, match="nowhere"):
        open_reward_model(tmp_path / "nowhere")


def test_a_failed_write_leaves_the_old_folder_whole(model_folder):
    before = open_reward_model(model_folder).score(items(["text"])).value

    def write_half() -> None:
        with atomic_folder(model_folder) as half:
            (half / "model.safetensors").write_bytes(b"half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_half()
    np.testing.assert_array_equal(open_reward_model(model_folder).score(items(["text"])).value, before)
    assert [p.name for p in model_folder.parent.iterdir()] == ["model"]


def test_a_write_replaces_the_folder_and_leftovers_go(tmp_path):
    for text in ("one", "two"):
        with atomic_folder(tmp_path / "m") as folder:
            (folder / "a.txt").write_text(text)
    verify(tmp_path / "m")
    assert (tmp_path / "m" / "a.txt").read_text() == "two"
    (tmp_path / ".m.123.tmp").mkdir()
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_model_that_a_kill_left_between_two_renames_is_back_with_the_next_start(model_folder, monkeypatch):
    before, rename = manifest_hash(model_folder), Path.rename
    beside = model_folder.parent / ".model.more.0123456789ab.old"  # of another model, "model.more"
    beside.mkdir()

    def die(path, target):
        if path.suffix == ".tmp":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", die)
    settings = StarterConfig(hash_bits=10, heads=2, seed=5)
    with pytest.raises(KeyboardInterrupt):
        train("starter", planted_pairs(20), settings, model_folder)
    assert not model_folder.exists()
    monkeypatch.setattr(Path, "rename", rename)
    half = model_folder.parent / ".model.0123456789ab.tmp"
    half.mkdir()
    with pytest.raises(DataError):
        train("starter", [], settings, model_folder)
    assert manifest_hash(model_folder) == before
    assert sorted(p.name for p in model_folder.parent.iterdir()) == [beside.name, "model"]
    train("starter", planted_pairs(20), settings, model_folder)
    assert manifest_hash(model_folder) != before
