"""Text to tokens: once, undoubled, truncated in the right place, counted."""

from __future__ import annotations

import dataclasses

import pytest

from workers.reward import DataError, Message, Pair
from workers.reward.transformer.batches import encode_pairs
from workers.reward.transformer.template import ConversationEncoder, truncate

from .builders import planted_pairs, prompt
from .transformers_small import ENCODER, TINY, tiny_model


@pytest.fixture(scope="module", params=[TINY, ENCODER], ids=["decoder", "encoder"])
def tokenizer(request):
    return tiny_model(request.param)[1]


@pytest.fixture(scope="module")
def decoder():
    return tiny_model()[1]


def test_the_chat_template_is_applied_once(decoder):
    ids = ConversationEncoder(decoder, 500).encode(prompt("the question"), "the answer").ids
    text = decoder.decode(ids)
    assert text == "<|im_start|>user\nthe question<|im_end|><|im_start|>assistant\nthe answer<|im_end|>"


def test_the_prompt_is_cut_from_the_left_first(decoder):
    whole = ConversationEncoder(decoder, 500).encode(prompt("time " * 50), "the answer")
    cut = ConversationEncoder(decoder, 30).encode(prompt("time " * 50), "the answer")
    assert len(cut.ids) == 30
    assert cut.truncated
    assert not whole.truncated
    assert cut.full_length == len(whole.ids)
    assert cut.ids[0] == whole.ids[0]  # the special token in front stays
    assert cut.ids[1:] == whole.ids[-29:]


def test_the_answers_end_token_is_kept_after_truncation(decoder):
    cut = ConversationEncoder(decoder, 16).encode(prompt("question"), "law money " * 40)
    assert len(cut.ids) == 16
    assert cut.ids[-1] == decoder.eos_token_id
    assert "law money law" in decoder.decode(cut.ids[:-1])


@pytest.mark.parametrize(
    ("prompt_ids", "answer", "limit", "expected"),
    [
        ([9, 1, 2, 3], [4, 5, 8], 7, [9, 1, 2, 3, 4, 5, 8]),
        ([9, 1, 2, 3], [4, 5, 8], 5, [9, 3, 4, 5, 8]),
        ([9, 1, 2, 3], [4, 5, 8], 4, [9, 4, 5, 8]),
        ([1, 2, 3], [4, 5, 8], 4, [3, 4, 5, 8]),
        ([9, 1], [4, 5, 6, 8], 4, [9, 4, 5, 8]),
        ([9, 1], [4, 5, 6, 8], 3, [9, 4, 8]),
        ([9, 1], [4, 5, 6, 8, 7], 4, [9, 4, 8, 7]),  # a newline after the end mark belongs to it
        ([1, 2], [4, 5, 6, 8], 4, [4, 5, 6, 8]),
        ([1, 2], [4, 5, 6, 8], 3, [4, 5, 8]),
        ([], [4, 5, 6], 2, [4, 5]),
    ],
)
def test_truncation_token_by_token(prompt_ids, answer, limit, expected):
    kept, rest = truncate(prompt_ids, answer, limit, frozenset({8, 9}))
    assert kept + rest == expected
    assert len(expected) == min(len(prompt_ids + answer), limit)


def test_the_first_token_stays_whatever_the_limit_and_the_answers_length(tokenizer):
    """Encoders are pooled at it, and decoders have learned with it in front."""
    first = ConversationEncoder(tokenizer, 500).encode(prompt("question"), "law").ids[0]
    for limit in range(8, 40):
        encoder = ConversationEncoder(tokenizer, limit)
        for words in (0, 1, 4, 40):
            row = encoder.encode(prompt("question " * 3), "law money " * words)
            assert row.ids[0] == first
            assert len(row.ids) == min(row.full_length, limit)
            assert row.ids[-1] == tokenizer.eos_token_id or tokenizer.sep_token_id == row.ids[-1]


def test_overlong_pairs_are_counted_and_kept(tokenizer):
    pairs = planted_pairs(6)
    long = dataclasses.replace(pairs[0], pair_id="long", rejected="money " * 300)
    rows, overlong = encode_pairs([*pairs, long], ConversationEncoder(tokenizer, 100), 1.0)
    assert (len(rows), overlong) == (7, 1)
    assert len(rows[-1].rejected.ids) == 100


def test_odd_conversations_are_read(tokenizer):
    encoder = ConversationEncoder(tokenizer, 64)
    odd = [
        ((), ""),
        (prompt(""), ""),
        (prompt("<|im_end|>[SEP]"), "😀 \ud800 混合"),
        (prompt("x" * 5000), "y" * 5000),
    ]
    for messages, response in odd:
        assert 0 < len(encoder.encode(messages, response).ids) <= 64
    many = (Message("system", "s"), Message("user", "u"), Message("assistant", "a"), Message("user", "v"))
    assert len(encoder.encode(many, "w").ids) > len(encoder.encode(many[:2], "w").ids)


def test_a_template_that_refuses_says_so(decoder):
    tokenizer = tiny_model()[1]
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(DataError, match="alternate"):
        ConversationEncoder(tokenizer, 64).encode(prompt("q"), "a")


def test_the_template_hash_follows_template_limit_and_rules(decoder, monkeypatch):
    base = ConversationEncoder(decoder, 64).template_hash
    assert base == ConversationEncoder(decoder, 64).template_hash
    assert base != ConversationEncoder(decoder, 65).template_hash
    monkeypatch.setattr("workers.reward.transformer.template.RULES", 0)
    assert base != ConversationEncoder(decoder, 64).template_hash


def test_one_text_in_many_pairs_is_encoded_once(decoder):
    calls = []

    class Counting(ConversationEncoder):
        def encode(self, messages, response):
            calls.append(response)
            return super().encode(messages, response)

    same = [Pair(str(i), prompt("q"), "best", f"other {i}") for i in range(5)]
    encode_pairs(same, Counting(decoder, 64), 1.0)
    assert calls.count("best") == 1


@pytest.mark.parametrize(
    ("special", "text", "plain"),
    [
        (["|"], "a|b | c", "a b   c"),
        (["|"], "<|im_end|>", "<  im_end >"),
        (["|x|>"], "<|im_end|><|x|>", "< |im_end|>< | x|>"),
        (["> "], "a> b", "a b"),
        ([" \n"], "a \nb", "a \nb"),
    ],
)
def test_no_text_spells_a_special_token_of_any_length(special, text, plain):
    tokenizer = tiny_model()[1]
    tokenizer.add_special_tokens({"additional_special_tokens": [*special, "<|x|>"]})
    encoder = ConversationEncoder(tokenizer, 64)
    assert encoder.plain(text) == plain
    spelled = set(tokenizer(encoder.plain(text), add_special_tokens=False)["input_ids"])
    assert not spelled & {i for i in encoder.special if tokenizer.convert_ids_to_tokens(i).strip()}
