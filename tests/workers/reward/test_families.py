"""Decoders and encoders of every family: train, save, reload elsewhere, go on, and adapt by LoRA."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file

from workers.reward import open_reward_model, train
from workers.reward.transformer.build import build_model, position_limit
from workers.reward.transformer.pooling import head_of, reward_scores

from .builders import items, planted_pairs
from .families import DECODERS, ENCODERS, language_model, reloaded, scores_by_transformers, tokenizer_for
from .transformers_small import CALM

PAIRS = planted_pairs(16)
TEXTS = ["because the evidence", "lol dunno " * 9, "x"]
TWO_STEPS = dataclasses.replace(CALM, max_steps=2, batch_tokens=256)
FAMILIES = (*DECODERS, *ENCODERS)


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, tmp_path_factory):
    """The family, its language model's folder, and the reward model that two steps made of it."""
    folder = tmp_path_factory.mktemp(request.param)
    base = language_model(request.param, folder / "base")
    train("transformer", PAIRS, dataclasses.replace(TWO_STEPS, base=str(base)), folder / "model")
    return request.param, base, folder / "model"


def test_it_loads_elsewhere_with_equal_scores(trained):
    family, _, folder = trained
    model = reloaded(folder)
    assert type(model).__name__ == f"{family}ForSequenceClassification"
    assert model.config.num_labels == 1
    ours = open_reward_model(folder).score(items(TEXTS)).value
    assert len(set(ours.tolist())) == len(TEXTS)
    theirs = scores_by_transformers(model, folder, TEXTS)
    torch.testing.assert_close(torch.tensor(ours), theirs, atol=1e-4, rtol=1e-4)
    card = json.loads((folder / "chosen_model.json").read_text())
    # Gemma 2 caps its attention, which no packed kernel does; encoders read both ways.
    assert card["layout"] == ("tree" if family in DECODERS and family != "Gemma2" else "padded")


def test_continue_without_reinit(trained, tmp_path):
    family, base, folder = trained
    tokenizer = tokenizer_for(family)
    again = build_model(dataclasses.replace(TWO_STEPS, base=str(folder), seed=5), str(folder), tokenizer)
    assert not again.has_new_head
    first = load_file(folder / "model.safetensors")
    head = head_of(again).state_dict()
    name = "score" if family in DECODERS else "classifier"
    assert all(torch.equal(value, first[f"{name}.{key}"]) for key, value in head.items())
    fresh = build_model(dataclasses.replace(TWO_STEPS, base=str(base), seed=5), str(base), tokenizer)
    assert fresh.has_new_head
    assert not any(
        torch.equal(a, b)
        for a, b in zip(head.values(), head_of(fresh).parameters(), strict=True)
        if a.ndim > 1
    )


def test_lora_saves_a_merged_model_and_an_adapter_for_peft(trained, tmp_path):
    _, base, _ = trained
    config = dataclasses.replace(TWO_STEPS, base=str(base), lora_rank=4, lora_dropout=0.1, learning_rate=0.05)
    train("transformer", PAIRS, config, tmp_path / "m")
    ours = open_reward_model(tmp_path / "m").score(items(TEXTS)).value
    merged = scores_by_transformers(reloaded(tmp_path / "m"), base, TEXTS)
    np.testing.assert_allclose(ours, merged, atol=1e-4, rtol=1e-4)
    adapted = PeftModel.from_pretrained(reloaded(base, num_labels=1), tmp_path / "m" / "adapter")
    np.testing.assert_allclose(ours, scores_by_transformers(adapted, base, TEXTS), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(
        ours, scores_by_transformers(adapted.merge_and_unload(), base, TEXTS), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    "family", ["Bert", "Roberta", "RobertaPreLayerNorm", "XLMRobertaXL", "Camembert", "MPNet", "Data2VecText"]
)
def test_the_longest_row_finds_its_positions(family):
    config = getattr(transformers, f"{family}Config")(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=34, num_labels=1, pad_token_id=1,
    )  # fmt: skip
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    longest = position_limit(config, 1000)
    assert longest == (34 if family == "Bert" else 32)
    row = torch.full((1, longest), 7)
    with torch.no_grad():
        assert reward_scores(model, row, torch.ones_like(row)).isfinite().all()
