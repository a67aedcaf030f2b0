"""Any scorer held against pairs, and reports kept beside a sealed folder."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from workers.reward import StarterConfig, open_reward_model, train
from workers.reward.errors import CorruptModelError, DataError
from workers.reward.folder import MODEL_CARD, atomic_folder, write_json
from workers.reward.measure import (
    Measured,
    compare_measured,
    evaluate_measured,
    measure,
    read_reports,
    report_path,
    write_report,
)
from workers.reward.scorers import ScorerSpec, open_scorer

from .builders import planted_pairs

PAIRS = planted_pairs(30)


def test_every_distinct_response_is_scored_once():
    longest = open_scorer(ScorerSpec("longest"))
    found = measure(longest, [*PAIRS, *PAIRS])
    assert found.responses == len({(p.messages, t) for p in PAIRS for t in (p.chosen, p.rejected)})
    wanted = [len(p.chosen) - len(p.rejected) for p in PAIRS]
    assert found.difference.tolist() == [*wanted, *wanted]


def test_pairs_without_a_verdict_are_counted_and_left_out():
    said = {"p0": "chosen", "p1": "rejected", "p2": "tie", "p3": None}
    judge = open_scorer(ScorerSpec("generative"), verdicts=list(said.items()))
    report = evaluate_measured(measure(judge, PAIRS[:6]), PAIRS[:6], resamples=10)
    assert (report.n, report.no_verdict, report.equal_scores) == (3, 3, 1)
    assert report.accuracy.value == pytest.approx(1.5 / 3)
    with pytest.raises(DataError, match="no pair with a verdict"):
        evaluate_measured(measure(judge, PAIRS[6:9]), PAIRS[6:9])


def test_a_comparison_takes_the_pairs_of_which_both_have_a_verdict():
    one = Measured(np.array([1.0, math.nan, 1.0, -1.0]), 1.0)
    two = Measured(np.array([1.0, 1.0, -1.0, math.nan]), 1.0)
    found = compare_measured(one, two, PAIRS[:4], resamples=10)
    assert found.candidate.n == 2
    assert found.difference.value == pytest.approx(0.5)


def test_a_report_stands_beside_the_folder_and_leaves_it_as_it_was(tmp_path):
    folder = tmp_path / "model"
    train("starter", PAIRS, StarterConfig(heads=2, hash_bits=12), folder)
    path = write_report(folder, "pairs", {"accuracy": 0.5})
    write_report(folder, "more", {"accuracy": 0.6})
    write_report(folder, "pairs", {"accuracy": 0.7})
    assert path == report_path(folder) == tmp_path / "model.evaluation.json"
    assert read_reports(folder) == {"pairs": {"accuracy": 0.7}, "more": {"accuracy": 0.6}}
    assert json.loads(path.read_text())["manifest_sha256"]
    open_reward_model(folder)
    assert not list(tmp_path.glob(".*"))


def test_reports_that_are_written_at_once_are_all_kept(tmp_path):
    folder = tmp_path / "model"
    with atomic_folder(folder) as inside:
        write_json(inside / MODEL_CARD, {})
    names = [f"data {i}" for i in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: write_report(folder, name, {}), names))
    assert sorted(read_reports(folder)) == sorted(names)


def test_reports_on_another_model_in_the_same_place_are_not_kept(tmp_path):
    folder = tmp_path / "model"
    for seed in (0, 1):
        with atomic_folder(folder) as inside:
            write_json(inside / MODEL_CARD, {"seed": seed})
        assert read_reports(folder) == {}
        write_report(folder, f"data {seed}", {})
    assert list(read_reports(folder)) == ["data 1"]
    with pytest.raises(CorruptModelError, match=r"has no manifest\.json"):
        write_report(tmp_path / "none", "data", {})
