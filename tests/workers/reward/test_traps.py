"""One test for each trap of reward modelling, by its name, over every kind of model that could fall into it."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import json
import random
import tracemalloc

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from workers.reward import (
    Callbacks,
    EmbeddingConfig,
    Pair,
    StarterConfig,
    evaluate,
    open_reward_model,
    train,
)
from workers.reward.crossval import fold_of_groups
from workers.reward.files import split_pairs
from workers.reward.transformer.batches import collate, encode_pairs, pad
from workers.reward.transformer.build import build_model
from workers.reward.transformer.inference import score_rows
from workers.reward.transformer.losses import (
    aspect_regression,
    bradley_terry,
    centering,
    log_barrier,
    rao_kupper,
)
from workers.reward.transformer.packed import layout_of, scores_of, use_trees
from workers.reward.transformer.pooling import head_of, reward_scores
from workers.reward.transformer.template import DECODER_TEMPLATE, ConversationEncoder, Encoded

from .builders import items, planted_pairs, prompt
from .families import language_model, reloaded, scores_by_transformers
from .transformers_small import CALM, ENCODER, TINY, tiny_model

PAIRS = planted_pairs(48, groups=16, validation=0.25)
TEXTS = [
    "the law",
    "money time house people",
    "water " * 20,
    "a",
    "because the evidence shows careful reasons",
    "",
]
STARTER = StarterConfig(hash_bits=12, heads=2)
EMBEDDING = EmbeddingConfig(heads=2, device="cpu", max_length=128)
KINDS = {
    "starter": ("starter", STARTER),
    "embedding": ("embedding", EMBEDDING),
    "decoder": ("transformer", dataclasses.replace(TINY, max_steps=6)),
    "encoder": ("transformer", dataclasses.replace(ENCODER, max_steps=6)),
}
TRANSFORMERS = ("decoder", "encoder")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A trained model of every kind."""
    root = tmp_path_factory.mktemp("models")
    for name, (kind, config) in KINDS.items():
        train(kind, PAIRS, config, root / name, cache_dir=root / "cache")
    return root


def rescored(folder, texts=TEXTS):
    return open_reward_model(folder).score(items(texts)).value


def rendered(tokenizer, text):
    turns = [{"role": "user", "content": "Question?"}, {"role": "assistant", "content": text}]
    return tokenizer.apply_chat_template(turns, tokenize=False)


def alone(model, rows):
    return torch.cat([reward_scores(model, *pad([row], 0)) for row in rows])


def rows_for(config):
    """An untrained model, its tokenizer and the token ids of ``TEXTS``."""
    model, tokenizer = tiny_model(config)
    encoder = ConversationEncoder(tokenizer, 100)
    return model, tokenizer, [encoder.encode(prompt("why?"), text).ids for text in TEXTS]


def test_head_lost_under_lora(tmp_path):
    base = language_model("Qwen2", tmp_path / "base")
    config = dataclasses.replace(CALM, base=str(base), lora_rank=4, learning_rate=0.02, epochs=2)
    train("transformer", PAIRS, config, tmp_path / "m")
    trained = reloaded(tmp_path / "m")
    start = build_model(config, str(base), AutoTokenizer.from_pretrained(base))
    assert not torch.equal(head_of(trained).weight, head_of(start).weight)
    ours = rescored(tmp_path / "m")
    np.testing.assert_allclose(scores_by_transformers(trained, tmp_path / "m", TEXTS), ours, atol=1e-4)
    again = dataclasses.replace(config, base=str(tmp_path / "m"), max_steps=1, learning_rate=1e-12)
    train("transformer", PAIRS, again, tmp_path / "again")
    np.testing.assert_allclose(rescored(tmp_path / "again"), ours, atol=1e-4)


@torch.no_grad()
def test_pad_equals_eos_pooling_the_wrong_token(tmp_path):
    model, tokenizer, rows = rows_for(TINY)
    by_end = reward_scores(model, *pad(rows, tokenizer.eos_token_id))
    torch.testing.assert_close(by_end, alone(model, rows), atol=1e-5, rtol=1e-5)
    with torch.enable_grad():  # a base where they are one gets a padding token of its own, so others agree
        model.save_pretrained(tmp_path / "base")
        tokenizer.pad_token = tokenizer.eos_token
        tokenizer.save_pretrained(tmp_path / "base")
        train(
            "transformer",
            PAIRS,
            dataclasses.replace(TINY, base=str(tmp_path / "base"), max_steps=2),
            tmp_path / "m",
        )
    saved = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert saved.pad_token_id == AutoConfig.from_pretrained(tmp_path / "m").pad_token_id != saved.eos_token_id
    theirs = scores_by_transformers(reloaded(tmp_path / "m"), tmp_path / "m", TEXTS)
    np.testing.assert_allclose(theirs, rescored(tmp_path / "m"), atol=1e-4)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_pooling_parity_train_batch_server(folders, kind):
    """Scores as training reads them, as a batch is scored, and as transformers' own forms of a server give them."""
    scorer = open_reward_model(folders / kind)
    batch = scorer.score(items(TEXTS)).value
    pairs = [Pair(text, prompt("Question?"), text, "the other") for text in TEXTS]
    rows, _ = encode_pairs(pairs, scorer.encoder, 1.0)
    plain = reloaded(folders / kind)
    for layout, model in {layout_of(scorer.model): scorer.model, "padded": plain}.items():
        made = collate(rows, layout, scorer.pad_id)
        with torch.no_grad():
            training = scores_of(model, made.rows)[made.chosen]
        np.testing.assert_allclose(training, batch, atol=1e-4)
    server = scores_by_transformers(plain, folders / kind, TEXTS)
    np.testing.assert_allclose(server, batch, atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(folders / kind)
    served = pipeline("text-classification", model=str(folders / kind), tokenizer=tokenizer, device="cpu")
    texts = [rendered(tokenizer, text) for text in TEXTS]
    answers = served(texts, function_to_apply="none", batch_size=3, add_special_tokens=False)
    np.testing.assert_allclose([answer["score"] for answer in answers], batch, atol=1e-4)


@torch.no_grad()
def test_padding_side(folders):
    model, tokenizer, rows = rows_for(TINY)
    right = reward_scores(model, *pad(rows, tokenizer.pad_token_id))
    left = reward_scores(model, *pad(rows, tokenizer.pad_token_id, left=True))
    torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)
    server = reloaded(folders / "decoder")
    tokenizer = AutoTokenizer.from_pretrained(folders / "decoder")
    texts = [rendered(tokenizer, text) for text in TEXTS]
    for side in ("left", "right"):
        tokenizer.padding_side = side
        found = server(**tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")).logits
        np.testing.assert_allclose(found[:, 0], rescored(folders / "decoder"), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_size_invariance(folders, kind):
    scorer = open_reward_model(folders / kind)
    single = np.concatenate([scorer.score(items([text])).value for text in TEXTS])
    together = scorer.score(items([f"{text} {i}" for i in range(58) for text in TEXTS[:1]] + TEXTS)).value
    np.testing.assert_allclose(together[58:], single, atol=1e-4)


@pytest.mark.parametrize("config", [TINY, ENCODER], ids=TRANSFORMERS)
def test_doubled_or_missing_bos(config):
    tokenizer = tiny_model(config)[1]
    if config is TINY:  # one whose template and whose own rules both want to begin with it
        tokenizer.add_special_tokens({"bos_token": "<s>"})
        tokenizer.chat_template = DECODER_TEMPLATE
    first = tokenizer.bos_token_id if config is TINY else tokenizer.cls_token_id
    ids = ConversationEncoder(tokenizer, 500).encode(prompt("the people"), "the law").ids
    assert ids[0] == first
    assert ids.count(first) == 1
    special = set(tokenizer.all_special_ids)
    assert not any(a == b and a in special for a, b in itertools.pairwise(ids))


@pytest.mark.parametrize("config", [TINY, ENCODER], ids=TRANSFORMERS)
def test_seed_then_head_init(config):
    tokenizer = tiny_model(config)[1]

    def head(**fields):
        built = build_model(dataclasses.replace(config, **fields), config.base, tokenizer)
        return next(part for part in head_of(built).modules() if isinstance(part, torch.nn.Linear)).weight

    torch.manual_seed(99)
    one = head()
    torch.rand(1000)
    assert torch.equal(one, head())
    assert not torch.equal(one, head(seed=1))
    assert head(tiny_hidden=256).std().item() == pytest.approx(257**-0.5, rel=0.15)  # N(0, 1/(H+1))


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_continue_without_reinit(folders, kind, tmp_path):
    folder = folders / kind
    config = dataclasses.replace(KINDS[kind][1], base=str(folder))
    again = build_model(config, str(folder), AutoTokenizer.from_pretrained(folder))
    kept = dict(reloaded(folder).named_parameters())
    assert all(torch.equal(weight, kept[name]) for name, weight in again.named_parameters())
    train("transformer", PAIRS, dataclasses.replace(config, max_steps=1, learning_rate=1e-12), tmp_path / "m")
    np.testing.assert_allclose(rescored(folder), rescored(tmp_path / "m"), atol=1e-5)


@pytest.mark.parametrize("kind", [*TRANSFORMERS, "base"])
def test_num_labels_in_config(folders, kind, tmp_path):
    folder = folders / kind
    if kind == "base":  # a language model's configuration says two, unless told otherwise
        base, folder = language_model("Llama", tmp_path / "base"), tmp_path / "m"
        assert AutoConfig.from_pretrained(base).num_labels == 2
        train("transformer", PAIRS, dataclasses.replace(TINY, base=str(base), max_steps=1), folder)
    assert AutoConfig.from_pretrained(folder).num_labels == 1
    assert list(json.loads((folder / "config.json").read_text())["id2label"]) == ["0"]
    _, told = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["mismatched_keys"]


@pytest.mark.parametrize("kind", KINDS)
def test_swapping_chosen_and_rejected_turns_accuracy_a_into_one_minus_a(folders, kind):
    rng = np.random.default_rng(0)
    pairs = [
        dataclasses.replace(p, p_chosen=float(rng.choice([0.5, 0.7, 1.0]))) for p in planted_pairs(60, seed=9)
    ]
    a, b = (rescored(folders / kind, [getattr(p, side) for p in pairs]) for side in ("chosen", "rejected"))
    a, b = np.round(a, 1), np.round(b, 1)  # so that some are equal
    straight, turned = evaluate(a, b, pairs), evaluate(b, a, pairs)
    assert straight.ties == turned.ties > 0
    assert straight.accuracy.value + turned.accuracy.value == pytest.approx(1.0)
    flipped = [dataclasses.replace(p, p_chosen=1 - p.p_chosen) for p in pairs]
    assert evaluate(a, b, flipped).accuracy.value == pytest.approx(turned.accuracy.value)


def test_margin_shape():
    flat, tall = torch.tensor([1.0, 2.0]), torch.tensor([[1.0], [2.0]])
    assert bradley_terry(flat, flat, flat).shape == (2,)
    with pytest.raises(ValueError, match=r"margin must have shape \(2,\), got \(2, 1\)"):
        bradley_terry(flat, tall, flat)
    with pytest.raises(ValueError, match="delta"):
        bradley_terry(tall, flat, flat)
    with pytest.raises(ValueError, match="p_chosen"):
        bradley_terry(flat, flat, tall)
    with pytest.raises(ValueError, match="p_tie"):
        rao_kupper(flat, flat, flat, tall, torch.tensor(0.5))
    with pytest.raises(ValueError, match="log_threshold"):
        rao_kupper(flat, flat, flat, flat, torch.tensor([0.5]))
    with pytest.raises(ValueError, match="rejected"):
        centering(flat, tall)
    with pytest.raises(ValueError, match="score"):
        log_barrier(tall, 5.0)
    with pytest.raises(ValueError, match="ratings"):
        aspect_regression(tall, flat)
    with pytest.raises(ValueError, match="predicted"):
        aspect_regression(flat, flat)
    with pytest.raises(ValueError, match=r"delta must have shape \(1,\)"):
        bradley_terry(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_overlong_pairs_counted(kind, tmp_path):
    name, config = KINDS[kind]
    if kind == "starter":
        config = dataclasses.replace(config, max_chars=1000)
    long = dataclasses.replace(PAIRS[-1], pair_id="long", rejected="money " * 300)
    result = train(name, [*PAIRS, long], config, tmp_path / "m", cache_dir=tmp_path / "cache")
    assert result.counts["overlong"] == 1
    assert result.counts["train"] == 37  # and it is trained on
    assert open_reward_model(tmp_path / "m").score(items([long.rejected])).truncated.tolist() == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_no_leakage_between_splits(folders, kind, tmp_path):
    """No prompt or group stands in two splits, and what is held out changes no weight."""
    pairs = planted_pairs(200, groups=40)
    parts = list(split_pairs(pairs, validation=0.2, test=0.2))
    for key in ("group_key", "prompt_key"):
        seen = [{getattr(p, key) for p in parts if p.split == s} for s in ("train", "validation", "test")]
        assert all(seen)
        assert sum(map(len, seen)) == len(set.union(*seen))
    assert len(set(fold_of_groups(pairs, 5))) == 40
    name, config = KINDS[kind]
    poison = [dataclasses.replace(p, chosen=p.rejected, rejected=p.chosen, split="test") for p in PAIRS]
    result = train(name, [*PAIRS, *poison], config, tmp_path / "m", cache_dir=tmp_path / "cache")
    assert result.counts["test_ignored"] == 48
    np.testing.assert_array_equal(rescored(tmp_path / "m"), rescored(folders / kind))


@pytest.mark.parametrize("kind", KINDS)
def test_raw_score_served_not_a_sigmoid(folders, kind):
    scores = open_reward_model(folders / kind).score(
        items([t for p in PAIRS for t in (p.chosen, p.rejected)])
    )
    assert scores.value.dtype == np.float32
    assert ((scores.value < 0.0) | (scores.value > 1.0)).any()
    if kind in TRANSFORMERS:  # whoever serves the folder reads in it that nothing is to be squeezed
        assert AutoConfig.from_pretrained(folders / kind).problem_type == "regression"
        tokenizer = AutoTokenizer.from_pretrained(folders / kind)
        served = pipeline("text-classification", model=str(folders / kind), tokenizer=tokenizer, device="cpu")
        answers = served([rendered(tokenizer, p.chosen) for p in PAIRS], add_special_tokens=False)
        np.testing.assert_allclose([answer["score"] for answer in answers], scores.value[::2], atol=1e-4)


def test_equal_scores_count_as_half():
    pairs = [dataclasses.replace(p, pair_id=str(i)) for i, p in enumerate(PAIRS[:5])]
    pairs[4] = dataclasses.replace(pairs[4], p_chosen=0.5)
    found = evaluate([1.0, 0.0, 2.0, 5.0, 9.0], [0.0, 1.0, 2.0, 1.0, 0.0], pairs)
    assert found.accuracy.value == pytest.approx(2.5 / 4)
    assert (found.n, found.ties, found.equal_scores) == (4, 1, 1)
    assert found.mean_margin == pytest.approx((1 - 1 + 0 + 4) / 4)


@pytest.mark.parametrize(
    ("settings", "bound"),
    [({"centering": 0.01}, 6.5), ({"centering": 0.0, "barrier": 0.01, "barrier_limit": 3.0}, 3.0)],
    ids=["centering", "barrier"],
)
def test_scores_bounded_over_long_training(settings, bound, tmp_path):
    """Pairs that are easy to tell apart, for ever: the ranking term alone drives their scores to 7.8, and their mean
    to 0.24, in as many steps."""
    pairs = [dataclasses.replace(p, split="train") for p in planted_pairs(24)]
    config = dataclasses.replace(
        CALM, epochs=100, max_steps=150, learning_rate=1e-2, batch_tokens=4096, checkpoint_every=1000,
        log_every=50, **settings,
    )  # fmt: skip
    train("transformer", pairs, config, tmp_path / "m")
    scores = rescored(tmp_path / "m", [text for p in pairs for text in (p.chosen, p.rejected)])
    assert np.abs(scores).max() < bound
    assert abs(scores.mean()) < 0.05
    assert (scores[::2] > scores[1::2]).all()


def test_starter_scores_bounded_over_long_training(tmp_path):
    """A convex loss with a penalty has one least place: the same pairs a hundred times over move it a little. With
    hardly a penalty (C = 1e6) the scores would be 33."""
    many = [dataclasses.replace(p, pair_id=f"{p.pair_id}-{i}") for i in range(100) for p in PAIRS]
    train("starter", many, STARTER, tmp_path / "m")
    assert np.abs(rescored(tmp_path / "m", [p.chosen for p in PAIRS])).max() < 15.0


class LiveNumbers(Callbacks):
    """Numbers in tensors that were made since the start and are alive after each batch."""

    def __init__(self) -> None:
        self.counted: list[int] = []
        gc.collect()
        gc.freeze()

    def progress(self, done: int, total: int, message: str) -> None:
        gc.collect()
        self.counted.append(sum(t.numel() for t in gc.get_objects() if type(t) is torch.Tensor))


@pytest.mark.parametrize(
    ("config", "layout"),
    [(TINY, "tree"), (TINY, "padded"), (ENCODER, "padded")],
    ids=["packed", "decoder", "encoder"],
)
def test_evaluation_keeps_scalars_never_logits_in_memory(config, layout):
    """Sixteen batches of 25 equally long rows: the last finds no more numbers in memory than the first."""
    model, tokenizer = tiny_model(config)
    if layout == "tree":
        assert use_trees(model, 64) == ""
    rng = random.Random(0)
    drawn = [tuple(rng.randrange(len(tokenizer)) for _ in range(20)) for _ in range(400)]
    rows = [Encoded(ids, len(ids), 0) for ids in drawn]
    told = LiveNumbers()
    try:
        score_rows(model, rows, tokenizer.pad_token_id, 500, callbacks=told)
    finally:
        gc.unfreeze()
    assert len(told.counted) == 16
    assert 0 < told.counted[0] < 8 * 500  # one batch's ids, mask and states' ends
    assert max(told.counted) - told.counted[0] < 25  # not even its scores


def test_evaluation_of_pairs_keeps_scalars_never_texts_in_memory():
    def pairs():
        for i in range(300):
            yield Pair(str(i), prompt(f"question {i}"), "x" * 100_000, "y" * 100_000)

    evaluate([1.0], [0.0], [Pair("0", prompt("q"), "a", "b")])  # what is imported once does not count
    tracemalloc.start()
    found = evaluate(np.ones(300), np.zeros(300), pairs(), resamples=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.n == 300
    assert peak < 5_000_000  # of 60 MB of text
