"""Ties, aspects and the barrier through whole trainings: learned, logged, resumed, saved and answered."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from workers.reward import (
    Callbacks,
    CorruptModelError,
    DataError,
    open_reward_model,
    outcome_probabilities,
    train,
)
from workers.reward.folder import seal
from workers.reward.metrics import rated_accuracy
from workers.reward.transformer.batches import lay_out
from workers.reward.transformer.loop import make_optimizer
from workers.reward.transformer.objective import ASPECT_HEADS, Objective
from workers.reward.transformer.packed import layout_of, read_rows, use_trees
from workers.reward.transformer.template import ConversationEncoder
from workers.reward.types import Item

from .builders import items, planted_pairs, prompt
from .transformers_small import CALM, ENCODER, TINY, tiny_model

ASPECTS = ("helpful", "tone")
BOTH = dataclasses.replace(
    TINY, ranking="rao_kupper", label_smoothing=0.05, focal=2.0, barrier=0.01, aspects=ASPECTS
)


def rated_pairs(n: int = 64, **fields: object):
    """Planted pairs, every third a tie of two like texts; helpful is 4 for good words and 1 for bad ones, and
    known of every second response only; tone is always 2."""
    out = []
    for i, pair in enumerate(planted_pairs(n, validation=0.25, **fields)):
        high = {"helpful": 4.0, "tone": 2.0} if i % 2 else {}
        low = {"helpful": 1.0} if i % 4 else {}
        if i % 3 == 0:
            turned = " ".join(reversed(pair.chosen.split()))
            pair = dataclasses.replace(pair, rejected=turned, p_chosen=0.5, p_tie=1.0)
            low = high
        out.append(dataclasses.replace(pair, ratings_chosen=high, ratings_rejected=low))
    return out


PAIRS = rated_pairs()


class Recorder(Callbacks):
    def __init__(self, die_at: int = 0) -> None:
        self.die_at = die_at
        self.metrics: list[tuple[int, dict[str, float]]] = []

    def metric(self, step: int, values: dict[str, float]) -> None:
        self.metrics.append((step, values))
        if "loss" in values and step == self.die_at:
            raise KeyboardInterrupt("killed")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    told = Recorder()
    folder = tmp_path_factory.mktemp("run") / "model"
    return folder, train("transformer", PAIRS, BOTH, folder, callbacks=told), told


def test_every_term_is_logged_apart_and_they_add_up(finished):
    steps = [values for _, values in finished[2].metrics if "loss" in values]
    names = ["loss_ranking", "loss_centering", "loss_barrier", "loss_aspects"]
    for values in steps:
        assert values["loss"] == pytest.approx(sum(values[name] for name in names), abs=1e-5)
    assert steps[0]["tie_threshold"] != steps[-1]["tie_threshold"] > 1.0


def test_the_learned_threshold_is_saved_and_answers_for_ties(finished):
    folder, result, told = finished
    card = json.loads((folder / "chosen_model.json").read_text())
    scorer = open_reward_model(folder)
    assert card["tie_threshold"] == scorer.tie_threshold == result.metrics["tie_threshold"] > 1.0
    assert card["tie_temperature"] == scorer.tie_temperature > 0.0
    assert math.isfinite(result.metrics["validation_outcome_log_loss"])
    logged = {values["tie_threshold"] for _, values in told.metrics if "tie_threshold" in values}
    assert any(abs(scorer.tie_threshold - value) < 1e-6 for value in logged)  # of the step that was kept
    ties = planted_pairs(40, seed=9)
    good, other, bad = (
        scorer.score(items(list(texts))).heads
        for texts in zip(
            *((p.chosen, ties[i - 1].chosen, p.rejected) for i, p in enumerate(ties)), strict=True
        )
    )
    alike = outcome_probabilities(good, other, scorer.tie_temperature, scorer.tie_threshold)
    apart = outcome_probabilities(good, bad, scorer.tie_temperature, scorer.tie_threshold)
    assert alike[:, 1].mean() > apart[:, 1].mean()
    assert apart[:, 0].mean() > 0.5


@pytest.mark.parametrize("step", [2, 7])
def test_a_killed_run_resumed_ends_with_equal_weights_threshold_and_heads(finished, tmp_path, step):
    with pytest.raises(KeyboardInterrupt):
        train("transformer", PAIRS, BOTH, tmp_path / "m", callbacks=Recorder(die_at=step))
    torch.manual_seed(4321)
    result = train("transformer", PAIRS, BOTH, tmp_path / "m")
    for name in ("model.safetensors", ASPECT_HEADS):
        ours, theirs = load_file(tmp_path / "m" / name), load_file(finished[0] / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert result.metrics == finished[1].metrics  # θ is one of them


def test_aspects_are_predicted_by_name_beside_the_score(finished):
    scorer = open_reward_model(finished[0])
    held_out = planted_pairs(40, seed=9)
    good, bad = (scorer.score(items([getattr(p, side) for p in held_out])) for side in ("chosen", "rejected"))
    assert tuple(good.aspects) == ASPECTS
    assert good.aspects["helpful"].shape == (40,)
    assert good.aspects["helpful"].dtype == np.float32
    assert good.aspects["helpful"].mean() > bad.aspects["helpful"].mean() + 0.5
    assert good.aspects["tone"].mean() == pytest.approx(2.0, abs=0.5)
    assert (good.value > bad.value).mean() > 0.9
    assert scorer.score([]).aspects["tone"].shape == (0,)


def test_the_heads_are_held_against_the_validation_pairs_that_an_aspect_tells_apart(finished):
    told_apart = [
        pair
        for pair in PAIRS
        if pair.split == "validation"
        and pair.ratings_chosen.get("helpful", 0.0) > pair.ratings_rejected.get("helpful", 9.0)
    ]
    scorer, metrics = open_reward_model(finished[0]), finished[1].metrics
    assert metrics["aspect_pairs_helpful"] == len(told_apart) > 3
    good, bad = (
        scorer.score([Item(p.pair_id, p.messages, getattr(p, side)) for p in told_apart]).aspects["helpful"]
        for side in ("chosen", "rejected")
    )
    assert metrics["aspect_accuracy_helpful"] == (good > bad).mean() > 0.8
    assert not any(name.endswith("_tone") for name in metrics)  # it is the same for all


def test_the_accuracy_by_ratings_has_its_hand_computed_values():
    nan = math.nan
    assert rated_accuracy([2.0, -1.0, 0.0, 5.0, 5.0], [1.0, 0.25, -3.0, 0.0, nan]) == (0.5, 3)
    assert rated_accuracy([2.0, -1.0], [-1.0, 0.5]) == (0.0, 2)
    assert rated_accuracy([1.0], [nan]) == (0.5, 0)
    assert rated_accuracy([], []) == (0.5, 0)


def test_the_folder_with_aspects_is_still_a_plain_hugging_face_model(finished):
    folder = finished[0]
    assert AutoConfig.from_pretrained(folder).num_labels == 1
    # A server reads every safetensors file of the folder as weights of the model.
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]
    assert (folder / ASPECT_HEADS).is_file()
    model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    scorer = open_reward_model(folder)
    encoded = scorer.encoder.encode(prompt("Question?"), "because the evidence")
    with torch.no_grad():
        theirs = model.eval()(input_ids=torch.tensor([encoded.ids])).logits[0, 0].item()
    assert scorer.score(items(["because the evidence"])).value[0] == pytest.approx(theirs, abs=1e-5)


def test_heads_of_another_shape_are_refused(finished, tmp_path):
    import shutil

    shutil.copytree(finished[0], tmp_path / "m")
    card = json.loads((tmp_path / "m" / "chosen_model.json").read_text())
    (tmp_path / "m" / "chosen_model.json").write_text(json.dumps(card | {"aspects": ["helpful"]}))
    seal(tmp_path / "m")
    with pytest.raises(CorruptModelError, match="aspect heads"):
        open_reward_model(tmp_path / "m")


def test_the_encoder_learns_aspects_too(tmp_path):
    config = dataclasses.replace(ENCODER, aspects=("helpful",), epochs=6)
    train("transformer", PAIRS, config, tmp_path / "m")
    held_out = planted_pairs(40, seed=9)
    scorer = open_reward_model(tmp_path / "m")
    good, bad = (scorer.score(items([getattr(p, side) for p in held_out])) for side in ("chosen", "rejected"))
    assert good.aspects["helpful"].mean() > bad.aspects["helpful"].mean() + 0.5
    assert scorer.tie_threshold is None


@torch.no_grad()
def test_packed_and_padded_rows_give_equal_scores_and_states():
    model, tokenizer = tiny_model()
    encoder = ConversationEncoder(tokenizer, 100)
    rows = [encoder.encode(prompt("why?"), text) for text in ("the law", "money " * 9, "", "the water")]
    padded = read_rows(model, lay_out(rows, "padded", tokenizer.pad_token_id))
    assert use_trees(model, 100) == ""
    assert layout_of(model) == "tree"
    packed = read_rows(model, lay_out(rows, "tree", tokenizer.pad_token_id))
    for ours, theirs in zip(packed, padded, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_continuing_from_a_model_keeps_its_threshold_and_heads(finished, tmp_path):
    config = dataclasses.replace(BOTH, base=str(finished[0]), max_steps=1, learning_rate=1e-12)
    train("transformer", PAIRS, config, tmp_path / "m")
    before, after = (load_file(folder / ASPECT_HEADS) for folder in (finished[0], tmp_path / "m"))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)
    first, second = (open_reward_model(folder).tie_threshold for folder in (finished[0], tmp_path / "m"))
    assert second == pytest.approx(first, abs=0.05)  # its own rate moves it by one step


@pytest.mark.parametrize("rate", [1e-5, 0.05])
def test_every_parameter_is_optimised_once_and_the_threshold_at_its_own_rate(rate):
    config = dataclasses.replace(BOTH, learning_rate=rate)
    model, _ = tiny_model(config)
    objective = Objective(config, TINY.tiny_hidden)
    groups = make_optimizer(model, objective, config).param_groups
    optimised = [id(p) for group in groups for p in group["params"]]
    assert sorted(optimised) == sorted(id(p) for part in (model, objective) for p in part.parameters())
    assert [group["weight_decay"] > 0 for group in groups] == [True, False, False]
    assert [len(group["params"]) for group in groups][2] == 1
    assert rate * groups[2]["rate_scale"] == pytest.approx(max(rate, 0.01))


def test_an_aspect_that_no_training_pair_rates_is_refused(tmp_path):
    config = dataclasses.replace(TINY, aspects=("depth",))
    with pytest.raises(DataError, match="no training pair rates the aspect depth"):
        train("transformer", PAIRS, config, tmp_path / "m")


def test_ratings_without_named_aspects_change_nothing(tmp_path):
    config = dataclasses.replace(CALM, max_steps=2)
    bare = [dataclasses.replace(p, ratings_chosen={}, ratings_rejected={}) for p in PAIRS]
    for name, pairs in (("rated", PAIRS), ("bare", bare)):
        train("transformer", pairs, config, tmp_path / name)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("rated", "bare"))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert not (tmp_path / "rated" / "aspects").exists()
