"""LoRA: what is trained, what is kept, what is packed, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoTokenizer

from workers.reward import ConfigError, open_reward_model, train
from workers.reward.transformer.adapters import is_adapted, merge_adapters, read_adapter
from workers.reward.transformer.batches import pad
from workers.reward.transformer.build import build_model, locate
from workers.reward.transformer.checkpoint import checkpoints
from workers.reward.transformer.loop import make_optimizer
from workers.reward.transformer.objective import Objective
from workers.reward.transformer.packed import is_pruned, packed_scores, use_trees
from workers.reward.transformer.pooling import head_of, reward_scores
from workers.reward.transformer.trees import pack

from .builders import items, planted_pairs
from .families import language_model, reloaded, scores_by_transformers
from .test_transformer import Recorder, assert_equal_weights
from .test_trees import gradients, rows_of
from .transformers_small import CALM

PAIRS = planted_pairs(48, validation=0.25)
TEXTS = ["because the evidence", "lol dunno " * 9, "x"]
LORA = dataclasses.replace(
    CALM, base="set by each test", lora_rank=4, lora_alpha=8, lora_dropout=0.1, learning_rate=0.02, epochs=2
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return language_model("Qwen2", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "model"
    return folder, train("transformer", PAIRS, dataclasses.replace(LORA, base=str(base)), folder)


def adapted(base, **fields):
    """A model with adapters that add something, its settings and its tokenizer."""
    config = dataclasses.replace(LORA, base=str(base), **fields)
    model = build_model(config, str(base), AutoTokenizer.from_pretrained(base)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))))
    return model, config


def test_head_lost_under_lora(base, finished):
    folder, result = finished
    start = build_model(
        dataclasses.replace(LORA, base=str(base)), str(base), AutoTokenizer.from_pretrained(base)
    )
    head = load_file(folder / "model.safetensors")["score.weight"]
    assert not torch.equal(head, head_of(start).weight)  # it was trained
    beside = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert torch.equal(beside["base_model.model.score.weight"], head)
    assert json.loads((folder / "adapter" / "adapter_config.json").read_text())["modules_to_save"] == [
        "score"
    ]
    assert torch.equal(open_reward_model(folder).model.score.weight.detach(), head)
    assert result.metrics["validation_accuracy"] > 0.9


def test_several_heads_under_lora_keep_their_mean_in_the_adapter(base, tmp_path):
    config = dataclasses.replace(LORA, base=str(base), heads=3, max_steps=3)
    train("transformer", PAIRS, config, tmp_path / "m")
    merged = load_file(tmp_path / "m" / "model.safetensors")["score.weight"]
    heads = load_file(tmp_path / "m" / "heads" / "model.safetensors")["weight"]
    torch.testing.assert_close(merged, heads.mean(dim=0, keepdim=True))
    beside = load_file(tmp_path / "m" / "adapter" / "adapter_model.safetensors")
    assert torch.equal(beside["base_model.model.score.weight"], merged)


def test_saved_reloaded_and_merged_adapters_give_equal_scores(base, finished):
    folder, _ = finished
    ours = open_reward_model(folder).score(items(TEXTS)).value
    np.testing.assert_allclose(ours, scores_by_transformers(reloaded(folder), folder, TEXTS), atol=1e-5)
    model = PeftModel.from_pretrained(reloaded(base, num_labels=1), folder / "adapter")
    np.testing.assert_allclose(ours, scores_by_transformers(model, base, TEXTS), atol=1e-5)
    np.testing.assert_allclose(ours, scores_by_transformers(model.merge_and_unload(), base, TEXTS), atol=1e-5)
    beside = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert all(value.abs().max() > 1e-3 for value in beside.values())  # each layer has learned something


def test_merging_changes_no_score_and_leaves_a_plain_model(base):
    model, _ = adapted(base)
    assert is_adapted(model)
    rows = rows_of([(9, [3, 5]), (2, [4])])
    before = reward_scores(model, *pad([row.ids for row in rows], 0)).detach()
    plain = build_model(
        dataclasses.replace(LORA, lora_rank=0, base=str(base)), str(base), AutoTokenizer.from_pretrained(base)
    )
    assert (before - reward_scores(plain.eval(), *pad([row.ids for row in rows], 0))).abs().max() > 0.01
    merge_adapters(model)
    assert not is_adapted(model)
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in plain.named_parameters()}
    torch.testing.assert_close(
        reward_scores(model, *pad([row.ids for row in rows], 0)), before, atol=1e-5, rtol=1e-5
    )


def test_a_new_adapter_changes_no_score_and_follows_the_seed_alone(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    config = dataclasses.replace(LORA, base=str(base))
    plain = build_model(dataclasses.replace(config, lora_rank=0), str(base), tokenizer).eval()
    one = build_model(config, str(base), tokenizer).eval()
    torch.rand(100)
    two = build_model(config, str(base), tokenizer).eval()
    rows = pad([row.ids for row in rows_of([(9, [3, 5])])], 0)
    assert torch.equal(reward_scores(plain, *rows), reward_scores(one, *rows))
    for (name, a), b in zip(one.named_parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_the_optimizer_sees_the_adapter_and_the_head_alone(base):
    model, config = adapted(base)
    optimizer = make_optimizer(model, Objective(config, 32), config)
    seen = {id(p) for group in optimizer.param_groups for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in seen}
    assert (
        len(seen) == len(names) == 2 * 7 * 2 + 1
    )  # A and B of seven layers in each of two blocks, and the head
    assert all("lora_" in name or name == "score.weight" for name in names)


def test_checkpoints_hold_what_is_trained_alone(base, tmp_path):
    config = dataclasses.replace(LORA, base=str(base))
    with pytest.raises(KeyboardInterrupt):
        train("transformer", PAIRS, config, tmp_path / "m", callbacks=Recorder(die_at=5))
    saved = load_file(checkpoints(tmp_path / "m.work")[0] / "model.safetensors")
    assert saved
    assert all("lora_" in name or name.endswith("score.weight") for name in saved)


@pytest.mark.parametrize("step", [2, 5])
def test_a_killed_lora_run_resumed_ends_with_equal_weights(base, finished, tmp_path, step):
    config = dataclasses.replace(LORA, base=str(base))
    with pytest.raises(KeyboardInterrupt):
        train("transformer", PAIRS, config, tmp_path / "m", callbacks=Recorder(die_at=step))
    torch.manual_seed(4321)
    told = Recorder()
    result = train("transformer", PAIRS, config, tmp_path / "m", callbacks=told)
    first = min(s for s, v in told.metrics if "loss" in v)
    assert first == (step - 1) // config.checkpoint_every * config.checkpoint_every + 1
    assert_equal_weights(tmp_path / "m", finished[0])
    assert result.metrics == finished[1].metrics


def test_checkpoints_over_another_base_are_not_continued(base, tmp_path):
    import shutil

    folder = tmp_path / "base"
    shutil.copytree(base, folder)
    config = dataclasses.replace(LORA, base=str(folder))
    with pytest.raises(KeyboardInterrupt):
        train("transformer", PAIRS, config, tmp_path / "m", callbacks=Recorder(die_at=5))
    model = reloaded(base, num_labels=1)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.add_(0.1)
    model.model.save_pretrained(folder)
    told = Recorder()
    train("transformer", PAIRS, config, tmp_path / "m", callbacks=told)
    assert min(s for s, v in told.metrics if "loss" in v) == 1


def test_continuing_from_a_reward_model_under_lora_keeps_its_head(finished, tmp_path):
    folder, _ = finished
    config = dataclasses.replace(LORA, base=str(folder), max_steps=1, learning_rate=1e-12)
    train("transformer", PAIRS, config, tmp_path / "m")
    before, after = (open_reward_model(f).score(items(TEXTS)).value for f in (folder, tmp_path / "m"))
    np.testing.assert_allclose(before, after, atol=1e-5)


SHAPES = st.lists(
    st.tuples(st.integers(0, 20), st.lists(st.integers(1, 20), min_size=1, max_size=4)),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("family", ["Qwen2", "Gemma3Text"])
def test_packed_padded_and_one_by_one_are_equal_under_lora(family, tmp_path):
    folder = language_model(family, tmp_path)
    plain, packed = (adapted(folder, lora_dropout=0.0)[0] for _ in range(2))
    assert use_trees(packed, 64) == ""
    assert is_pruned(packed)

    @settings(max_examples=6, deadline=None, derandomize=True)
    @given(SHAPES, st.integers(0, 9))
    def equal(shape, seed):
        rows = rows_of(shape, seed)
        alone = torch.cat([reward_scores(plain, *pad([row.ids], 0)) for row in rows])
        padded = reward_scores(plain, *pad([row.ids for row in rows], 0))
        together = packed_scores(packed, pack(rows))
        torch.testing.assert_close(padded, alone, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
        weights = torch.randn(len(rows), generator=torch.Generator().manual_seed(seed))
        wanted, found = gradients(plain, alone, weights), gradients(packed, together, weights)
        assert float((found - wanted).norm() / wanted.norm()) < 1e-4

    equal()


def test_targets_choose_the_layers_and_an_unknown_one_is_named(base):
    model, _ = adapted(base, lora_targets=("q_proj", "layers.1.mlp.up_proj"))
    tuned = {name.partition(".lora_")[0] for name, _ in model.named_parameters() if "lora_" in name}
    assert tuned == {
        "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.mlp.up_proj",
    }  # fmt: skip
    assert set(read_adapter(model, "x").settings.target_modules) == tuned
    with pytest.raises(
        ConfigError, match="no linear layer is named query; there are down_proj, gate_proj, k_proj"
    ):
        adapted(base, lora_targets=("query",))


def test_a_folder_with_an_adapter_alone_is_no_base(finished):
    config = dataclasses.replace(LORA, base=str(finished[0] / "adapter"))
    with pytest.raises(ConfigError, match="holds an adapter"):
        locate(config)
