"""What a GPU alone can show: FlexAttention's packed rows, bfloat16, 4-bit bases, compiled layers, scoring there."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers

from workers.reward import open_reward_model, train
from workers.reward.folder import MODEL_CARD, read_json
from workers.reward.transformer import attention
from workers.reward.transformer.batches import pad
from workers.reward.transformer.packed import layout_of, packed_scores, use_trees
from workers.reward.transformer.pooling import in_float32, reward_scores
from workers.reward.transformer.trees import pack

from .builders import items, planted_pairs
from .families import language_model, reloaded, scores_by_transformers
from .test_trees import VOCABULARY, gradients, rows_of
from .transformers_small import CALM, ENCODER

DEVICE = torch.device("cuda")
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="no CUDA device: FlexAttention, 4 bits and compiled layers run on one",
)

FAMILIES = ["Qwen2", "Qwen3", "Llama", "Mistral", "Gemma", "Gemma3Text"]
# Prompt lengths with their answers': shorter and longer than FlexAttention's blocks of 128, and of many sizes.
SHAPES = {
    "pairs": [(9, [3, 5]), (2, [4, 1])],
    "ranked": [(200, [30, 5, 300, 61]), (0, [5, 6]), (3, [8])],
    "long prompts": [(700, [128, 129]), (511, [2, 127, 1])],
}
PAIRS = planted_pairs(32, validation=0.25)
TEXTS = ["because the evidence", "lol dunno " * 9, "x"]
SMALL = dataclasses.replace(CALM, device=DEVICE.type, tiny_hidden=64, tiny_heads=2)  # 32 numbers a head


def decoder(family, dtype=torch.float32):
    """An untrained model with four query heads to two key heads of 32 numbers, FlexAttention taking none below 16,
    whose weights are large enough for scores to differ; the same numbers in every dtype."""
    config = getattr(transformers, f"{family}Config")(
        vocab_size=VOCABULARY, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=32, intermediate_size=192, max_position_embeddings=1024, num_labels=1, pad_token_id=0,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
            weight.copy_(weight.bfloat16())
    model = model.to(DEVICE, dtype)
    in_float32(model.score)
    return model


def one_by_one(model, rows):
    return torch.cat([reward_scores(model, *(x.to(DEVICE) for x in pad([row.ids], 0))) for row in rows])


def scores_and_gradients(model, scores):
    """Scores of rows, and the gradient of their sum under weights that are the same for all models."""
    weights = torch.randn(len(scores), generator=torch.Generator().manual_seed(1)).to(DEVICE)
    return scores.detach().float(), gradients(model, scores, weights).float()


def apart(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_flex_attention_gives_the_scores_and_gradients_of_rows_one_by_one(family, shape):
    assert attention.kernel_for(DEVICE) == "flex"
    plain, packed, rows = decoder(family), decoder(family), rows_of(SHAPES[shape])
    assert use_trees(packed, 1024) == ""
    wanted = scores_and_gradients(plain, one_by_one(plain, rows))
    found = scores_and_gradients(packed, packed_scores(packed, pack(rows).to(DEVICE)))
    torch.testing.assert_close(found[0], wanted[0], atol=1e-4, rtol=1e-4)
    assert apart(found[1], wanted[1]) < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_flex_attention_in_bfloat16_rounds_no_more_than_rows_one_by_one(family, shape):
    """Both against the same weights in float32; twice the rounding of rows one by one, and a little, is allowed."""
    exact, rows = decoder(family), rows_of(SHAPES[shape])
    plain, packed = decoder(family, torch.bfloat16), decoder(family, torch.bfloat16)
    assert use_trees(packed, 1024) == ""
    wanted = scores_and_gradients(exact, one_by_one(exact, rows))
    alone = scores_and_gradients(plain, one_by_one(plain, rows))
    found = scores_and_gradients(packed, packed_scores(packed, pack(rows).to(DEVICE)))
    for ours, theirs, true in zip(found, alone, wanted, strict=True):
        assert apart(theirs, true) < 0.1
        assert apart(ours, true) < 2 * apart(theirs, true) + 0.01


@pytest.mark.parametrize("recompute", [False, True], ids=["plain", "recomputed"])
@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_a_run_on_a_gpu_learns_and_its_folder_scores_there_as_on_a_cpu(dtype, near, recompute, tmp_path):
    config = dataclasses.replace(SMALL, dtype=dtype, gradient_checkpointing=recompute)
    result = train("transformer", PAIRS, config, tmp_path / "m")
    assert result.metrics["validation_accuracy"] > 0.9
    assert read_json(tmp_path / "m" / MODEL_CARD)["layout"] == "tree"
    scorer = open_reward_model(tmp_path / "m")
    weight = scorer.model.get_input_embeddings().weight
    assert (weight.device.type, weight.dtype) == (DEVICE.type, getattr(torch, dtype))  # as the folder has it
    assert layout_of(scorer.model) == "tree"
    ours = scorer.score(items(TEXTS)).value
    theirs = scores_by_transformers(reloaded(tmp_path / "m", dtype=torch.float32), tmp_path / "m", TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=near, rtol=near)


def test_scores_on_a_gpu_are_those_of_rows_by_themselves(tmp_path):
    train("transformer", PAIRS, dataclasses.replace(SMALL, max_steps=4), tmp_path / "m")
    scorer = open_reward_model(tmp_path / "m")
    texts = [f"{text} {i}" for i in range(40) for text in TEXTS]
    together = scorer.score(items(texts)).value
    alone = np.concatenate([scorer.score(items([text])).value for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-4, rtol=1e-4)


def test_compiled_layers_train_as_plain_ones(tmp_path):
    scores = []
    for compiled in (False, True):
        folder = tmp_path / str(compiled)
        config = dataclasses.replace(
            ENCODER, device=DEVICE.type, dropout=0.0, max_steps=3, torch_compile=compiled
        )
        train("transformer", PAIRS, config, folder)
        scores.append(open_reward_model(folder).score(items(TEXTS)).value)
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-3)


def test_a_qlora_step_and_a_run_score_as_saved(tmp_path):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (requirements/gpu.txt)")
    base = language_model("Qwen2", tmp_path / "base", hidden_size=64, head_dim=16, intermediate_size=128)
    config = dataclasses.replace(
        CALM, base=str(base), device=DEVICE.type, quantize="nf4", lora_rank=4, dtype="bfloat16"
    )
    start = train("transformer", PAIRS, dataclasses.replace(config, max_steps=1), tmp_path / "step")
    assert np.isfinite(start.metrics["validation_log_loss"])
    result = train("transformer", PAIRS, config, tmp_path / "m")
    assert result.metrics["validation_accuracy"] > 0.9
    assert read_json(tmp_path / "m" / MODEL_CARD)["layout"] == "tree"
    assert "quantization_config" not in json.loads((tmp_path / "m" / "config.json").read_text())
    ours = open_reward_model(tmp_path / "m").score(items(TEXTS)).value
    theirs = scores_by_transformers(reloaded(tmp_path / "m", dtype=torch.float32), tmp_path / "m", TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=0.1, rtol=0.1)
