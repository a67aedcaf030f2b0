"""K heads on one pass: independent heads in gradient, in data and in start, and their mean in every plain folder."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from workers.reward import ConfigError, CorruptModelError, open_reward_model, pair_probability, train
from workers.reward.draws import pair_draws, poisson_draws
from workers.reward.folder import seal
from workers.reward.transformer.batches import EncodedPair, collate
from workers.reward.transformer.heads import HEADS, make_heads, start_heads
from workers.reward.transformer.objective import Objective
from workers.reward.transformer.packed import layout_of, read_rows, use_trees
from workers.reward.transformer.pooling import own_layer, state_width
from workers.reward.transformer.template import Encoded

from .builders import items, planted_pairs, prompt
from .test_transformer import Recorder
from .transformers_small import CALM, ENCODER, TINY, tiny_model

PAIRS = planted_pairs(64, validation=0.25)
FOUR = dataclasses.replace(TINY, heads=4)
TEXTS = ["because the evidence", "lol dunno whatever", "the law", ""]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "model"
    return folder, train("transformer", PAIRS, FOUR, folder)


def encoded_pairs(count: int, heads: int) -> list[EncodedPair]:
    rng = np.random.default_rng(5)
    rows = [
        (Encoded((7, 8, *rng.integers(20, 60, 5 + i).tolist()), 9, 2), Encoded((7, 8, 30 + i, 31), 4, 2))
        for i in range(count)
    ]
    draws = rng.poisson(1.0, (count, heads)).astype(float)
    return [
        EncodedPair(a, b, 0.2, 0.9, 1.0 + i, draws=tuple(draws[i].tolist())) for i, (a, b) in enumerate(rows)
    ]


@pytest.mark.parametrize("base", ["tiny", "tiny-encoder"])
@pytest.mark.parametrize("layout", ["tree", "padded"])
def test_gradients_of_k_heads_are_those_of_k_losses_of_one_head(base, layout):
    config = dataclasses.replace(CALM, base=base, heads=3, barrier=0.01, focal=2.0)
    model, tokenizer = tiny_model(config)
    if layout == "tree" and base == "tiny":
        assert use_trees(model, 64) == ""
    pairs = encoded_pairs(6, 3)
    objective = Objective(config, state_width(model))
    objective.ensemble(model, None)
    batch = collate(pairs, layout_of(model), tokenizer.pad_token_id)

    def gradients(loss: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = nn.ModuleDict({"model": model, "objective": objective})
        parts.zero_grad()
        loss.backward()
        return {name: p.grad.clone() for name, p in parts.named_parameters() if p.grad is not None}

    scores, states = read_rows(model, batch.rows)
    heads = objective.head_scores(scores, states)
    assert heads.shape == (12, 3)
    together = gradients(objective(heads[batch.chosen], heads[batch.rejected], batch.labels)["total"])

    scores, states = read_rows(model, batch.rows)
    single, apart = Objective(dataclasses.replace(config, heads=1), state_width(model)), 0.0
    for k in range(3):
        one = states @ objective.heads.weight[k] + (
            0 if objective.heads.bias is None else objective.heads.bias[k]
        )
        labels = dataclasses.replace(
            batch.labels, weight=batch.labels.weight * batch.labels.draws[:, k], draws=torch.ones(6, 1)
        )
        apart = apart + single(one[batch.chosen], one[batch.rejected], labels)["total"] / 3
    separate = gradients(apart)
    assert together.keys() == separate.keys()
    assert not any(name.endswith(("score.weight", "classifier.weight")) for name in together)
    for name, value in together.items():
        torch.testing.assert_close(value, separate[name], atol=1e-6, rtol=1e-4)


def test_a_score_is_the_mean_of_the_heads_and_the_plain_folder_gives_it(finished):
    folder, result = finished
    scorer = open_reward_model(folder)
    scores = scorer.score(items(TEXTS))
    assert scores.heads.shape == (4, 4)
    assert scores.heads.dtype == np.float32
    np.testing.assert_allclose(scores.heads.mean(axis=1), scores.value, atol=1e-5)
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]
    heads, plain = load_file(folder / HEADS), load_file(folder / "model.safetensors")
    torch.testing.assert_close(heads["weight"].mean(dim=0, keepdim=True), plain["score.weight"])
    model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] | info["unexpected_keys"]
    for text, ours in zip(TEXTS, scores.value, strict=True):
        ids = scorer.encoder.encode(prompt("Question?"), text).ids
        with torch.no_grad():
            assert model.eval()(torch.tensor([ids])).logits.item() == pytest.approx(float(ours), abs=1e-5)
    assert json.loads((folder / "chosen_model.json").read_text())["heads"] == 4
    assert result.metrics["validation_accuracy"] > 0.9


def test_an_ensemble_gives_a_probability_and_its_deviation(finished):
    scorer = open_reward_model(finished[0])
    good, bad = (
        scorer.score(items([getattr(p, side) for p in PAIRS])).heads for side in ("chosen", "rejected")
    )
    mean, std = pair_probability(good, bad, scorer.temperature)
    assert mean.shape == std.shape == (64,)
    assert mean.mean() > 0.7
    assert (std > 0).all()


def test_one_head_has_no_folder_of_its_own_and_draws_every_pair_once(tmp_path):
    train("transformer", PAIRS, dataclasses.replace(TINY, max_steps=1), tmp_path / "m")
    assert not (tmp_path / "m" / "heads").exists()
    np.testing.assert_array_equal(pair_draws(PAIRS, 1, seed=3), 1.0)


@pytest.mark.parametrize("step", [2, 7])
def test_a_killed_run_resumed_ends_with_equal_heads(finished, tmp_path, step):
    with pytest.raises(KeyboardInterrupt):
        train("transformer", PAIRS, FOUR, tmp_path / "m", callbacks=Recorder(die_at=step))
    torch.manual_seed(77)
    result = train("transformer", PAIRS, FOUR, tmp_path / "m")
    for name in ("model.safetensors", HEADS):
        ours, theirs = load_file(tmp_path / "m" / name), load_file(finished[0] / name)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert result.metrics == finished[1].metrics


def test_the_encoders_heads_read_what_its_own_head_reads(tmp_path):
    config = dataclasses.replace(ENCODER, heads=3)
    train("transformer", PAIRS, config, tmp_path / "m")
    scores = open_reward_model(tmp_path / "m").score(items(TEXTS))
    assert scores.heads.shape == (4, 3)
    np.testing.assert_allclose(scores.heads.mean(axis=1), scores.value, atol=1e-5)
    assert (scores.heads.std(axis=1) > 0).all()


def test_a_head_of_several_layers_keeps_all_but_its_last_for_all():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = RobertaForSequenceClassification(RobertaConfig(vocab_size=50, num_labels=1, **sizes)).eval()
    model.has_new_head = True
    heads = make_heads(model, 5)
    with torch.no_grad():
        heads.bias.copy_(torch.arange(5.0))
        start_heads(heads, model, None, seed=1)
        heads.bias.copy_(torch.arange(5.0))
    assert own_layer(model) is model.classifier.out_proj
    assert not own_layer(model).weight.requires_grad
    assert model.classifier.dense.weight.requires_grad
    rows = collate([EncodedPair(Encoded((5, 6, 7), 3), Encoded((5, 9), 2), 0.0, 1.0, 1.0)], "padded", 1).rows
    with torch.no_grad():
        own_layer(model).bias.fill_(2.0)  # the mean of 0..4
        scores, states = read_rows(model, rows)
        torch.testing.assert_close(heads(states).mean(dim=1), scores)


def test_a_head_without_a_linear_last_layer_is_refused():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = nn.Sequential(nn.Linear(4, 8), nn.Tanh())

    with pytest.raises(ConfigError, match="the head of Odd does not end in a linear layer"):
        own_layer(Odd())


def test_new_heads_begin_apart_and_the_seed_decides_them():
    model, _ = tiny_model(FOUR)

    def started(seed: int, count: int) -> torch.Tensor:
        heads = make_heads(model, count)
        start_heads(heads, model, None, seed)
        return heads.weight.detach()

    first = started(0, 4)
    assert torch.equal(first, started(0, 4))
    assert torch.equal(first, started(0, 6)[:4])
    assert len({tuple(row.tolist()) for row in torch.cat([first, started(1, 4)])}) == 8
    assert started(0, 64).std().item() == pytest.approx(33**-0.5, rel=0.1)


def test_going_on_from_an_ensemble_keeps_its_heads_and_from_one_head_starts_all_there(finished, tmp_path):
    still = dataclasses.replace(FOUR, base=str(finished[0]), max_steps=1, learning_rate=1e-12)
    train("transformer", PAIRS, still, tmp_path / "same")
    before, after = (load_file(folder / HEADS)["weight"] for folder in (finished[0], tmp_path / "same"))
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)
    train("transformer", PAIRS, dataclasses.replace(still, heads=2), tmp_path / "other")
    mean = load_file(finished[0] / "model.safetensors")["score.weight"]
    other = load_file(tmp_path / "other" / HEADS)["weight"]
    torch.testing.assert_close(other, mean.expand(2, -1), atol=1e-6, rtol=0)
    train("transformer", PAIRS, dataclasses.replace(still, heads=1), tmp_path / "one")
    texts = items(TEXTS)
    ours, theirs = (open_reward_model(f).score(texts).value for f in (tmp_path / "one", finished[0]))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("config", [TINY, ENCODER], ids=["decoder", "encoder"])
def test_heads_train_beside_low_rank_adapters(tmp_path, config):
    model, tokenizer = tiny_model(config)
    model.base_model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    settings = dataclasses.replace(config, base=str(tmp_path / "base"), lora_rank=2, heads=3, max_steps=4)
    train("transformer", PAIRS, settings, tmp_path / "m")
    scores = open_reward_model(tmp_path / "m").score(items(TEXTS))
    np.testing.assert_allclose(scores.heads.mean(axis=1), scores.value, atol=1e-5)
    assert (scores.heads.std(axis=1) > 0).all()
    adapter = load_file(tmp_path / "m" / "adapter" / "adapter_model.safetensors")
    head = next(
        value for name, value in adapter.items() if name.endswith(("score.weight", "classifier.weight"))
    )
    torch.testing.assert_close(head[0], load_file(tmp_path / "m" / HEADS)["weight"].mean(dim=0))


@pytest.mark.parametrize("damage", ["missing", "other"])
def test_heads_that_do_not_fit_are_refused(finished, tmp_path, damage):
    folder = tmp_path / "m"
    shutil.copytree(finished[0], folder)
    if damage == "missing":
        (folder / HEADS).unlink()
    else:
        card = json.loads((folder / "chosen_model.json").read_text())
        (folder / "chosen_model.json").write_text(json.dumps(card | {"heads": 5}))
    seal(folder)
    with pytest.raises(CorruptModelError, match="the heads cannot be read"):
        open_reward_model(folder)


def test_draws_are_poisson_whole_by_group_and_a_pure_function_of_seed_head_and_group():
    keys = [f"group {i % 3000}" for i in range(6000)]
    drawn = poisson_draws(keys, 8, seed=0)
    np.testing.assert_array_equal(drawn[:3000], drawn[3000:])
    counts = np.bincount(drawn[:3000].astype(int).ravel(), minlength=4) / 24_000
    np.testing.assert_allclose(counts[:4], [0.3679, 0.3679, 0.1839, 0.0613], atol=0.012)
    np.testing.assert_array_equal(poisson_draws(keys[100:], 8, seed=0), drawn[100:])
    np.testing.assert_array_equal(poisson_draws(keys, 3, seed=0), drawn[:, :3])
    assert (poisson_draws(keys, 8, seed=1) != drawn).mean() > 0.5
    assert np.abs(np.corrcoef(drawn[:3000].T) - np.eye(8)).max() < 0.1
    # A number that must never change: checkpoints and other processes rely on it.
    assert poisson_draws(["a", "b", "c"], 4, seed=0).tolist() == [
        [0.0, 1.0, 1.0, 0.0],
        [0.0, 3.0, 2.0, 0.0],
        [2.0, 0.0, 0.0, 2.0],
    ]


def test_few_groups_are_drawn_by_pairs_and_no_head_is_left_without_data():
    few = planted_pairs(40, groups=2)
    drawn = pair_draws(few, 16, seed=0)
    assert (np.ptp(drawn, axis=0) > 0).all()
    assert (pair_draws(few[:1], 64, seed=0) >= 1.0).all()
    many = pair_draws(planted_pairs(40, groups=8), 16, seed=0)
    for group in range(8):
        assert (np.ptp(many[group::8], axis=0) == 0).all()
