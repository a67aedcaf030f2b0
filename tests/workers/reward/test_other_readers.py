"""The saved folder read by others: transformers' pipeline and TRL's RewardTrainer give our scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from workers.reward import open_reward_model, train

from .builders import items, planted_pairs
from .transformers_small import ENCODER, TINY, tiny_model

PAIRS = planted_pairs(40, validation=0.25)
TEXTS = [p.chosen for p in PAIRS[:12]] + [p.rejected for p in PAIRS[:12]] + ["lol", "money " * 60, "水 是 光"]


def causal_base(folder, config_class, model_class, **settings):
    tokenizer = tiny_model()[1]
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        **settings,
    )
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["qwen2", "llama", "gemma", "bert"])
def folder(request, tmp_path_factory):
    import transformers

    place = tmp_path_factory.mktemp(request.param)
    config = ENCODER if request.param == "bert" else TINY
    if request.param in ("llama", "gemma"):
        name = request.param.capitalize()
        kinds = getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}ForCausalLM")
        config = dataclasses.replace(TINY, base=causal_base(place / "base", *kinds))
    train("transformer", PAIRS, dataclasses.replace(config, max_steps=8), place / "model")
    assert (
        AutoModelForSequenceClassification.from_pretrained(place / "model").config.model_type == request.param
    )
    return place / "model"


def rendered(tokenizer, text):
    turns = [{"role": "user", "content": "Question?"}, {"role": "assistant", "content": text}]
    return tokenizer.apply_chat_template(turns, tokenize=False)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_text_classification_pipeline_gives_our_scores(folder, batch_size):
    """No activation is asked for: the folder says that it is a regression."""
    ours = open_reward_model(folder).score(items(TEXTS)).value
    tokenizer = AutoTokenizer.from_pretrained(folder)
    scored = pipeline("text-classification", model=str(folder), tokenizer=tokenizer, device="cpu")
    texts = [rendered(tokenizer, text) for text in TEXTS]
    found = [row["score"] for row in scored(texts, batch_size=batch_size, add_special_tokens=False)]
    np.testing.assert_allclose(found, ours, atol=1e-4)
    assert np.abs(ours - 1 / (1 + np.exp(-ours))).max() > 0.1  # a sigmoid would show


@pytest.fixture
def trainer(folder, tmp_path):
    """TRL's trainer on the saved folder, with our pairs as conversations."""
    trl = pytest.importorskip("trl", reason="needs trl: requirements/dev.txt")
    from datasets import Dataset

    rows = [
        {"prompt": [{"role": m.role, "content": m.content} for m in pair.messages]}
        | {side: [{"role": "assistant", "content": getattr(pair, side)}] for side in ("chosen", "rejected")}
        for pair in PAIRS
    ]
    return trl.RewardTrainer(
        model=str(folder),
        args=trl.RewardConfig(
            output_dir=str(tmp_path),
            report_to=[],
            use_cpu=True,
            bf16=False,
            per_device_eval_batch_size=len(PAIRS),
        ),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )


def test_trls_trainer_takes_the_folder_and_gives_our_scores(folder, trainer):
    scorer = open_reward_model(folder)
    ours = [
        scorer.score(
            [i for pair in PAIRS for i in items([getattr(pair, side)], pair.messages[0].content)]
        ).value
        for side in ("chosen", "rejected")
    ]
    rewards = np.concatenate(ours)
    found = trainer.evaluate()
    assert found["eval_mean_reward"] == pytest.approx(rewards.mean(), abs=1e-4)
    assert found["eval_min_reward"] == pytest.approx(rewards.min(), abs=1e-4)
    assert found["eval_max_reward"] == pytest.approx(rewards.max(), abs=1e-4)
    assert found["eval_margin"] == pytest.approx((ours[0] - ours[1]).mean(), abs=1e-4)
    assert found["eval_accuracy"] == pytest.approx((ours[0] > ours[1]).mean())
    (batch,) = trainer.get_eval_dataloader()
    with torch.no_grad():
        _, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    np.testing.assert_allclose(outputs.logits[:, 0].numpy(), rewards, atol=1e-4)
