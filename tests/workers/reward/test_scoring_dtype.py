"""What a saved model is computed in: its backbone's dtype by device or by choice, its head in float32 always."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors import safe_open

from workers.reward import ConfigError, open_reward_model, train
from workers.reward.transformer import scorer as scorers
from workers.reward.transformer.pooling import head_of
from workers.reward.transformer.scorer import dtype_on

from .builders import items, planted_pairs
from .families import language_model
from .transformers_small import CALM

TEXTS = ["because the evidence", "lol dunno " * 9, "x"]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module", params=["Qwen2", "Roberta"])
def folder(request, tmp_path_factory):
    """A reward model that was trained with a bfloat16 backbone."""
    place = tmp_path_factory.mktemp(request.param)
    base = language_model(request.param, place / "base")
    config = dataclasses.replace(CALM, base=str(base), dtype="bfloat16", max_steps=2)
    train("transformer", planted_pairs(16), config, place / "model")
    return place / "model"


def saved_head(folder) -> dict[str, torch.Tensor]:
    with safe_open(folder / "model.safetensors", "pt") as saved:
        names = [name for name in saved.keys() if name.startswith(("score.", "classifier."))]  # noqa: SIM118 - no mapping
        return {name.partition(".")[2]: saved.get_tensor(name) for name in names}


def test_a_backbone_in_bfloat16_keeps_its_head_and_scores_in_float32(folder):
    exact = open_reward_model(folder)
    assert exact.model.get_input_embeddings().weight.dtype == torch.float32
    rough = open_reward_model(folder, dtype="bfloat16")
    assert rough.model.get_input_embeddings().weight.dtype == torch.bfloat16
    head = head_of(rough.model).state_dict()
    wanted = saved_head(folder)
    assert head.keys() == wanted.keys()
    for name, weight in wanted.items():
        assert weight.dtype == torch.float32
        assert torch.equal(head[name], weight)
        assert not torch.equal(weight, weight.bfloat16().float()) or not weight.any()
    found, known = (model.score(items(TEXTS)).value for model in (rough, exact))
    assert found.dtype == np.float32
    assert not np.array_equal(found, known)
    np.testing.assert_allclose(found, known, atol=0.05)


def test_auto_is_the_folders_own_on_a_gpu_and_float32_elsewhere(folder, monkeypatch):
    assert dtype_on(CPU, "auto") == torch.float32
    assert [dtype_on(device, "bfloat16") for device in (CPU, CUDA)] == [torch.bfloat16] * 2
    assert dtype_on(CUDA, "float32") == torch.float32
    on_gpu = dtype_on(CUDA, "auto")
    monkeypatch.setattr(scorers, "dtype_on", lambda *_: on_gpu)
    assert open_reward_model(folder).model.get_input_embeddings().weight.dtype == torch.bfloat16


def test_another_dtype_is_refused_by_name(folder):
    with pytest.raises(ConfigError, match="dtype 'int8' is none of auto, float32, bfloat16"):
        open_reward_model(folder, dtype="int8")
