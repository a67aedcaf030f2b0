"""The starter: learns planted words in both languages, survives tiny data, equals scikit-learn."""

from __future__ import annotations

import dataclasses
import random
import resource
import time

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from workers.reward import (
    Callbacks,
    CorruptModelError,
    DataError,
    Pair,
    StarterConfig,
    Stopped,
    cross_validate,
    evaluate,
    open_reward_model,
    train,
)
from workers.reward.folder import MODEL_CARD, read_json, seal, write_json
from workers.reward.linear import bootstrap_weights, fold_of_group
from workers.reward.starter.features import FeatureSpec, featurise, outline_grams, style, tokens, word_grams
from workers.reward.starter.solver import Problem, compress, fit

from .builders import argument_pairs, argument_rows, items, planted_pairs, prompt

SMALL = StarterConfig(hash_bits=14, heads=4)


def margins(model, pairs):
    scores = model.score(items([p.chosen for p in pairs] + [p.rejected for p in pairs])).value
    return scores[: len(pairs)] - scores[len(pairs) :]


def random_problem(n: int, responses: int, seed: int = 0) -> tuple[sparse.csr_matrix, Problem]:
    rng = np.random.default_rng(seed)
    x = sparse.csr_matrix(rng.normal(size=(responses, 30)) * (rng.random((responses, 30)) < 0.4))
    a = rng.integers(0, responses, n)
    b = (a + rng.integers(1, responses, n)) % responses
    weight = rng.uniform(0.5, 2, n)
    return x.astype(np.float32), Problem(a, b, rng.choice([0.0, 0.5, 0.8, 1.0], n), np.zeros(n), weight)


def test_the_solver_equals_scikit_learn_on_weighted_differences():
    x, problem = random_problem(60, 20)
    x_diff = np.asarray((x[problem.a] - x[problem.b]).todense(), dtype=np.float64)
    both = np.vstack([x_diff, -x_diff])
    labels = np.r_[np.ones(60), np.ones(60)].astype(int)
    # Soft labels as scikit-learn can say them: each pair once as a win and once, turned around, as a loss.
    weights = np.r_[problem.weight * problem.p, problem.weight * (1 - problem.p)]
    rows = np.vstack([both, -both])
    oracle = LogisticRegression(C=0.3, fit_intercept=False, tol=1e-10, max_iter=5000)
    oracle.fit(rows, np.r_[labels, 1 - labels], sample_weight=np.r_[weights, weights] / 2)
    design = compress(x, limit=0)
    ours = design.restore(fit(design, problem, 0.3))
    np.testing.assert_allclose(ours, oracle.coef_[0], atol=2e-3)


def test_the_compressed_fit_gives_the_scores_of_the_full_one():
    x, problem = random_problem(80, 12, seed=3)
    wide = sparse.hstack([x, x * 0.5, x * 2.0], format="csr")
    full, small = compress(wide, limit=0), compress(wide, limit=100)
    assert small.rows.shape[1] <= 12
    w_full = full.restore(fit(full, problem, 1.0))
    w_small = small.restore(fit(small, problem, 1.0))
    np.testing.assert_allclose(wide @ w_small, wide @ w_full, atol=5e-3)


def test_a_margin_and_a_soft_label_put_the_optimum_where_they_say():
    x = sparse.csr_matrix(np.eye(2, dtype=np.float32))
    one = np.ones(1)
    problem = Problem(np.array([0]), np.array([1]), np.array([0.8]), 0.7 * one, one)
    design = compress(x)
    w = design.restore(fit(design, problem, 1e6))
    assert w[0] - w[1] == pytest.approx(0.7 + np.log(0.8 / 0.2), abs=1e-2)


def test_words_of_both_languages_become_features():
    assert tokens("你好，世界 GPT-4!") == ["你", "好", "，", "世", "界", "gpt", "-", "4", "!"]
    assert "你 好" in word_grams("你好")
    spec = FeatureSpec(hash_bits=12)
    rows = featurise(["今天天气很好", "今天天气很坏", ""], spec)
    assert rows.shape == (3, spec.columns)
    shared = rows[0].multiply(rows[1]).nnz
    assert 0 < shared < rows[0].nnz
    assert rows[2].nnz == 0 or np.isfinite(rows[2].data).all()


def test_a_gram_counts_once_however_often_it_stands_there():
    spec = FeatureSpec(hash_bits=16, word_weight=1.5)
    words = featurise(["yes yes yes"], spec)[0, : 2**16]
    assert words.data.tolist() == [1.5, 1.5]  # yes, and yes yes


def test_outlines_keep_short_words_and_the_ends_of_long_ones():
    assert outline_grams("The LAWS, mostly:") == [
        "the", "laws", ",", "~ly", ":",
        "the laws", "laws ,", ", ~ly", "~ly :",
        "the laws ,", "laws , ~ly", ", ~ly :",
    ]  # fmt: skip
    assert outline_grams("天气好") == ["天", "气", "好", "天 气", "气 好", "天 气 好"]
    assert outline_grams("") == []


def test_a_folder_of_other_columns_says_train_again(tmp_path):
    train("starter", planted_pairs(12), SMALL, tmp_path / "m")
    card = read_json(tmp_path / "m" / MODEL_CARD)
    card["features"] = {
        "hash_bits": 14,
        "max_chars": 20_000,
        "word_weight": 2.0,
        "style_weight": 10.0,
        "version": 1,
    }
    write_json(tmp_path / "m" / MODEL_CARD, card)
    seal(tmp_path / "m")
    with pytest.raises(CorruptModelError, match=r"columns of version 1\b.*train it again"):
        open_reward_model(tmp_path / "m")


@pytest.mark.parametrize(
    "text", ["", " ", "\ud800 lone", "😀👩‍👩‍👧", "a" * 100_000, "[PAD]</s>", "混合 mixed العربية"]
)
def test_odd_texts_score_without_a_crash(text, tmp_path):
    train("starter", planted_pairs(12), dataclasses.replace(SMALL, max_chars=5000), tmp_path / "m")
    scores = open_reward_model(tmp_path / "m").score(items([text, "plain"]))
    assert np.isfinite(scores.value).all()
    assert scores.heads.shape == (2, 4)
    assert scores.truncated.tolist() == [len(text) > 5000, False]
    assert len(style(text)) == len(style("plain"))


@pytest.mark.parametrize("words", [None, ("因为研究表明", "随便吧不知道")])
def test_it_learns_planted_words_from_a_dozen_labels(words, tmp_path):
    train_pairs, held_out = planted_pairs(12, seed=1), planted_pairs(40, seed=2)
    if words:
        train_pairs, held_out = (
            [Pair(f"{i}", prompt("问题"), f"{words[0]}{i * 7}天", f"{words[1]}{i * 9}天") for i in span]
            for span in (range(12), range(50, 90))
        )
    result = train("starter", train_pairs, SMALL, tmp_path / "m")
    model = open_reward_model(result.path)
    assert (margins(model, held_out) > 0).mean() > 0.9
    assert np.isfinite(model.temperature)
    assert result.counts["train"] == 12


def test_one_label_is_enough_to_train_and_none_is_refused(tmp_path):
    train("starter", planted_pairs(1), SMALL, tmp_path / "one")
    assert np.isfinite(open_reward_model(tmp_path / "one").score(items(["x"])).value).all()
    with pytest.raises(DataError):
        train("starter", [], SMALL, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_ties_pull_scores_together(tmp_path):
    wins = planted_pairs(40, seed=4)
    ties = [dataclasses.replace(p, p_chosen=0.5, pair_id="t" + p.pair_id) for p in planted_pairs(40, seed=5)]
    train("starter", wins, SMALL, tmp_path / "wins")
    result = train("starter", wins + ties, SMALL, tmp_path / "both")
    held_out = planted_pairs(50, seed=6)
    without = margins(open_reward_model(tmp_path / "wins"), held_out).mean()
    assert margins(open_reward_model(tmp_path / "both"), held_out).mean() < without
    assert result.counts["ties"] == 40


def test_stronger_labels_ask_for_wider_margins(tmp_path):
    held_out = planted_pairs(50, seed=6)
    means = []
    for strength in (1.0, 4.0):
        config = dataclasses.replace(SMALL, margin_scale=3.0, default_c=1e-2, regularisation=(1e-2,))
        train("starter", planted_pairs(60, strength=strength), config, tmp_path / str(strength))
        means.append(margins(open_reward_model(tmp_path / str(strength)), held_out).mean())
    assert means[1] > means[0] + 0.5


def test_turning_pairs_around_changes_nothing(tmp_path):
    pairs = planted_pairs(60, seed=7)
    turned = [dataclasses.replace(p, chosen=p.rejected, rejected=p.chosen, p_chosen=0.0) for p in pairs]
    train("starter", pairs, SMALL, tmp_path / "a")
    train("starter", turned, SMALL, tmp_path / "b")
    texts = items([p.chosen for p in pairs])
    a, b = (open_reward_model(tmp_path / n).score(texts).value for n in "ab")
    np.testing.assert_allclose(a, b, atol=2e-2)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    pairs = planted_pairs(80, validation=0.25)
    for name in "ab":
        train("starter", iter(pairs), SMALL, tmp_path / name)
    a, b = ((tmp_path / n / "model.safetensors").read_bytes() for n in "ab")
    assert a == b


def test_folds_and_bootstrap_draws_keep_groups_whole():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    fold = fold_of_group(groups, 5, rng)
    assert set(fold) == set(range(5))
    sizes = np.bincount(fold, weights=np.bincount(groups))
    assert sizes.max() - sizes.min() <= 2
    drawn = bootstrap_weights(groups, 6, rng)
    assert drawn.shape == (6, 55)
    for g in range(10):
        assert (np.ptp(drawn[:, groups == g], axis=1) == 0).all()


def test_it_stops_when_asked(tmp_path):
    class Stop(Callbacks):
        def should_stop(self) -> bool:
            return True

    with pytest.raises(Stopped):
        train("starter", planted_pairs(60), SMALL, tmp_path / "m", callbacks=Stop())
    assert not (tmp_path / "m").exists()


def test_scores_are_in_the_order_of_the_items(tmp_path):
    train("starter", planted_pairs(40), SMALL, tmp_path / "m")
    model = open_reward_model(tmp_path / "m")
    texts = [f"the evidence {i} lol" for i in range(1100)]
    random.Random(0).shuffle(texts)
    whole = model.score(items(texts)).value
    np.testing.assert_allclose(
        whole[[0, 513, 1099]], [model.score(items([texts[i]])).value[0] for i in (0, 513, 1099)]
    )


def test_every_debate_unseen_in_turn_with_everything_chosen_inside_the_others():
    found = cross_validate("starter", argument_pairs(set(), set()), StarterConfig(), folds=11)
    assert found.n == 7861
    assert found.accuracy.value >= 0.805
    assert found.accuracy.value > found.longest.value + 0.03
    assert found.ece < 0.05


def test_accuracy_on_unseen_debates_time_and_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KB
    debates = sorted({r["debate"] for r in argument_rows()})
    pairs = argument_pairs(set(debates[::4]), {debates[1]})
    spent = time.process_time()
    result = train("starter", pairs, StarterConfig(), tmp_path / "m")
    spent = time.process_time() - spent
    model = open_reward_model(result.path)
    test = [p for p in pairs if p.split == "test"]
    distinct = list(dict.fromkeys(t for p in test for t in (p.chosen, p.rejected)))
    value = dict(zip(distinct, model.score(items(distinct)).value, strict=True))
    found = evaluate(
        [value[p.chosen] for p in test],
        [value[p.rejected] for p in test],
        test,
        temperature=model.temperature,
        cluster_by="group",
    )
    assert found.accuracy.value >= 0.79
    assert found.accuracy.value > found.longest.value
    assert found.ece < 0.1
    assert spent < 20  # of one core; other processes do not count
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_200_000
