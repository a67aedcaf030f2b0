"""Packed and prefix-shared rows give the scores and gradients of rows by themselves, in every family of decoder."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.reward.transformer import attention
from workers.reward.transformer.batches import EncodedPair, collate, pad
from workers.reward.transformer.packed import is_pruned, layout_of, packed_scores, scores_of, use_trees
from workers.reward.transformer.pooling import pooled_states, reward_scores
from workers.reward.transformer.template import Encoded
from workers.reward.transformer.trees import pack

from .transformers_small import ENCODER, tiny_model

FAMILIES = ["Qwen2", "Qwen3", "Llama", "Mistral", "Gemma", "Gemma3Text"]
VOCABULARY = 97


def small(family: str, heads: int = 4, key_heads: int = 2, **options):
    """An untrained model whose weights are large enough for scores to differ."""
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "head_dim": 8,
        "intermediate_size": 48,
        "max_position_embeddings": 256,
        "num_labels": 1,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = getattr(transformers, f"{family}Config")(**sizes | options)
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.15)
    return model


def gpt2(attn_pdrop: float = 0.0):
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, num_labels=1, pad_token_id=0,
        attn_pdrop=attn_pdrop, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.GPT2ForSequenceClassification(config).eval()


def rows_of(shape: list[tuple[int, list[int]]], seed: int = 0) -> list[Encoded]:
    """Rows from (prompt length, answer lengths) of every prompt."""
    rng = random.Random(seed)
    out = []
    for prompt_length, answers in shape:
        prompt = tuple(rng.randrange(VOCABULARY) for _ in range(prompt_length))
        for length in answers:
            ids = prompt + tuple(rng.randrange(VOCABULARY) for _ in range(length))
            out.append(Encoded(ids, len(ids), len(prompt)))
    return out


def one_by_one(model, rows):
    return torch.cat([reward_scores(model, *pad([row.ids], 0)) for row in rows])


def gradients(model, scores, weights):
    model.zero_grad(set_to_none=True)
    (scores * weights).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


SHAPES = st.lists(
    st.tuples(st.integers(0, 30), st.lists(st.integers(1, 30), min_size=1, max_size=5)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize(
    ("family", "heads", "key_heads"),
    [*((family, 4, 2) for family in FAMILIES), ("Qwen2", 4, 4), ("Llama", 4, 1)],
)
def test_packed_padded_and_one_by_one_are_equal(family, heads, key_heads):
    plain, packed = small(family, heads, key_heads), small(family, heads, key_heads)
    assert use_trees(packed, 64) == ""
    assert layout_of(packed) == "tree"

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(SHAPES, st.integers(0, 9))
    def equal(shape, seed):
        rows = rows_of(shape, seed)
        alone = one_by_one(plain, rows)
        padded = reward_scores(plain, *pad([row.ids for row in rows], 0))
        together = packed_scores(packed, pack(rows))
        torch.testing.assert_close(padded, alone, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
        weights = torch.randn(len(rows), generator=torch.Generator().manual_seed(seed))
        wanted, found = gradients(plain, alone, weights), gradients(packed, together, weights)
        assert float((found - wanted).norm() / wanted.norm()) < 1e-4

    equal()


def test_n_ranked_answers_in_one_tree_equal_the_sum_over_their_pairs():
    plain, packed = small("Qwen2"), small("Qwen2")
    assert use_trees(packed, 64) == ""
    rows = rows_of([(25, [7, 12, 3, 20])])
    pairs = [
        EncodedPair(a, b, margin=0.5, p_chosen=1.0, weight=1.0)
        for i, a in enumerate(rows)
        for b in rows[i + 1 :]
    ]

    def loss(model, some, layout):
        batch = collate(some, layout, 0)
        scores = scores_of(model, batch.rows)
        return F.softplus(scores[batch.rejected] - scores[batch.chosen] + batch.labels.margin).sum()

    whole = loss(packed, pairs, "tree")
    apart = sum(loss(plain, [pair], "padded") for pair in pairs)
    torch.testing.assert_close(whole, apart, atol=1e-4, rtol=1e-5)
    one = torch.ones(())
    wanted, found = gradients(plain, apart, one), gradients(packed, whole, one)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-4


@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_attention_by_segments_equals_attention_under_the_trees_mask(key_heads):
    packed = pack(rows_of([(30, [4, 9, 17]), (0, [5, 6]), (3, [8])]))
    size = packed.input_ids.shape[1]
    torch.manual_seed(1)
    query = torch.randn(1, 4, size, 16, requires_grad=True)
    key, value = (torch.randn(1, key_heads, size, 16, requires_grad=True) for _ in range(2))
    grad = torch.randn(1, size, 4, 16)
    results = []
    for kernel in ("segments", "dense"):
        mask = attention.mask_for(kernel, packed)
        out, _ = attention.tree_attention(
            None, query, key, value, None, tree=packed, kernel=kernel, mask=mask, scaling=0.3
        )
        results.append((out, *torch.autograd.grad(out, (query, key, value), grad)))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_a_token_sees_its_own_prompt_and_answer_alone():
    packed = pack(rows_of([(2, [1, 2]), (0, [2])]))
    seen = attention.tree_mask(packed.trees, torch.device("cpu")).int().tolist()
    assert seen == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1, 1],
    ]
    assert packed.position_ids.tolist() == [[0, 1, 2, 2, 3, 0, 1]]
    assert packed.last.tolist() == [2, 4, 6]


def test_flex_attention_reads_the_same_rule():
    from torch.nn.attention.flex_attention import create_mask

    packed = pack(rows_of([(30, [4, 9, 17]), (0, [5, 6]), (3, [8])]))
    size, device = packed.input_ids.shape[1], torch.device("cpu")
    mask = create_mask(attention.who_sees_whom(packed.trees, device), 1, 1, size, size, device="cpu")
    assert torch.equal(mask[0, 0], attention.tree_mask(packed.trees, device))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: tiny_model(ENCODER)[0], "reads both ways"),
        (lambda: small("Gemma2"), "caps its attention"),
        (lambda: small("Qwen2", attention_dropout=0.1), "drops attention weights"),
        (lambda: small("Mistral", sliding_window=16), "looks back 16 tokens"),
        (lambda: gpt2(attn_pdrop=0.1), "drops attention weights"),
        (
            lambda: small(
                "Llama", rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
            ),
            "turns positions by the longest row",
        ),
    ],
)
def test_what_cannot_be_packed_says_why_and_stays_as_it_was(model, reason):
    built = model()
    before = built.config._attn_implementation
    assert reason in use_trees(built, 64)
    assert layout_of(built) == "padded"
    assert built.config._attn_implementation == before


def test_a_family_with_another_last_layer_is_packed_without_the_shorter_one():
    model = gpt2()
    rows = rows_of([(9, [3, 5]), (2, [4])])
    alone = one_by_one(model, rows).detach()
    assert use_trees(model, 64) == ""
    assert not is_pruned(model)
    torch.testing.assert_close(packed_scores(model, pack(rows)), alone, atol=1e-4, rtol=1e-4)


def test_a_last_layer_that_drops_states_is_not_shortened():
    model = small("Phi3", resid_pdrop=0.1)
    assert use_trees(model, 64) == ""
    assert not is_pruned(model)
    assert use_trees(calm := small("Phi3", resid_pdrop=0.0), 64) == ""
    assert is_pruned(calm)


@pytest.mark.parametrize("option", [{"dropout": 0.1}, {"softcap": 5.0}, {"sliding_window": 11}, {"s_aux": 1}])
def test_attention_that_no_kernel_does_is_refused_in_words(option):
    packed = pack(rows_of([(9, [3, 5])]))
    states = torch.zeros(1, 2, 17, 8)
    with pytest.raises(ValueError, match=r"cannot be packed|shorter than a row of 14"):
        attention.tree_attention(None, states, states, states, None, tree=packed, kernel="segments", **option)


def test_a_packed_model_is_saved_as_a_plain_one(tmp_path):
    model = small("Qwen2")
    assert use_trees(model, 64) == ""
    model.save_pretrained(tmp_path)
    assert attention.NAME not in (tmp_path / "config.json").read_text()
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    rows = rows_of([(9, [3, 5])])
    torch.testing.assert_close(
        packed_scores(model, pack(rows)), one_by_one(plain, rows), atol=1e-4, rtol=1e-4
    )


# A head of a real model's size, and one whose scores are thousandths.
@pytest.mark.parametrize("head", [1.0, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["Qwen2", "Gemma"])
def test_a_model_that_would_score_packed_rows_otherwise_is_not_switched(monkeypatch, family, dtype, head):
    right = attention.tree_attention

    def wrong(*arguments, **options):
        return right(*arguments, **options)[0] * 1.5, None

    model = small(family).to(dtype)
    with torch.no_grad():
        model.score.weight.mul_(head)
    rows = rows_of([(9, [3, 5])])
    before = one_by_one(model, rows)
    with monkeypatch.context() as patch:
        patch.setattr(attention, "tree_attention", wrong)
        assert "what it reads of a row is off by" in use_trees(model, 64)
    assert layout_of(model) == "padded"
    torch.testing.assert_close(one_by_one(model, rows), before)
    assert use_trees(model, 64) == ""


def test_a_deep_model_in_bfloat16_is_switched_where_padding_alone_moves_it_as_far():
    sizes = {"hidden_size": 128, "num_hidden_layers": 24, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = transformers.Qwen2Config(
        vocab_size=VOCABULARY,
        intermediate_size=128,
        initializer_range=0.2,
        num_labels=1,
        pad_token_id=0,
        **sizes,
    )
    torch.manual_seed(0)
    model = transformers.Qwen2ForSequenceClassification(config).to(torch.bfloat16).eval()
    rows = rows_of([(9, [3, 5, 7]), (3, [3])])
    with torch.no_grad():
        alone = torch.cat([pooled_states(model, *pad([row.ids], 0)) for row in rows]).float()
        padded = pooled_states(model, *pad([row.ids for row in rows], 0)).float()
    assert float(((padded - alone).norm(dim=1) / alone.norm(dim=1)).max()) > 0.04
    assert use_trees(model, 64) == ""
