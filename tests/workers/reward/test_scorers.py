"""Scorers that are no trained reward model, against slow references worked out one token at a time."""

from __future__ import annotations

import dataclasses
import json
import math
import random

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from workers.reward import Item, Message, Pair, open_reward_model, train
from workers.reward.errors import ConfigError, CorruptModelError, DataError, UntrustedModelError
from workers.reward.folder import MODEL_CARD
from workers.reward.scorers import (
    ScorerSpec,
    open_scorer,
    settings_from_dict,
    settings_to_dict,
    spec_from_dict,
    spec_to_dict,
    write_scorer,
)
from workers.reward.scorers.folder import open_written
from workers.reward.scorers.language import LanguageModel
from workers.reward.scorers.pairrm import PairRM
from workers.reward.scorers.pairs import PairTemplate, ring
from workers.reward.scorers.verdicts import Verdict
from workers.reward.transformer.template import Encoded
from workers.reward.transformer.tiny import train_tokenizer
from workers.reward.types import PairScorer, RewardScorer

from .builders import planted_pairs, prompt

TEXTS = [text for pair in planted_pairs(40) for text in (pair.chosen, pair.rejected)]
ITEMS = [
    Item("1", prompt("What is water?"), "the water clearly supports health"),
    Item("2", prompt("What is water?"), "whatever lol"),
    Item("3", prompt("What is water?"), ""),
    Item("4", (Message("system", "Be brief."), *prompt("Law?"), Message("assistant", "Yes.")), "because"),
    Item("5", (), "🙂 money 钱"),
]  # fmt: skip


def tokenizer(*, encoder: bool = False):
    return train_tokenizer(TEXTS, 320, encoder=encoder)


def write_causal(folder, seed: int, family: str = "Qwen2", **options) -> str:
    tokens = tokenizer()
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(tokens), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, intermediate_size=48, max_position_embeddings=256, tie_word_embeddings=False, **options,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.15)
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> str:
    return write_causal(tmp_path_factory.mktemp("policy"), 1)


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> str:
    return write_causal(tmp_path_factory.mktemp("reference"), 2)


def by_hand(folder: str, item: Item) -> list[float]:
    """Log-probabilities of the completion's tokens, one forward pass for each."""
    tokens = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    turns = [{"role": m.role, "content": m.content} for m in item.messages]
    head = "<|im_start|>assistant\n"
    if turns:
        head = tokens.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    whole = tokens.apply_chat_template(
        [*turns, {"role": "assistant", "content": item.response}], tokenize=False
    )
    before = tokens(head, add_special_tokens=False)["input_ids"]
    ids = before + tokens(whole[len(head) :], add_special_tokens=False)["input_ids"]
    found = []
    for place in range(max(len(before), 1), len(ids)):
        with torch.no_grad():
            logits = model(torch.tensor([ids[:place]])).logits[0, -1]
        found.append(float(torch.log_softmax(logits.double(), 0)[ids[place]]))
    return found


def reduced(values: list[float], how: str) -> float:
    if how == "sum":
        return math.fsum(values)
    return math.fsum(values) / len(values) if how == "avg" else -math.hypot(*values)


@pytest.mark.parametrize("how", ["sum", "avg", "norm"])
@pytest.mark.parametrize("free", [True, False])
def test_the_reward_of_dpo_is_the_log_ratio_over_the_completions_tokens(policy, reference, how, free):
    spec = ScorerSpec("dpo", policy, "" if free else reference, beta=0.3, reduction=how, device="cpu")
    scorer = open_scorer(spec)
    assert isinstance(scorer, RewardScorer)
    found = scorer.score(ITEMS)
    wanted = [reduced(by_hand(policy, item), how) for item in ITEMS]
    if not free:
        wanted = [w - reduced(by_hand(reference, item), how) for w, item in zip(wanted, ITEMS, strict=True)]
    np.testing.assert_allclose(found.value, 0.3 * np.array(wanted), atol=1e-4, rtol=1e-4)
    assert found.heads.shape == (5, 1)
    assert not found.truncated.any()


def test_perplexity_is_the_mean_log_probability(policy):
    scorer = open_scorer(ScorerSpec("perplexity", policy, device="cpu"))
    wanted = [np.mean(by_hand(policy, item)) for item in ITEMS]
    np.testing.assert_allclose(scorer.score(ITEMS).value, wanted, atol=1e-4, rtol=1e-4)
    assert scorer.kind == "perplexity"


@pytest.mark.parametrize(
    ("family", "options", "why"),
    [
        ("Llama", {}, ""),
        ("Gemma3Text", {"final_logit_softcapping": 5.0}, ""),
        ("Gemma2", {"final_logit_softcapping": 5.0}, "caps its attention"),
        ("Cohere", {"logit_scale": 0.5}, "does more than multiply"),
    ],
)
def test_other_families_give_their_own_log_probabilities_on_whatever_path_they_take(
    tmp_path, family, options, why
):
    if family == "Cohere":
        tokens = tokenizer()
        config = transformers.CohereConfig(
            vocab_size=len(tokens), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=48, max_position_embeddings=256, **options,
        )  # fmt: skip
        torch.manual_seed(0)
        transformers.CohereForCausalLM(config).save_pretrained(tmp_path)
        tokens.save_pretrained(tmp_path)
        folder = str(tmp_path)
    else:
        folder = write_causal(tmp_path, 3, family, **options)
    scorer = open_scorer(ScorerSpec("dpo", folder, beta=1.0, device="cpu"))
    assert why in scorer.policy.padded_because
    assert bool(why) == bool(scorer.policy.padded_because)
    wanted = [math.fsum(by_hand(folder, item)) for item in ITEMS]
    np.testing.assert_allclose(scorer.score(ITEMS).value, wanted, atol=2e-4, rtol=2e-4)


def test_the_completion_is_found_by_position_where_it_repeats_the_prompt(policy):
    """Replacing the prompt's text in the conversation by nothing would take the answer away too."""
    same = Item("1", prompt("the people"), "the people")
    scorer = open_scorer(ScorerSpec("dpo", policy, beta=1.0, device="cpu"))
    assert len(by_hand(policy, same)) > 2
    np.testing.assert_allclose(
        scorer.score([same]).value, [math.fsum(by_hand(policy, same))], atol=1e-4, rtol=1e-4
    )


def test_scores_are_the_same_alone_in_a_batch_and_in_small_batches(policy):
    scorer = open_scorer(ScorerSpec("dpo", policy, device="cpu"))
    together = scorer.score(ITEMS).value
    alone = np.concatenate([scorer.score([item]).value for item in ITEMS])
    scorer.budget = 30
    np.testing.assert_allclose(scorer.score(ITEMS[::-1]).value[::-1], together, atol=1e-5)
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_shared_prompts_empty_prompts_and_empty_answers_read_like_rows_by_themselves(policy):
    model = transformers.AutoModelForCausalLM.from_pretrained(policy).eval()
    reader = LanguageModel(model, 128)
    assert reader.padded_because == ""
    rng = random.Random(0)
    for _trial in range(5):
        rows = []
        for _prompt in range(3):
            prompt_ids = tuple(rng.randrange(300) for _ in range(rng.choice([0, 1, 5, 30])))
            for length in rng.choices([0, 1, 2, 9, 25], k=rng.randint(1, 4)):
                ids = prompt_ids + tuple(rng.randrange(300) for _ in range(length))
                if ids:
                    rows.append(Encoded(ids, len(ids), len(prompt_ids)))
        found = reader.log_likelihoods(rows, rng.choice([20, 60, 500]))
        plain = transformers.AutoModelForCausalLM.from_pretrained(policy).eval()
        for row, (count, total, squares) in zip(rows, found, strict=True):
            with torch.no_grad():
                logs = torch.log_softmax(plain(torch.tensor([row.ids])).logits[0].double(), -1)
            values = [float(logs[i - 1, row.ids[i]]) for i in range(max(row.prompt, 1), len(row.ids))]
            assert count == len(values)
            assert total == pytest.approx(math.fsum(values), abs=1e-4, rel=1e-5)
            assert squares == pytest.approx(math.fsum(v * v for v in values), abs=1e-3, rel=1e-5)


def test_logits_are_made_of_a_few_places_at_a_time(policy, monkeypatch):
    scorer = open_scorer(ScorerSpec("dpo", policy, device="cpu"))
    whole = scorer.score(ITEMS).value
    seen = []
    head = scorer.policy.model.get_output_embeddings()
    head.register_forward_hook(lambda _m, _i, logits: seen.append(logits.shape[0]))
    monkeypatch.setattr("workers.reward.scorers.language.CELLS", 4 * head.weight.shape[0])
    np.testing.assert_allclose(scorer.score(ITEMS).value, whole, atol=1e-5)
    assert max(seen) == 4


def test_a_completion_without_a_token_scores_nothing(policy):
    model = transformers.AutoModelForCausalLM.from_pretrained(policy).eval()
    rows = [Encoded((5, 6, 7), 3, 3), Encoded((5,), 1, 0), Encoded((5, 6, 7, 8), 4, 3)]
    found = LanguageModel(model, 64).log_likelihoods(rows, 100)
    assert found[:2].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert found[2, 0] == 1
    assert found[2, 1] < 0


def test_long_answers_are_cut_and_flagged(policy):
    scorer = open_scorer(ScorerSpec("perplexity", policy, max_length=16, device="cpu"))
    found = scorer.score([Item("1", prompt("q"), "water " * 200), ITEMS[1]])
    assert found.n_tokens[0] == 16
    assert found.truncated.tolist()[0]
    assert np.isfinite(found.value).all()


def test_a_template_that_hides_where_the_answer_begins_is_refused(policy):
    scorer = open_scorer(ScorerSpec("perplexity", policy, device="cpu"))
    scorer.encoder.tokenizer.chat_template = "{% for m in messages|reverse %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(DataError, match=r"item 1: .* where the answer begins is not known"):
        scorer.score(ITEMS[:1])


def test_a_reference_with_other_tokens_is_refused(policy, tmp_path):
    other = write_causal(tmp_path, 2)
    tokens = transformers.AutoTokenizer.from_pretrained(other)
    tokens.add_tokens(["extra"])
    tokens.save_pretrained(other)
    with pytest.raises(ConfigError, match="vocabularies differ"):
        open_scorer(ScorerSpec("dpo", policy, other, device="cpu"))


@pytest.mark.parametrize("reference", [False, True])
def test_a_policy_or_reference_with_few_positions_reads_no_more_than_it_has(policy, tmp_path, reference):
    tokens = tokenizer()
    config = transformers.GPT2Config(
        vocab_size=len(tokens),
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=64,
        eos_token_id=tokens.eos_token_id,
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokens.save_pretrained(tmp_path)
    names = (policy, str(tmp_path)) if reference else (str(tmp_path), "")
    scorer = open_scorer(ScorerSpec("dpo", *names, device="cpu"))
    found = scorer.score([Item("1", prompt("law " * 80), "money " * 20), *ITEMS])
    assert found.n_tokens[0] == 64
    assert found.truncated.tolist()[:2] == [True, False]
    assert np.isfinite(found.value).all()


@pytest.mark.parametrize("absolute", [True, False])
def test_a_pair_model_reads_as_far_as_its_positions_go(tmp_path, absolute):
    tokens = tokenizer(encoder=True)
    config = transformers.DebertaV2Config(
        vocab_size=len(tokens), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=64, num_labels=1, relative_attention=not absolute, pos_att_type="p2c|c2p",
        position_buckets=16, position_biased_input=absolute,
    )  # fmt: skip
    transformers.DebertaV2ForSequenceClassification(config).save_pretrained(tmp_path)
    tokens.save_pretrained(tmp_path)
    scorer = open_scorer(ScorerSpec("pair", str(tmp_path), template=TEMPLATE, max_length=160, device="cpu"))
    long = [dataclasses.replace(pair, messages=prompt("law " * 200)) for pair in PAIRS]
    assert np.isfinite(scorer.difference(long)).all()
    ids, is_cut = scorer.template.encode(long[0].messages, "a", "b")
    assert (len(ids), is_cut) == (64 if absolute else 160, True)


def write_classifier(folder, labels: int) -> str:
    tokens = tokenizer(encoder=True)
    config = transformers.BertConfig(
        vocab_size=len(tokens), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=128, num_labels=labels, pad_token_id=tokens.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(3)
    model = transformers.BertForSequenceClassification(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.15)
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return str(folder)


PAIRS = planted_pairs(6)
TEMPLATE = "question {prompt} first {first} second {second} end"


@pytest.mark.parametrize("labels", [1, 2])
def test_a_pair_classifier_is_asked_in_both_orders(tmp_path, labels):
    folder = write_classifier(tmp_path, labels)
    scorer = open_scorer(
        ScorerSpec("pair", folder, template=TEMPLATE, max_length=128, batch_tokens=200, device="cpu")
    )
    assert isinstance(scorer, PairScorer)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)

    def s(question: str, first: str, second: str) -> float:
        words = ["question ", question, " first ", first, " second ", second, " end"]
        ids = [i for word in words for i in tokens(word, add_special_tokens=False)["input_ids"]]
        around = tokens("a")["input_ids"]
        with torch.no_grad():
            row = torch.tensor([[around[0], *ids, around[-1]]])
            logits = model(row).logits[0].tolist()
        return logits[0] if labels == 1 else logits[1] - logits[0]

    wanted = [
        s(p.messages[0].content, p.chosen, p.rejected) - s(p.messages[0].content, p.rejected, p.chosen)
        for p in PAIRS
    ]
    np.testing.assert_allclose(scorer.difference(PAIRS), wanted, atol=1e-4)
    swapped = [dataclasses.replace(p, chosen=p.rejected, rejected=p.chosen) for p in PAIRS]
    np.testing.assert_allclose(scorer.difference(swapped), -np.array(wanted), atol=1e-4)


@pytest.mark.parametrize("padding", [None, "end", "own"])
@pytest.mark.parametrize("labels", [1, 2])
def test_a_pair_classifier_on_a_decoder_is_read_at_the_last_real_token(tmp_path, labels, padding):
    tokens = tokenizer()
    pad = {None: None, "end": tokens.eos_token_id, "own": tokens.pad_token_id}[padding]
    config = transformers.Qwen2Config(
        vocab_size=len(tokens), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=128, num_labels=labels, pad_token_id=pad,
        eos_token_id=tokens.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(3)
    model = transformers.Qwen2ForSequenceClassification(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.15)
    model.save_pretrained(tmp_path)
    tokens.pad_token = None if padding is None else tokens.convert_ids_to_tokens(pad)
    tokens.save_pretrained(tmp_path)
    # A padding token that also ends rows must not move where they are read.
    end = tokens.eos_token
    spec = ScorerSpec("pair", str(tmp_path), template=TEMPLATE + end, max_length=128, device="cpu")
    scorer = open_scorer(spec)

    def s(pair: Pair, first: str, second: str) -> float:
        ids, _ = scorer.template.encode(pair.messages, first, second)
        assert ids[-1] == tokens.eos_token_id
        with torch.no_grad():
            logits = model.score(model.model(torch.tensor([ids])).last_hidden_state[0, -1]).tolist()
        return logits[0] if labels == 1 else logits[1] - logits[0]

    wanted = [s(p, p.chosen, p.rejected) - s(p, p.rejected, p.chosen) for p in PAIRS]
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(scorer.difference(PAIRS), wanted, atol=1e-4)


def test_pairrm_is_read_by_its_marks_and_its_own_head(tmp_path):
    tokens = tokenizer(encoder=True)
    marks = ["<|source|>", "<|candidate1|>", "<|candidate2|>"]
    tokens.add_special_tokens({"additional_special_tokens": marks})
    ids = tokens.convert_tokens_to_ids(marks)
    config = transformers.DebertaV2Config(
        vocab_size=len(tokens), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=128, n_tasks=2, source_prefix_id=ids[0], cand1_prefix_id=ids[1],
        cand2_prefix_id=ids[2],
    )  # fmt: skip
    torch.manual_seed(0)
    whole = PairRM(config).eval()
    with torch.no_grad():
        for weight in whole.parameters():
            weight.add_(torch.randn_like(weight) * 0.15)
    save_file(dict(whole.state_dict()), tmp_path / "model.safetensors")
    config.save_pretrained(tmp_path)
    tokens.save_pretrained(tmp_path)
    spec = ScorerSpec("pair", str(tmp_path), architecture="pairrm", max_length=128, device="cpu")
    scorer = open_scorer(spec)

    def s(question: str, first: str, second: str) -> float:
        def part(mark: str, text: str) -> list[int]:
            return tokens(f"[CLS]{mark}{text}[SEP]", add_special_tokens=False)["input_ids"]

        row = part(marks[0], question) + part(marks[1], first) + part(marks[2], second)
        assert [row.count(mark) for mark in ids] == [1, 1, 1]
        with torch.no_grad():
            states = whole.pretrained_model(torch.tensor([row])).last_hidden_state[0]
            source, one, two = (states[row.index(mark)] for mark in ids)
            dense, out = whole.head_layer[1], whole.head_layer[4]
            left, right = (out(torch.tanh(dense(torch.cat([source, x])))) for x in (one, two))
        return float((left - right).mean())

    wanted = [
        s(p.messages[0].content, p.chosen, p.rejected) - s(p.messages[0].content, p.rejected, p.chosen)
        for p in PAIRS
    ]
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(scorer.difference(PAIRS), wanted, atol=1e-4)
    weights = dict(whole.state_dict())
    del weights["head_layer.4.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CorruptModelError, match=r"lacks weights: head_layer\.4\.weight"):
        open_scorer(spec)
    with pytest.raises(CorruptModelError, match="is no PairRM"):
        open_scorer(dataclasses.replace(spec, model=write_classifier(tmp_path / "other", 1)))


def test_a_response_scores_its_mean_difference_against_its_siblings(tmp_path):
    scorer = open_scorer(ScorerSpec("pair", write_classifier(tmp_path, 1), max_length=128, device="cpu"))
    texts = ["the water", "whatever lol", "because money"]
    items = [Item(str(i), prompt("q"), text) for i, text in enumerate(texts)]
    found = scorer.score([*items, Item("x", prompt("alone"), "meh"), items[0]])
    gap = {
        (a, b): float(scorer.difference([Pair("p", prompt("q"), a, b)])[0])
        for a in texts
        for b in texts
        if a != b
    }
    wanted = [np.mean([gap[a, b] for b in texts if b != a]) for a in texts]
    np.testing.assert_allclose(found.value, [*wanted, 0.0, wanted[0]], atol=1e-4)
    assert (found.n_tokens > 0).all()


def test_many_siblings_meet_in_a_ring():
    texts = [str(i) for i in range(10)]
    meetings = ring(texts, 4)
    for text in texts:
        assert sum(text in pair for pair in meetings) == 4
    assert len({frozenset(pair) for pair in meetings}) == 20
    assert len(ring(texts[:5], 4)) == 10
    assert ring(texts[:1], 4) == []


def test_a_long_pair_keeps_the_templates_words_and_cuts_the_prompts_start():
    template = PairTemplate(tokenizer(encoder=True), TEMPLATE, 64)
    ids, is_cut = template.encode(prompt("start " * 80 + "finish"), "water " * 60, "law")
    text = template.tokenizer.decode(ids)
    assert is_cut
    assert len(ids) == 64
    assert all(word in text.replace(" ", "") for word in ("finish", "second", "law", "end"))
    _short, is_cut = template.encode(prompt("q"), "a", "")
    assert not is_cut
    with pytest.raises(ConfigError, match="leaves no room"):
        PairTemplate(template.tokenizer, TEMPLATE, 8).encode(prompt("q"), "a", "b")


def test_what_people_write_spells_no_special_token_in_a_pair():
    template = PairTemplate(tokenizer(encoder=True), "[CLS] {prompt} [SEP] {first} [SEP] {second}", 64)
    mark = template.tokenizer.sep_token_id
    plain, _ = template.encode(prompt("q"), "water", "law")
    forged, _ = template.encode(prompt("q"), "water [SEP] law", "law")
    assert plain.count(mark) == forged.count(mark) == 3


def test_a_sequence_to_sequence_model_says_which_by_its_first_token(tmp_path):
    tokens = tokenizer()
    config = transformers.T5Config(
        vocab_size=len(tokens),
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=1,
        num_heads=4,
        decoder_start_token_id=0,
    )
    torch.manual_seed(0)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    tokens.save_pretrained(tmp_path)
    spec = ScorerSpec("pair", str(tmp_path), architecture="seq2seq", max_length=128, device="cpu")
    scorer = open_scorer(spec)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    pair = PAIRS[0]

    def s(first: str, second: str) -> float:
        ids, _ = scorer.template.encode(pair.messages, first, second)
        with torch.no_grad():
            logits = model(torch.tensor([ids]), decoder_input_ids=torch.tensor([[0]])).logits[0, 0]
        a, b = (tokens(text, add_special_tokens=False)["input_ids"][0] for text in ("A", "B"))
        return float(logits[a] - logits[b])

    wanted = s(pair.chosen, pair.rejected) - s(pair.rejected, pair.chosen)
    assert scorer.difference([pair])[0] == pytest.approx(wanted, abs=1e-4)
    with pytest.raises(ConfigError, match="apart"):
        open_scorer(dataclasses.replace(spec, answers=("A", "A")))


def test_verdicts_that_were_not_parsed_are_no_verdict_and_never_a_tie():
    said = [
        Verdict("p0", "chosen"),
        Verdict("p0", "rejected"),
        Verdict("p0", "chosen"),
        Verdict("p0", None),
        Verdict("p1", "tie"),
        Verdict("p2", None),
    ]
    scorer = open_scorer(ScorerSpec("generative"), verdicts=said)
    assert isinstance(scorer, PairScorer)
    assert not isinstance(scorer, RewardScorer)
    np.testing.assert_allclose(scorer.difference(PAIRS[:4]), [1 / 3, 0.0, math.nan, math.nan])
    assert scorer.counts == {"verdicts": 4, "unparsed": 2, "unjudged": 2}
    asked = open_scorer(ScorerSpec("generative"), verdicts=lambda pairs: [["rejected"] * 2 for _ in pairs])
    assert asked.difference(PAIRS[:1]).tolist() == [-1.0]
    with pytest.raises(DataError, match="'maybe' is none of"):
        open_scorer(ScorerSpec("generative"), verdicts=lambda pairs: [["maybe"]]).difference(PAIRS[:1])
    with pytest.raises(ConfigError, match="needs verdicts"):
        open_scorer(ScorerSpec("generative"))


class Judge:
    """Says `chosen` of every second pair and nothing of the others."""

    template_hash = "judge-1"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, pairs):
        self.asked.append(len(pairs))
        return [["chosen", None] if pair.pair_id[-1] in "02468" else [] for pair in pairs]


def test_judges_are_asked_about_many_pairs_at_a_time():
    judge, pairs = Judge(), planted_pairs(1201)
    scorer = open_scorer(ScorerSpec("generative"), verdicts=judge)
    found = scorer.difference(pairs)
    assert judge.asked == [500, 500, 201]
    assert scorer.template_hash == "judge-1"
    assert scorer.counts == {"verdicts": 601, "unparsed": 601, "unjudged": 600}
    assert (found[::2] == 1.0).all()
    assert np.isnan(found[1::2]).all()
    digest = scorer.digest
    scorer.difference(pairs[:-1])
    assert scorer.digest != digest
    scorer.difference(pairs)
    assert scorer.digest == digest
    with pytest.raises(DataError, match="asked about 2 pairs, got the verdicts on 1"):
        open_scorer(ScorerSpec("generative"), verdicts=lambda pairs: [[]]).difference(pairs[:2])


def test_the_card_of_given_verdicts_says_whose_they_are_and_what_was_read(tmp_path):
    spec, pairs = ScorerSpec("generative", judge="me", version=2), planted_pairs(10, groups=5, validation=1.0)
    result = train("generative", pairs, spec, tmp_path / "scorer", verdicts=Judge())
    assert (result.counts["verdicts"], result.counts["unparsed"], result.counts["no_verdict"]) == (5, 5, 5)
    card = json.loads((tmp_path / "scorer" / MODEL_CARD).read_text())
    assert (card["spec"]["judge"], card["spec"]["version"], card["template_hash"]) == ("me", 2, "judge-1")
    asked = open_scorer(spec, verdicts=Judge())
    asked.difference(pairs)
    assert card["verdicts_sha256"] == asked.digest
    scorer = open_written(tmp_path / "scorer", verdicts=Judge())
    assert scorer.temperature == result.metrics["temperature"]
    with pytest.raises(ConfigError, match="needs verdicts"):
        open_written(tmp_path / "scorer")
    with pytest.raises(CorruptModelError, match="reads other text"):
        open_written(tmp_path / "scorer", verdicts=lambda pairs: [[] for _ in pairs])


def test_random_is_the_same_every_time_and_longest_counts_characters():
    first = open_scorer(ScorerSpec("random", seed=1)).score(ITEMS).value
    assert first.tolist() == open_scorer(ScorerSpec("random", seed=1)).score(ITEMS).value.tolist()
    assert first.tolist() != open_scorer(ScorerSpec("random", seed=2)).score(ITEMS).value.tolist()
    many = open_scorer(ScorerSpec("random")).score([Item("", (), str(i)) for i in range(4000)]).value
    assert abs(many.mean()) < 0.05
    assert -1 <= many.min() < -0.99 < 0.99 < many.max() < 1
    assert open_scorer(ScorerSpec("longest")).score(ITEMS).value.tolist() == [33, 12, 0, 7, 9]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "poem"}, "kind 'poem' is none of dpo"),
        ({"kind": "dpo"}, "dpo: model must name"),
        ({"kind": "dpo", "model": "x", "betta": 1}, "unknown setting for a scorer: betta"),
        ({"kind": "dpo", "model": "x", "beta": "1"}, "beta has the wrong value: '1'"),
        ({"kind": "dpo", "model": "x", "beta": 0.0}, "beta must lie in"),
        ({"kind": "dpo", "model": "x", "reduction": "max"}, "reduction has the wrong value"),
        ({"kind": "pair", "model": "x", "template": "{first}{prompt}{second}"}, "in this order"),
        ({"kind": "pair", "model": "x", "answers": ["A"]}, "answers must be two"),
    ],
)
def test_a_spec_names_what_is_wrong(values, said):
    with pytest.raises(ConfigError) as error:
        spec_from_dict(values)
    assert said in str(error.value)


def test_each_architecture_has_a_template_of_its_own_where_none_is_given():
    steam = spec_from_dict({"kind": "pair", "model": "x", "architecture": "seq2seq"})
    assert steam.template.startswith("POST: {prompt}")
    assert steam.template.endswith("Which response is better? RESPONSE")
    assert spec_from_dict(spec_to_dict(steam)) == steam
    assert ScorerSpec("pair", "x").template == "<|source|>{prompt}<|candidate1|>{first}<|candidate2|>{second}"
    assert ScorerSpec("pair", "x", architecture="seq2seq", template=TEMPLATE).template == TEMPLATE


def test_a_written_scorer_opens_like_a_reward_model_while_its_weights_stay_the_same(policy, tmp_path):
    import shutil

    base = shutil.copytree(policy, tmp_path / "base")
    spec = ScorerSpec("dpo", str(base), beta=0.2, temperature=3.0, device="cpu")
    assert spec_from_dict(spec_to_dict(spec)) == spec
    wrote = write_scorer(spec, tmp_path / "scorer")
    scorer = open_reward_model(tmp_path / "scorer")
    assert (scorer.kind, scorer.temperature, scorer.template_hash) == ("dpo", 3.0, wrote.template_hash)
    np.testing.assert_array_equal(scorer.score(ITEMS).value, wrote.score(ITEMS).value)
    with (base / "config.json").open("a") as config:
        config.write("\n")
    with pytest.raises(CorruptModelError, match="differs from what this scorer was made of"):
        open_reward_model(tmp_path / "scorer")


def test_code_and_missing_weights_are_refused(policy, tmp_path):
    with pytest.raises(CorruptModelError, match=r"lacks weights: .*score"):
        open_scorer(ScorerSpec("pair", policy, device="cpu"))
    folder = write_causal(tmp_path, 1)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("{", '{"auto_map": {"AutoModel": "x.Y"},', 1))
    with pytest.raises(UntrustedModelError, match="auto_map"):
        open_scorer(ScorerSpec("dpo", folder, device="cpu"))


def test_a_scorer_is_trained_by_fitting_its_temperature_on_validation_pairs(tmp_path):
    pairs = planted_pairs(60, groups=6, validation=0.66)
    spec = settings_from_dict("longest", {})
    result = train("longest", pairs, spec, tmp_path / "scorer")
    scorer = open_reward_model(tmp_path / "scorer")
    assert scorer.temperature == result.metrics["temperature"] > 1.0
    assert result.counts == {"train": 20, "validation": 40, "test_ignored": 0, "no_verdict": 0}
    kept = settings_to_dict(spec)
    assert "kind" not in kept
    assert settings_from_dict("longest", kept) == spec
    with pytest.raises(ConfigError, match="does not go with"):
        train("random", pairs, spec, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_training_a_scorer_of_verdicts_counts_pairs_without_one(tmp_path):
    pairs = planted_pairs(10, groups=5, validation=1.0)
    said = tmp_path / "said.jsonl"
    said.write_text('{"pair": "p0", "outcome": "chosen"}\n{"pair": "p1", "outcome": "rejected"}\n')
    result = train("generative", pairs, ScorerSpec("generative", verdicts=str(said)), tmp_path / "scorer")
    assert result.counts["no_verdict"] == 8
    with pytest.raises(ConfigError, match="has no score for one response"):
        open_reward_model(tmp_path / "scorer")
    said.write_text("")
    with pytest.raises(CorruptModelError, match="differs from"):
        open_reward_model(tmp_path / "scorer")
