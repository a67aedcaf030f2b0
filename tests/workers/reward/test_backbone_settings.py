"""Gradient checkpointing, bfloat16, compiled layers and 4-bit bases: what they may change, and what they must not."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from workers.reward import ConfigError, open_reward_model, train
from workers.reward.transformer import adapters, build
from workers.reward.transformer.adapters import quantised
from workers.reward.transformer.batches import pad
from workers.reward.transformer.build import build_model, compile_layers
from workers.reward.transformer.packed import packed_scores, use_trees
from workers.reward.transformer.pooling import head_of, reward_scores
from workers.reward.transformer.trees import pack

from .builders import items, planted_pairs
from .families import language_model, reloaded, scores_by_transformers
from .test_trees import gradients, rows_of
from .transformers_small import CALM, ENCODER, tiny_model

PAIRS = planted_pairs(32, validation=0.25)
TEXTS = ["because the evidence", "lol dunno " * 9, "x"]
ROWS = rows_of([(9, [3, 5, 4]), (2, [4])])
IDS = pad([row.ids for row in ROWS], 0)
WEIGHTS = torch.tensor([0.3, -1.0, 0.5, 2.0])
CUDA = torch.device("cuda")


def calls_of(layer) -> list[int]:
    """Grows by one with each forward pass of the layer's attention."""
    seen: list[int] = []
    layer.self_attn.q_proj.register_forward_hook(lambda *_: seen.append(1))
    return seen


@pytest.mark.parametrize("rank", [0, 4], ids=["full", "lora"])
@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_gradient_checkpointing_gives_equal_gradients(layout, rank, tmp_path):
    base = str(language_model("Qwen2", tmp_path))
    config = dataclasses.replace(CALM, base=base, lora_rank=rank)
    found = []
    for recompute in (False, True):
        settings = dataclasses.replace(config, gradient_checkpointing=recompute)
        model = build_model(settings, base, AutoTokenizer.from_pretrained(base)).train()
        if layout == "packed":
            assert use_trees(model, 64) == ""
        calls = calls_of(model.model.layers[0])
        scores = packed_scores(model, pack(ROWS)) if layout == "packed" else reward_scores(model, *IDS)
        found.append((scores.detach(), gradients(model, scores, WEIGHTS)))
        assert len(calls) == (2 if recompute else 1)
    torch.testing.assert_close(found[0][0], found[1][0], atol=0, rtol=0)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-6, rtol=1e-5)


def test_a_checkpointed_run_ends_as_a_plain_one(tmp_path):
    config = dataclasses.replace(CALM, max_steps=3)
    for name, recompute in (("a", False), ("b", True)):
        settings = dataclasses.replace(config, gradient_checkpointing=recompute)
        train("transformer", PAIRS, settings, tmp_path / name)
    a, b = (open_reward_model(tmp_path / name).score(items(TEXTS)).value for name in ("a", "b"))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_model_that_cannot_recompute_is_refused(monkeypatch):
    from transformers import Qwen2PreTrainedModel

    monkeypatch.setattr(Qwen2PreTrainedModel, "supports_gradient_checkpointing", False)
    with pytest.raises(
        ConfigError, match="gradient_checkpointing: Qwen2ForSequenceClassification does not support"
    ):
        tiny_model(dataclasses.replace(CALM, gradient_checkpointing=True))


@pytest.mark.parametrize("family", ["Qwen2", "Roberta", "Bert"])
def test_a_bfloat16_backbone_has_a_float32_head_and_float32_scores(family, tmp_path):
    base = language_model(family, tmp_path / "base")
    config = dataclasses.replace(CALM, base=str(base), dtype="bfloat16", max_steps=2)
    model = build_model(config, str(base), AutoTokenizer.from_pretrained(base)).train()
    assert {p.dtype for p in head_of(model).parameters()} == {torch.float32}
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    scores = reward_scores(model, *IDS)
    assert scores.dtype == torch.float32
    scores.sum().backward()
    assert {p.grad.dtype for p in head_of(model).parameters()} == {torch.float32}
    folder = tmp_path / "m"
    train("transformer", PAIRS, config, folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    with safe_open(folder / "model.safetensors", framework="pt") as saved:
        dtypes = {name: saved.get_slice(name).get_dtype() for name in saved.keys()}  # noqa: SIM118 - no mapping
    head = ("score.", "classifier.")
    assert {kind for name, kind in dtypes.items() if name.startswith(head)} == {"F32"}
    assert {kind for name, kind in dtypes.items() if not name.startswith(head)} == {"BF16"}
    ours = open_reward_model(folder).score(items(TEXTS)).value  # the saved numbers, computed in float32
    theirs = scores_by_transformers(reloaded(folder, dtype=torch.float32), folder, TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)
    rough = scores_by_transformers(reloaded(folder, dtype="auto"), folder, TEXTS)
    np.testing.assert_allclose(ours, rough, atol=0.05)


def test_adapters_of_a_bfloat16_base_are_float32(tmp_path):
    base = str(language_model("Qwen2", tmp_path))
    config = dataclasses.replace(CALM, base=base, dtype="bfloat16", lora_rank=4)
    model = build_model(config, base, AutoTokenizer.from_pretrained(base))
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    assert use_trees(model, 64) == ""
    assert packed_scores(model, pack(ROWS)).dtype == torch.float32


def test_compiled_layers_give_equal_scores_and_keep_their_names():
    model, _ = tiny_model(ENCODER)
    before, names = reward_scores(model, *IDS).detach(), [*model.state_dict()]
    compile_layers(model, backend="eager")
    assert all(layer._compiled_call_impl is not None for layer in model.bert.encoder.layer)
    torch.testing.assert_close(reward_scores(model, *IDS), before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        reward_scores(model, *(x[1:, :9] for x in IDS))[:1].isfinite(), torch.tensor([True])
    )
    assert [*model.state_dict()] == names


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"torch_compile": True}, "torch_compile pays on a CUDA device alone, and this run is on cpu"),
        ({"quantize": "nf4", "lora_rank": 4}, "quantize nf4 needs a CUDA device, and this run is on cpu"),
    ],
)
def test_what_needs_cuda_is_refused_before_anything_is_loaded(fields, words, tmp_path, monkeypatch):
    base = language_model("Qwen2", tmp_path / "base")
    config = dataclasses.replace(CALM, base=str(base), **fields)

    def loads(*_, **__):
        raise AssertionError("the base was looked for or loaded")

    monkeypatch.setattr(build, "find_base", loads)
    for kind in (AutoTokenizer, AutoModelForSequenceClassification):
        monkeypatch.setattr(kind, "from_pretrained", loads)
    with pytest.raises(ConfigError, match=words):
        train("transformer", PAIRS, config, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_four_bits_without_bitsandbytes_say_how_to_get_it(monkeypatch):
    monkeypatch.setattr(adapters, "find_spec", lambda _name: None)
    config = dataclasses.replace(CALM, base="org/model", quantize="nf4", lora_rank=4)
    with pytest.raises(ConfigError, match=r"needs bitsandbytes: pip install -r requirements/gpu\.txt"):
        quantised(config, CUDA)


def test_a_base_in_four_bits_is_asked_for_as_qlora_has_it(monkeypatch):
    monkeypatch.setattr(adapters, "find_spec", lambda _name: object())
    config = dataclasses.replace(CALM, base="org/model", quantize="nf4", lora_rank=4, dtype="bfloat16")
    asked = quantised(config, CUDA)
    settings = asked["quantization_config"]
    assert (settings.load_in_4bit, settings.bnb_4bit_quant_type) == (True, "nf4")
    assert settings.bnb_4bit_use_double_quant is True
    assert settings.bnb_4bit_compute_dtype == torch.bfloat16
    assert "score" in settings.llm_int8_skip_modules
    assert asked["device_map"] == {"": CUDA}
    assert quantised(dataclasses.replace(config, quantize="none"), CUDA) == {}
