"""Training the transformer: learns, stops, resumes to equal weights, and saves what others can load."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from workers.reward import (
    Callbacks,
    DataError,
    ModelUnavailableError,
    NotFiniteError,
    Stopped,
    UntrustedModelError,
    open_reward_model,
    train,
)
from workers.reward.transformer.batches import EncodedPair
from workers.reward.transformer.checkpoint import checkpoints
from workers.reward.transformer.loop import learning_rate, steps_in_all
from workers.reward.transformer.plan import Shapes
from workers.reward.transformer.template import Encoded

from .builders import items, planted_pairs
from .transformers_small import CALM, ENCODER, TINY

PAIRS = planted_pairs(64, validation=0.25)


class Recorder(Callbacks):
    """Keeps what it is told; dies or asks to stop at a step."""

    def __init__(self, *, die_at: int = 0, stop_at: int = 0) -> None:
        self.die_at, self.stop_at, self.step = die_at, stop_at, 0
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self.saved = 0

    def metric(self, step: int, values: dict[str, float]) -> None:
        self.step = step
        self.metrics.append((step, values))
        if "loss" in values and step == self.die_at:
            raise KeyboardInterrupt("killed")

    def checkpointed(self) -> None:
        self.saved += 1

    def should_stop(self) -> bool:
        return bool(self.stop_at) and self.step >= self.stop_at


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_equal_weights(a, b):
    ours, theirs = weights(a), weights(b)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted run: its folder, result and what it reported."""
    told = Recorder()
    folder = tmp_path_factory.mktemp("run") / "model"
    return folder, train("transformer", PAIRS, TINY, folder, callbacks=told), told


def test_it_learns_planted_words(finished):
    folder, result, told = finished
    model = open_reward_model(folder)
    held_out = planted_pairs(40, seed=9)
    a, b = (model.score(items([getattr(p, side) for p in held_out])).value for side in ("chosen", "rejected"))
    assert (a > b).mean() > 0.9
    assert result.metrics["validation_accuracy"] > 0.9
    assert result.counts["train"] == 48
    assert not folder.with_name("model.work").exists()
    first = next(v for s, v in told.metrics if "loss" in v)
    assert {
        "loss", "loss_ranking", "loss_centering", "accuracy", "margin", "learning_rate", "grad_norm",
        "pairs_per_second", "memory_mb",
    } <= set(first)  # fmt: skip
    assert any("validation_loss" in v for _, v in told.metrics)


def test_the_encoder_learns_too(tmp_path):
    train("transformer", PAIRS, ENCODER, tmp_path / "m")
    model = open_reward_model(tmp_path / "m")
    held_out = planted_pairs(40, seed=9)
    a, b = (model.score(items([getattr(p, side) for p in held_out])).value for side in ("chosen", "rejected"))
    assert (a > b).mean() > 0.9
    assert json.loads((tmp_path / "m" / "chosen_model.json").read_text())["pooling"] == "own_pooler"


def test_it_overfits_eight_pairs(tmp_path):
    pairs = planted_pairs(8)
    train("transformer", pairs, dataclasses.replace(CALM, epochs=30, centering=0.0), tmp_path / "m")
    model = open_reward_model(tmp_path / "m")
    a, b = (model.score(items([getattr(p, side) for p in pairs])).value for side in ("chosen", "rejected"))
    assert (a - b).min() > 1.0
    assert model.temperature == 1.0  # nothing was held out to fit it on


def test_the_saved_folder_is_a_plain_hugging_face_model(finished):
    folder, _, _ = finished
    config = AutoConfig.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert config.num_labels == 1
    assert config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id
    assert config.problem_type == "regression"  # so that pipelines and servers apply no sigmoid
    assert tokenizer.chat_template
    assert not list(folder.glob("*.bin"))
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scorer = open_reward_model(folder)
    texts = ["because the evidence", "lol dunno " * 9, "x"]
    for text, ours in zip(texts, scorer.score(items(texts)).value, strict=True):
        turns = [{"role": "user", "content": "Question?"}, {"role": "assistant", "content": text}]
        rendered = tokenizer.apply_chat_template(turns, tokenize=False)
        inputs = tokenizer(rendered, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            assert model(**inputs).logits[0, 0].item() == pytest.approx(float(ours), abs=1e-5)


def test_scoring_flags_what_was_cut(finished):
    scores = open_reward_model(finished[0]).score(items(["money " * 500, "", "😀 \ud800"]))
    assert scores.truncated.tolist() == [True, False, False]
    assert scores.n_tokens[0] == TINY.max_length
    assert np.isfinite(scores.value).all()


@pytest.mark.parametrize("step", [1, 5, 8])
def test_a_killed_run_resumed_ends_with_equal_weights(finished, tmp_path, step):
    with pytest.raises(KeyboardInterrupt):
        train("transformer", PAIRS, TINY, tmp_path / "m", callbacks=Recorder(die_at=step))
    assert not (tmp_path / "m").exists()
    torch.manual_seed(1234)  # whatever happened in between must not matter
    told = Recorder()
    result = train("transformer", PAIRS, TINY, tmp_path / "m", callbacks=told)
    assert_equal_weights(tmp_path / "m", finished[0])
    assert result.best_step == finished[1].best_step
    assert result.metrics == finished[1].metrics
    first = min(s for s, v in told.metrics if "loss" in v)
    assert first == (step - 1) // TINY.checkpoint_every * TINY.checkpoint_every + 1


def test_stopping_checkpoints_at_once_and_goes_on_from_there(finished, tmp_path):
    with pytest.raises(Stopped):
        train("transformer", PAIRS, TINY, tmp_path / "m", callbacks=Recorder(stop_at=5))
    told = Recorder()
    train("transformer", PAIRS, TINY, tmp_path / "m", callbacks=told)
    assert min(s for s, v in told.metrics if "loss" in v) == 6
    assert_equal_weights(tmp_path / "m", finished[0])


@pytest.mark.parametrize("damage", ["flip", "truncate", "no_manifest"])
def test_a_corrupt_checkpoint_is_skipped_for_the_one_before(finished, tmp_path, damage):
    with pytest.raises(KeyboardInterrupt):
        train("transformer", PAIRS, TINY, tmp_path / "m", callbacks=Recorder(die_at=8))
    newest, older = checkpoints(tmp_path / "m.work")
    target = newest / ("manifest.json" if damage == "no_manifest" else "optimizer.safetensors")
    data = bytearray(target.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        target.write_bytes(data)
    elif damage == "truncate":
        target.write_bytes(data[: len(data) // 2])
    else:
        target.unlink()
    told = Recorder()
    train("transformer", PAIRS, TINY, tmp_path / "m", callbacks=told)
    assert min(s for s, v in told.metrics if "loss" in v) == int(older.name[-6:]) + 1
    assert_equal_weights(tmp_path / "m", finished[0])


def test_checkpoints_of_other_data_are_not_continued(finished, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train("transformer", planted_pairs(64, seed=5), TINY, tmp_path / "m", callbacks=Recorder(die_at=8))
    train("transformer", PAIRS, TINY, tmp_path / "m")
    assert_equal_weights(tmp_path / "m", finished[0])


def test_a_loss_that_is_not_finite_stops_the_run_with_a_clear_word(tmp_path):
    config = dataclasses.replace(TINY, learning_rate=0.99, clip_norm=1e9, epochs=50, warmup_share=0.0)
    poisoned = [dataclasses.replace(p, weight=1e38) for p in PAIRS]
    with pytest.raises(NotFiniteError, match="not finite"):
        train("transformer", poisoned, config, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_training_stops_early_and_keeps_the_best_weights(tmp_path):
    turned = [
        dataclasses.replace(p, chosen=p.rejected, rejected=p.chosen) if p.split == "validation" else p
        for p in PAIRS
    ]
    told = Recorder()
    config = dataclasses.replace(TINY, epochs=100, evaluate_every=2, patience=2)
    result = train("transformer", turned, config, tmp_path / "m", callbacks=told)
    assert result.metrics["steps"] < 20
    losses = {s: v["validation_loss"] for s, v in told.metrics if "validation_loss" in v}
    assert result.best_step == min(losses, key=losses.get)


def test_ties_soft_labels_and_strength_reach_the_loss(tmp_path):
    told = Recorder()
    ties = [dataclasses.replace(p, p_chosen=0.5, split="train") for p in PAIRS]
    train("transformer", ties, dataclasses.replace(CALM, max_steps=2), tmp_path / "m", callbacks=told)
    first = next(v for _, v in told.metrics if "loss" in v)
    assert "accuracy" not in first  # nothing was decided
    assert first["loss_ranking"] >= math.log(2) - 1e-6
    strong = Recorder()
    pairs = [dataclasses.replace(p, strength=4.0) for p in PAIRS]
    config = dataclasses.replace(CALM, max_steps=1, margin_scale=2.0)
    train("transformer", pairs, config, tmp_path / "s", callbacks=strong)
    plain = Recorder()
    train("transformer", PAIRS, dataclasses.replace(CALM, max_steps=1), tmp_path / "p", callbacks=plain)
    assert strong.metrics[0][1]["loss_ranking"] > plain.metrics[0][1]["loss_ranking"] + 0.5


def test_the_schedule_warms_up_and_falls():
    config = dataclasses.replace(TINY, warmup_share=0.1, learning_rate=1.0 - 1e-9)
    rates = [learning_rate(s, 100, config) for s in range(100)]
    assert rates[0] == pytest.approx(0.1, abs=1e-6)
    assert max(rates) == rates[9] == pytest.approx(1.0, abs=1e-6)
    assert rates[99] < 0.001
    assert rates[9:] == sorted(rates[9:], reverse=True)
    rows = [EncodedPair(Encoded((i,) * 10, 10), Encoded((i,) * 9, 9), 0.0, 1.0, 1.0) for i in range(64)]
    shapes = Shapes.of_pairs(rows)
    for layout, whole in (("padded", 3), ("tree", 3)):
        assert steps_in_all(shapes, dataclasses.replace(TINY, epochs=0.5), layout) == 2
        assert steps_in_all(shapes, dataclasses.replace(TINY, epochs=1), layout) == whole
        assert steps_in_all(shapes, dataclasses.replace(TINY, epochs=2, accumulate=2), layout) == 4


def test_bases_that_are_missing_or_bring_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelUnavailableError):
        train("transformer", PAIRS, dataclasses.replace(TINY, base=str(tmp_path / "no")), tmp_path / "m")
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(UntrustedModelError, match="auto_map"):
        train("transformer", PAIRS, dataclasses.replace(TINY, base=str(tmp_path / "evil")), tmp_path / "m")
    with pytest.raises(DataError):
        train("transformer", [], TINY, tmp_path / "m")


def test_modelscope_is_asked_where_the_setting_says_so(finished, tmp_path, monkeypatch):
    import modelscope

    asked = []

    def snapshot_download(name, revision=None, **_patterns):
        asked.append((name, revision))
        return str(finished[0])

    monkeypatch.setattr(modelscope, "snapshot_download", snapshot_download)
    config = dataclasses.replace(TINY, base="org/model", hub="modelscope", revision="v1", max_steps=1)
    train("transformer", PAIRS, config, tmp_path / "m")
    assert asked == [("org/model", "v1")] * 2  # settings and tokenizer, then weights


@pytest.mark.parametrize(("rate", "is_said"), [(1e-3, True), (1e-5, False)])
def test_a_rate_that_would_ruin_a_pretrained_base_is_warned_of(tmp_path, caplog, rate, is_said):
    settings = dataclasses.replace(TINY, max_steps=1, learning_rate=1e-3)
    train("transformer", planted_pairs(8), settings, tmp_path / "base")
    assert "is high for all weights" not in caplog.text  # a tiny base knows nothing yet
    settings = dataclasses.replace(settings, base=str(tmp_path / "base"), learning_rate=rate)
    train("transformer", planted_pairs(8), settings, tmp_path / "m")
    assert ("learning_rate 0.001 is high for all weights of a pretrained base" in caplog.text) is is_said


def test_the_card_says_that_the_validation_pairs_also_chose_the_step(tmp_path):
    for name, share, said in (("a", 0.5, "the step"), ("b", 0.0, None)):
        settings = dataclasses.replace(TINY, max_steps=1)
        train("transformer", planted_pairs(8, validation=share), settings, tmp_path / name)
        card = json.loads((tmp_path / name / "chosen_model.json").read_text())
        assert card["calibration"].get("also_chose") == said
