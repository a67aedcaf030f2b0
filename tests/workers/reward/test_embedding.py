"""A head on frozen states: learns, keeps states between trainings, and its folder gives others equal scores."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from workers.reward import (
    Callbacks,
    ConfigError,
    CorruptModelError,
    EmbeddingConfig,
    Stopped,
    open_reward_model,
    pair_probability,
    train,
)
from workers.reward.embedding import embed
from workers.reward.embedding.cache import EmbeddingCache
from workers.reward.embedding.embed import find_backbone
from workers.reward.embedding.train import scaled_design
from workers.reward.folder import MODEL_CARD, seal, write_json
from workers.reward.transformer.heads import HEADS

from .builders import items, planted_pairs, prompt
from .transformers_small import ENCODER, TINY, tiny_model

PAIRS = planted_pairs(160, groups=16, validation=0.25)
TEXTS = ["because the evidence", "lol dunno whatever " * 4, "the law", ""]
KINDS = ("decoder", "encoder")


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """A folder with a random decoder's backbone, and one with a random encoder's."""
    folders = {}
    for kind, config in zip(KINDS, (TINY, ENCODER), strict=True):
        model, tokenizer = tiny_model(config)
        with torch.no_grad():  # as transformers draws them, single states would hardly tell texts apart
            for weight in (p for p in model.parameters() if p.ndim > 1):
                weight.mul_(6.0)
        folders[kind] = tmp_path_factory.mktemp("base") / kind
        getattr(model, model.base_model_prefix).save_pretrained(folders[kind])
        tokenizer.save_pretrained(folders[kind])
    return folders


@pytest.fixture
def config(bases):
    return EmbeddingConfig(
        base=str(bases["decoder"]), heads=4, folds=3, regularisation=(0.03, 0.3), device="cpu", max_length=128
    )


def margins(scorer, pairs):
    a, b = (scorer.score(items([getattr(p, side) for p in pairs])).value for side in ("chosen", "rejected"))
    return a - b


class Watch(Callbacks):
    """Counts the rows that were computed; asks to stop after so many batches."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.batches, self.stop_after = 0, stop_after

    def progress(self, done: int, total: int, message: str) -> None:
        self.batches += message == "embed"

    def should_stop(self) -> bool:
        return self.batches >= self.stop_after


@pytest.mark.parametrize(
    ("kind", "pool", "resolved", "least"),  # a single state of a random encoder knows little of its text
    [
        ("decoder", "auto", "last", 0.75),
        ("decoder", "mean", "mean", 0.75),
        ("encoder", "auto", "mean", 0.75),
        ("encoder", "first", "first", 0.6),
        ("encoder", "last", "last", 0.6),
        ("encoder", "pooler", "pooler", 0.6),
    ],
)
def test_it_learns_planted_words_with_every_pooling(bases, config, tmp_path, kind, pool, resolved, least):
    settings = dataclasses.replace(config, base=str(bases[kind]), pool=pool)
    result = train("embedding", PAIRS, settings, tmp_path / "m", cache_dir=tmp_path / "cache")
    scorer = open_reward_model(tmp_path / "m")
    card = json.loads((tmp_path / "m" / "chosen_model.json").read_text())
    assert (scorer.kind, card["pool"]) == ("embedding", resolved)
    assert (card["layout"] == "tree") is (resolved == "last" and kind == "decoder")
    assert (margins(scorer, planted_pairs(60, seed=9)) > 0).mean() > least
    assert result.metrics["validation_accuracy"] > least
    assert result.metrics["cv_accuracy"] > least
    assert result.counts["train"] == 120
    assert card["calibration"]["on"] == "half of the validation groups"
    scores = scorer.score(items(TEXTS))
    assert scores.heads.shape == (4, 4)
    np.testing.assert_allclose(scores.heads.mean(axis=1), scores.value, atol=1e-4)
    mean, std = pair_probability(scores.heads[0], scores.heads[1], scorer.temperature)
    assert 0.0 < mean < 1.0
    assert std > 0


@pytest.mark.parametrize(("kind", "pool"), [("decoder", "last"), ("encoder", "pooler")])
def test_the_folder_is_a_plain_classifier_that_gives_equal_scores(bases, config, tmp_path, kind, pool):
    settings = dataclasses.replace(config, base=str(bases[kind]), pool=pool)
    train("embedding", PAIRS, settings, tmp_path / "m", cache_dir=tmp_path / "cache")
    scorer = open_reward_model(tmp_path / "m")
    assert [path.name for path in (tmp_path / "m").glob("*.safetensors")] == ["model.safetensors"]
    model, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "m", output_loading_info=True)
    assert not info["missing_keys"] | info["unexpected_keys"]
    assert model.config.num_labels == 1
    assert model.config.problem_type == "regression"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    for text, ours in zip(TEXTS, scorer.score(items(TEXTS)).value, strict=True):
        turns = [{"role": "user", "content": "Question?"}, {"role": "assistant", "content": text}]
        rendered = tokenizer.apply_chat_template(turns, tokenize=False)
        inputs = tokenizer(rendered, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            assert model.eval()(**inputs).logits.item() == pytest.approx(float(ours), abs=1e-4)


def test_a_folder_whose_scores_no_classifier_would_give_holds_the_backbone_alone(config, tmp_path):
    settings = dataclasses.replace(config, pool="mean")
    train("embedding", PAIRS, settings, tmp_path / "m", cache_dir=tmp_path / "cache")
    assert not any("score" in name for name in load_file(tmp_path / "m" / "model.safetensors"))
    backbone, info = AutoModel.from_pretrained(tmp_path / "m", output_loading_info=True)
    assert not info["missing_keys"] | info["unexpected_keys"]
    scorer = open_reward_model(tmp_path / "m")
    ids = torch.tensor([scorer.backbone.encoder.encode(prompt("Question?"), TEXTS[0]).ids])
    with torch.no_grad():
        mean = backbone.eval()(ids).last_hidden_state[0].mean(dim=0)
    by_hand = float(mean @ load_file(tmp_path / "m" / HEADS)["weight"].mean(dim=0))
    assert scorer.score(items(TEXTS)).value[0] == pytest.approx(by_hand, abs=1e-4)


def test_retraining_computes_the_states_of_new_texts_alone(config, tmp_path):
    cache = tmp_path / "cache"
    first = train("embedding", PAIRS, config, tmp_path / "a", cache_dir=cache)
    assert (first.counts["cached"], first.counts["embedded"]) == (0, first.counts["responses"])
    again = train("embedding", PAIRS, config, tmp_path / "b", cache_dir=cache)
    assert (again.counts["cached"], again.counts["embedded"]) == (first.counts["responses"], 0)
    assert (tmp_path / "a" / HEADS).read_bytes() == (tmp_path / "b" / HEADS).read_bytes()
    new = planted_pairs(3, seed=77, groups=16)
    more = train("embedding", PAIRS + new, config, tmp_path / "c", cache_dir=cache)
    assert (more.counts["cached"], more.counts["embedded"]) == (first.counts["responses"], 6)
    other = dataclasses.replace(config, pool="mean")
    assert train("embedding", PAIRS, other, tmp_path / "d", cache_dir=cache).counts["cached"] == 0
    shorter = dataclasses.replace(config, max_length=64)
    assert train("embedding", PAIRS, shorter, tmp_path / "e", cache_dir=cache).counts["cached"] == 0


def test_a_scorer_finds_the_states_of_its_training_and_keeps_new_ones(config, tmp_path, monkeypatch):
    train("embedding", PAIRS, config, tmp_path / "m", cache_dir=tmp_path / "cache")
    same = [p for p in PAIRS if p.group == "g1"]
    known = [dataclasses.replace(i, messages=same[0].messages) for i in items([p.chosen for p in same])]
    plain = open_reward_model(tmp_path / "m").score(known + items(TEXTS)).value
    scorer = open_reward_model(tmp_path / "m", cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(scorer.score(known + items(TEXTS)).value, plain, atol=1e-5)
    assert scorer.backbone.counts == {"cached": len({i.response for i in known}), "embedded": 4}
    monkeypatch.setattr(embed.Backbone, "_compute", None)  # nothing is left to compute
    np.testing.assert_allclose(scorer.score(known + items(TEXTS)).value, plain, atol=1e-5)


def test_a_stopped_run_keeps_what_it_computed(config, tmp_path):
    small = dataclasses.replace(config, batch_tokens=128)
    with pytest.raises(Stopped):
        train("embedding", PAIRS, small, tmp_path / "m", cache_dir=tmp_path / "c", callbacks=Watch(5))
    assert not (tmp_path / "m").exists()
    result = train("embedding", PAIRS, small, tmp_path / "m", cache_dir=tmp_path / "c")
    assert result.counts["cached"] > 0
    whole = train("embedding", PAIRS, small, tmp_path / "w", cache_dir=tmp_path / "none")
    assert whole.counts["cached"] == 0
    assert result.metrics == pytest.approx(whole.metrics, abs=1e-4)


def test_packed_padded_and_single_rows_have_equal_states(config):
    backbone = find_backbone(config, PAIRS)
    assert backbone.padded_because == ""
    rows = [backbone.read(p.messages, p.chosen) for p in PAIRS[:20]]
    packed = backbone.states(rows, None)
    alone = np.concatenate([backbone.states([row], None) for row in rows])
    np.testing.assert_allclose(packed, alone, atol=1e-5)
    with torch.no_grad():
        model = AutoModel.from_pretrained(config.base).eval()
        theirs = model(torch.tensor([rows[0].ids])).last_hidden_state[0, -1].numpy()
    np.testing.assert_allclose(packed[0], theirs, atol=1e-4)


def test_the_mean_state_counts_no_padding(bases, config):
    for kind in KINDS:
        backbone = find_backbone(dataclasses.replace(config, base=str(bases[kind]), pool="mean"), PAIRS)
        rows = [backbone.read(prompt("Q?"), text) for text in ("the", "the law " * 20)]
        np.testing.assert_allclose(
            backbone.states(rows, None)[0], backbone.states(rows[:1], None)[0], atol=1e-5
        )


def test_scores_have_mean_zero_over_the_training_texts_whatever_the_states_offset():
    rng = np.random.default_rng(0)
    states = (rng.normal(size=(50, 8)) * rng.uniform(0.1, 30, 8) + rng.normal(size=8) * 40).astype(np.float32)
    states[:, 3] = 7.0  # a column that says nothing
    design = scaled_design(states, np.arange(50))
    np.testing.assert_allclose((design.rows**2).sum(axis=1).mean(), 1.0, atol=0.35)
    w = rng.normal(size=8)
    restored = design.restore(w)
    assert abs(restored[3]) <= np.abs(w[3]) / (0.01 * 7.0 * 8**0.5)
    scores = states.astype(np.float64) @ restored
    assert abs(scores.mean()) < 1e-9 * np.abs(restored).max() * 40 * 50
    np.testing.assert_allclose(scores - scores[0], design.rows @ w - design.rows[0] @ w, atol=1e-6)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_heads(config, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        settings = dataclasses.replace(config, seed=seed)
        train("embedding", PAIRS, settings, tmp_path / name, cache_dir=tmp_path / "cache")
    a, b, c = ((tmp_path / name / HEADS).read_bytes() for name in "abc")
    assert a == b != c


def test_one_head_is_the_fit_itself(config, tmp_path):
    one = dataclasses.replace(config, heads=1)
    train("embedding", PAIRS, one, tmp_path / "m", cache_dir=tmp_path / "cache")
    scores = open_reward_model(tmp_path / "m").score(items(TEXTS))
    np.testing.assert_array_equal(scores.heads[:, 0], scores.value)


@pytest.mark.parametrize(("kind", "pool"), [("decoder", "last"), ("encoder", "pooler"), ("decoder", "mean")])
def test_a_transformer_goes_on_from_the_heads_unless_they_read_other_states(
    bases, config, tmp_path, kind, pool
):
    settings = dataclasses.replace(config, base=str(bases[kind]), pool=pool)
    train("embedding", PAIRS, settings, tmp_path / "m", cache_dir=tmp_path / "cache")
    still = dataclasses.replace(
        TINY, base=str(tmp_path / "m"), heads=4, max_steps=1, learning_rate=1e-12, weight_decay=0.0
    )
    train("transformer", PAIRS, still, tmp_path / "t")
    before, after = (load_file(tmp_path / name / HEADS)["weight"] for name in "mt")
    assert torch.allclose(before, after, atol=1e-6) is (pool != "mean")
    if pool != "mean":
        ours, theirs = (open_reward_model(tmp_path / name).score(items(TEXTS)).heads for name in "tm")
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "pool", "words"),
    [
        ("decoder", "first", "a decoder's first token has seen nothing"),
        ("decoder", "pooler", "a decoder has no pooler"),
    ],
)
def test_poolings_that_read_nothing_are_refused(bases, config, tmp_path, kind, pool, words):
    settings = dataclasses.replace(config, base=str(bases[kind]), pool=pool)
    with pytest.raises(ConfigError, match=words):
        train("embedding", PAIRS, settings, tmp_path / "m", cache_dir=tmp_path / "cache")


def test_a_pooler_that_the_base_has_no_weights_for_is_refused(bases, config, tmp_path):
    from transformers import BertModel

    bare = tmp_path / "bare"
    BertModel.from_pretrained(bases["encoder"], add_pooling_layer=False).save_pretrained(bare)
    AutoTokenizer.from_pretrained(bases["encoder"]).save_pretrained(bare)
    settings = dataclasses.replace(config, base=str(bare), pool="pooler")
    with pytest.raises(ConfigError, match="the base has no weights for it"):
        train("embedding", PAIRS, settings, tmp_path / "m", cache_dir=tmp_path / "cache")
    auto = dataclasses.replace(settings, pool="auto")
    train("embedding", PAIRS, auto, tmp_path / "m", cache_dir=tmp_path / "cache")
    assert open_reward_model(tmp_path / "m").backbone.pool == "mean"


def test_a_model_of_another_device_opens_on_the_one_that_is_here(config, tmp_path):
    folder = tmp_path / "m"
    train("embedding", PAIRS, config, folder, cache_dir=tmp_path / "cache")
    before = margins(open_reward_model(folder), PAIRS)
    card = json.loads((folder / MODEL_CARD).read_text())
    card["config"]["device"] = "cuda:7"
    write_json(folder / MODEL_CARD, card)
    seal(folder)
    np.testing.assert_array_equal(margins(open_reward_model(folder), PAIRS), before)


@pytest.mark.parametrize("damage", ["missing", "narrow", "nan"])
def test_heads_that_do_not_fit_are_refused(config, tmp_path, damage):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "m"
    train("embedding", PAIRS, config, folder, cache_dir=tmp_path / "cache")
    weight = load_file(folder / HEADS)["weight"]
    if damage == "missing":
        shutil.rmtree(folder / "heads")
    else:
        save_file({"weight": weight[:, :3].copy() if damage == "narrow" else weight * np.nan}, folder / HEADS)
    seal(folder)
    with pytest.raises(CorruptModelError, match="heads"):
        open_reward_model(folder)


@pytest.mark.parametrize("base", ["tiny", "tiny-encoder"])
def test_a_small_backbone_is_built_where_none_is_named(tmp_path, base):
    result = train(
        "embedding",
        PAIRS,
        EmbeddingConfig(base=base, heads=2, max_length=64),
        tmp_path / "m",
        cache_dir=tmp_path,
    )
    assert (margins(open_reward_model(result.path), planted_pairs(40, seed=9)) > 0).mean() > 0.8


def test_the_cache_is_where_the_environment_says(config, tmp_path, monkeypatch):
    monkeypatch.setenv("CHOSEN_EMBEDDING_CACHE", str(tmp_path / "kept"))
    train("embedding", PAIRS, config, tmp_path / "m")
    assert (tmp_path / "kept" / "embeddings.sqlite3").is_file()
    backbone = find_backbone(config, PAIRS)
    row = backbone.read(PAIRS[0].messages, PAIRS[0].chosen).ids
    assert row in EmbeddingCache(tmp_path / "kept", backbone.space).get([row])
