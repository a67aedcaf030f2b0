"""One score for one text, however it is batched or padded."""

from __future__ import annotations

import pytest
import torch

from workers.reward.transformer.batches import collate, encode_pairs, pad
from workers.reward.transformer.inference import score_rows
from workers.reward.transformer.pooling import head_of, last_real_token, reward_scores
from workers.reward.transformer.template import ConversationEncoder, Encoded

from .builders import planted_pairs, prompt
from .transformers_small import ENCODER, TINY, tiny_model

TEXTS = [
    "the law",
    "money time house people",
    "water " * 20,
    "a",
    "because the evidence shows careful reasons",
]


@pytest.fixture(scope="module", params=[TINY, ENCODER], ids=["decoder", "encoder"])
def built(request):
    model, tokenizer = tiny_model(request.param)
    encoder = ConversationEncoder(tokenizer, 100)
    return model, tokenizer, [encoder.encode(prompt("why?"), text).ids for text in TEXTS]


def alone(model, rows):
    return [reward_scores(model, *pad([row], 0)).item() for row in rows]


def test_the_last_real_token_is_found_by_the_mask():
    hidden = torch.arange(12.0).reshape(3, 4, 1)
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    assert last_real_token(hidden, mask)[:, 0].tolist() == [1.0, 7.0, 11.0]
    with pytest.raises(ValueError, match="no real token"):
        last_real_token(hidden, torch.zeros(3, 4))


@torch.no_grad()
def test_batch_size_changes_no_score(built):
    model, tokenizer, rows = built
    single = torch.tensor(alone(model, rows))
    together = reward_scores(model, *pad(rows, tokenizer.pad_token_id))
    torch.testing.assert_close(together, single, atol=1e-5, rtol=1e-5)
    many = reward_scores(model, *pad(rows * 13, tokenizer.pad_token_id))
    torch.testing.assert_close(many, single.repeat(13), atol=1e-5, rtol=1e-5)


def test_batch_scoring_keeps_the_order_and_equals_one_by_one(built):
    model, tokenizer, rows = built
    model.train()
    encoded = [Encoded(row, len(row)) for row in [*rows, rows[0]]]
    scores = score_rows(model, encoded, tokenizer.pad_token_id, 64)
    assert model.training  # left as it was found
    model.eval()
    with torch.no_grad():
        expected = alone(model, [*rows, rows[0]])
    torch.testing.assert_close(torch.tensor(scores), torch.tensor(expected), atol=1e-5, rtol=1e-5)
    assert scores[0] == scores[-1]


def test_scores_and_differences_are_float32_under_a_bfloat16_backbone():
    model, tokenizer = tiny_model()
    model.to(torch.bfloat16)
    head_of(model).float()
    rows = [ConversationEncoder(tokenizer, 50).encode((), text).ids for text in TEXTS]
    assert reward_scores(model, *pad(rows, tokenizer.pad_token_id)).dtype == torch.float32


@pytest.mark.parametrize("config", [TINY, ENCODER], ids=["tree", "padded"])
def test_a_batch_reads_each_distinct_answer_once(config):
    tokenizer = tiny_model(config)[1]
    encoder = ConversationEncoder(tokenizer, 100)
    pairs = planted_pairs(4)
    rows, _ = encode_pairs([*pairs, pairs[0]], encoder, 1.0)
    padded = collate(rows, "padded", tokenizer.pad_token_id)
    assert padded.rows.input_ids.shape[0] == 8
    assert padded.chosen.tolist()[0] == padded.chosen.tolist()[-1]
    ids, mask = padded.rows.input_ids, padded.rows.attention_mask
    back = [tuple(ids[i][mask[i].bool()].tolist()) for i in padded.chosen]
    assert back == [row.chosen.ids for row in rows]
    assert collate(rows, "tree", 0).rows.last.shape == (8,)
