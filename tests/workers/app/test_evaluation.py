"""The evaluation of a model: its page, its file and REST, the intervals it may state, and whose names it shows."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from django.test import Client

from labeling.models import Snapshot
from labeling.services.snapshots import snapshot_build, snapshot_create
from tests.workers.app.conftest import Trained
from tests.workers.app.test_pages import PROJECT, open_as, page, second_model
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from workers.meaning import meaning
from workers.models import Evaluation, EvaluationScores, ModelState, RewardModel
from workers.reward import Message, Pair, evaluate
from workers.selectors.evaluations import (
    People,
    Range,
    SliceRow,
    honest,
    people_of,
    slice_rows,
    without_names,
)
from workers.services.evaluating import evaluation_start


def model_of(trained: Trained) -> RewardModel:
    return RewardModel.objects.get(project=trained.project, number=1)


def test_a_run_leaves_the_scores_behind_its_figures(trained: Trained) -> None:
    evaluation = Evaluation.objects.get(reward_model=model_of(trained))
    kept = EvaluationScores.objects.get(evaluation=evaluation)
    ids, sides, a_first = kept.comparison_ids, kept.sides, kept.chosen_is_a
    assert len(ids) == evaluation.n == evaluation.snapshot.split_counts["test"]
    assert (np.diff(ids) > 0).all()
    delta = np.where(a_first, sides[:, 0] - sides[:, 1], sides[:, 1] - sides[:, 0])
    assert ((delta > 0).mean() + (delta == 0).mean() / 2) == pytest.approx(evaluation.accuracy)
    assert evaluation.report["mean_margin"] == pytest.approx(delta.mean(), abs=1e-6)


def test_the_page_says_how_good_the_model_is_beside_what_knows_nothing(trained: Trained) -> None:
    html = page(trained, "models/1/evaluation/", "viewer")
    for text in (
        "What this means", "longest wins", "random", "Log-loss", "Brier score", "Calibration error", "Mean margin",
        "Correlation with length", "worst first", "few pairs", "Beside each person", "Download evaluation.json",
    ):  # fmt: skip
        assert text in html, text
    assert html.count('<div class="plot"><svg') == 1
    assert html.count('class="track"') >= 5
    assert re.search(r"fitted on \d+ pair|fitted by cross-validation", html)
    assert "± 0.00" not in html


def test_pairs_of_rewardbenchs_subsets_have_its_sections_on_the_page(trained: Trained) -> None:
    assert "weighted as its leaderboard does" not in page(trained, "models/1/evaluation/")
    rows = [
        Pair(f"{subset}{i}", (Message("user", f"{subset} {i}?"),), "a", "b", slices={"topic": subset})
        for subset in ("donotanswer", "math-prm")
        for i in range(4)
    ]
    report = evaluate([1.0, 1.0, 1.0, -1.0] * 2, [0.0] * 8, rows).as_dict()
    evaluation = Evaluation.objects.get(reward_model=model_of(trained))
    evaluation.report |= {"rewardbench": report["rewardbench"]}
    evaluation.save()
    html = page(trained, "models/1/evaluation/")
    assert "<b>0.750</b><span>weighted as its leaderboard does</span>" in html
    assert "<b>0.750</b><span>Reasoning</span>" in html
    assert "not in the average: Chat, Chat Hard, Prior Sets" in html


def test_a_rejected_model_stands_beside_the_champion_slice_by_slice(trained: Trained) -> None:
    first = model_of(trained)
    other = second_model(trained, ModelState.REJECTED)
    evaluation = Evaluation.objects.get(reward_model=first)
    Evaluation.objects.create(
        reward_model=other,
        snapshot=first.snapshot,
        accuracy=0.5,
        low=0.4,
        high=0.6,
        n=evaluation.n,
        baselines=evaluation.baselines,
        report=evaluation.report,
    )
    html = page(trained, "models/2/evaluation/")
    assert "champion v1" in html
    assert html.count('data-name="★ v1"') == len(slice_rows(evaluation.report))
    assert f"?a=2&amp;b=1&amp;snapshot={first.snapshot.number}" in html


def later_snapshot(trained: Trained) -> Snapshot:
    """The same labels, split by another seed: some of its held-out prompts were trained on."""
    made = snapshot_create(
        project=trained.project,
        config={"seed": 5, "fractions": {"train": 0.5, "validation": 0.0, "test": 0.5}},
        enqueue=False,
    )
    return snapshot_build(made)


def test_another_snapshot_is_evaluated_by_a_job_and_only_on_what_was_held_out(trained: Trained) -> None:
    snapshot = later_snapshot(trained)
    address = f"models/1/evaluation/?snapshot={snapshot.number}"
    html = page(trained, address)
    assert "has not been evaluated on snapshot v2 yet" in html
    assert "Evaluate it" in html
    assert "A manager of the project can start it." in page(trained, address, "viewer")
    client = open_as(trained, "manager")
    sent = client.post(f"{PROJECT}/models/1/evaluation/", {"snapshot": snapshot.number})
    assert sent.url == f"{PROJECT}/{address}"
    again = client.post(f"{PROJECT}/models/1/evaluation/", {"snapshot": snapshot.number})
    assert again.url == sent.url
    job = Job.objects.get(kind="reward.evaluate")
    # What is announced is a region that stays; the part in it is swapped every two seconds.
    assert '<div aria-live="polite"><div id="evaluation"' in page(trained, address)
    live = page(trained, address, **{"HX-Request": "true"})
    assert 'role="status"' not in live
    assert 'aria-busy="true"' in live
    assert "<html" not in live
    assert 'hx-trigger="every 2s"' in live
    run_inline(job, reraise=True)
    found = Evaluation.objects.get(reward_model__number=1, snapshot=snapshot)
    assert 0 < found.n < snapshot.split_counts["test"]
    assert "What this means" in page(trained, address)
    assert "has not been evaluated" not in page(trained, address)


def test_a_job_whose_model_is_gone_says_so(trained: Trained) -> None:
    job = evaluation_start(model=model_of(trained), snapshot=trained.run.snapshot)
    Job.objects.filter(pk=job.pk).update(params={"model_id": 0, "snapshot_id": 0})
    assert "was deleted" in str(run_inline(Job.objects.get(pk=job.pk)).error)


def test_a_repeat_that_fails_says_so_above_the_figures_from_before(trained: Trained) -> None:
    model = model_of(trained)
    weights = model.folder / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(b"x")
    run_inline(evaluation_start(model=model, snapshot=model.snapshot))
    html = page(trained, "models/1/evaluation/")
    assert "The evaluation failed." in html
    assert "These are the figures from before." in html
    assert "What this means" in html
    weights.write_bytes(kept)
    run_inline(evaluation_start(model=model, snapshot=model.snapshot), reraise=True)
    assert "The evaluation failed." not in page(trained, "models/1/evaluation/")


def test_evaluation_json_names_what_it_was_measured_on(trained: Trained) -> None:
    model = model_of(trained)
    response = open_as(trained, "reviewer").get(f"{PROJECT}/models/1/evaluation.json")
    assert "attachment" in response.headers["Content-Disposition"]
    data = json.loads(response.content)
    assert data["reward_model"] == 1
    assert data["snapshot_hash"] == model.snapshot.content_hash
    assert data["template_hash"] == model.template_hash
    assert {"accuracy", "log_loss", "brier", "ece", "bins", "slices", "temperature"} <= set(data)
    rest = open_as(trained, "reviewer").get(f"/api/v1{PROJECT}/reward-models/1/evaluation")
    assert rest.json() == data
    missing = open_as(trained, "reviewer").get(f"/api/v1{PROJECT}/reward-models/1/evaluation?snapshot=9")
    assert missing.status_code == 404


def test_people_are_named_to_managers_alone(trained: Trained) -> None:
    """`sim` is the labeler of this world."""
    places = (f"{PROJECT}/models/1/evaluation/", f"{PROJECT}/models/1/evaluation.json",
              f"/api/v1{PROJECT}/reward-models/1/evaluation", f"/api/v1{PROJECT}/reward-models/1")  # fmt: skip
    for place in places:
        named, numbered = (
            open_as(trained, role).get(place).content.decode() for role in ("manager", "reviewer")
        )
        assert re.search(r"● sim<|\"sim\"", named), place
        assert not re.search(r"● sim<|\"sim\"", numbered), place
        assert re.search(r"Person 1|\"annotator\": ?1\b", numbered), place


def test_rest_starts_an_evaluation_as_a_job(trained: Trained) -> None:
    url = f"/api/v1{PROJECT}/reward-models/1/evaluation"
    body = {"snapshot": trained.run.snapshot.number}
    sent = open_as(trained, "manager").post(url, body, content_type="application/json")
    assert sent.status_code == 202
    assert Job.objects.get(kind="reward.evaluate").uid.hex == sent.json()["job"].replace("-", "")
    assert open_as(trained, "viewer").post(url, body, content_type="application/json").status_code == 403


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        ((1.0, 1.0, 1.0, 4), Range(1.0, None, None, 4)),  # four right of four: no ± 0.00
        ((0.5, 0.0, 1.0, 2), Range(0.5, None, None, 2)),
        ((None, None, None, 0), Range(None, None, None, 0)),
        ((0.8, 0.7, 0.9, 40), Range(0.8, 0.7, 0.9, 40)),
    ],
)
def test_an_interval_is_stated_only_where_there_is_one(
    figures: tuple[float | None, float | None, float | None, int], shown: Range
) -> None:
    assert honest(*figures) == shown


def test_where_all_are_right_the_interval_is_wilsons() -> None:
    found = honest(1.0, 1.0, 1.0, 14)
    assert found.low == pytest.approx(14 / (14 + 1.96**2), abs=1e-3)
    assert found.high == 1.0


def test_slices_come_worst_first_and_those_of_few_pairs_after_the_others() -> None:
    def part(value: str, share: float, n: int) -> dict[str, object]:
        accuracy = {"value": share, "low": share - 0.1, "high": share + 0.1}
        return {"key": "topic", "value": value, "n": n, "accuracy": accuracy}

    report = {"slices": [part("one", 0.0, 1), part("few", 0.4, 9), part("good", 0.9, 50), part("bad", 0.6, 50),
                         part("none", 0.0, 0)]}  # fmt: skip
    rows = slice_rows(report, {"slices": [part("bad", 0.7, 45)]})
    assert [row.value for row in rows] == ["bad", "good", "few", "one"]
    assert [row.is_few for row in rows] == [False, False, True, True]
    assert [row.champion for row in rows] == [0.7, None, None, None]


REPORT = {
    "n": 400, "ties": 3, "equal_scores": 0, "accuracy": {"value": 0.81, "low": 0.78, "high": 0.84},
    "longest": {"value": 0.70, "low": 0.66, "high": 0.74}, "ece": 0.03, "length_correlation": 0.1,
    "bins": [{"n": 400, "confidence": 0.8, "accuracy": 0.81}],
}  # fmt: skip


def moods(**changes: object) -> list[str]:
    return [said.mood for said in meaning(REPORT | changes)]


def test_sentences_say_what_the_figures_allow() -> None:
    good = [said.text for said in meaning(REPORT)]
    assert good[0].startswith("Of 100 pairs that it has never seen, it prefers")
    assert "81; with other prompts it may be 78 to 84" in good[0]
    assert moods() == ["", "ok", "ok", "ok"]
    assert moods(longest={"value": 0.82})[1] == "bad"
    assert moods(longest={"value": 0.80})[1] == "warn"  # ahead, but the interval reaches below
    assert moods(length_correlation=0.8)[-1] == "warn"
    assert moods(n=40)[0] == "warn"
    assert moods(n=0) == []
    sure = {"ece": 0.2, "bins": [{"n": 400, "confidence": 0.95, "accuracy": 0.75}]}
    assert "surer than it should be" in meaning(REPORT | sure)[2].text
    assert "same score in 2 pairs" in meaning(REPORT | {"equal_scores": 2})[-1].text


def test_sentences_claim_no_more_than_the_figures_beside_them() -> None:
    every = {"accuracy": {"value": 1.0, "low": 1.0, "high": 1.0}, "ece": None, "length_correlation": None}
    four = meaning(REPORT | every | {"n": 4})
    assert [said.mood for said in four] == ["warn"]  # four right of four say nothing about length
    eight = meaning(REPORT | every | {"n": 8})
    assert "it may be 68 to 100" in eight[0].text  # Wilson's
    assert eight[1].mood == "warn"  # and it reaches below 70, which the longer response gets


def test_the_ceiling_is_read_against_votes_and_the_weak_slice_only_where_it_is_sure() -> None:
    people = People([], 0.7, Range(0.84, 0.8, 0.88, 400))
    text = meaning(REPORT, people=people)[2].text
    assert "in 84 (80 to 88, on 400 pairs): up to 14 points may be gained" in text
    assert meaning(REPORT, people=replace(people, everybody=0.83))[2].mood == "ok"
    weak = SliceRow("topic", "code", Range(0.5, 0.4, 0.6, 60))
    assert "Surely weaker on topic: code, right in 50 of 100" in meaning(REPORT, slices=[weak])[-1].text
    unsure = SliceRow("topic", "code", Range(0.7, 0.5, 0.85, 60))
    assert len(meaning(REPORT, slices=[unsure])) == len(meaning(REPORT))


def test_numbers_stand_for_names() -> None:
    figure = {"annotator": "ann", "n": 9, "model": {"value": 0.5, "low": 0.2, "high": 0.8}, "n_others": 0,
              "others": None}  # fmt: skip
    report = {
        "n": 9,
        "annotators": [figure],
        "between_annotators": {"value": None, "low": None, "high": None},
    }
    assert [row["annotator"] for row in without_names(report)["annotators"]] == [1]
    hidden = people_of(without_names(report))
    assert hidden is not None
    assert [row.name for row in hidden.rows] == ["Person 1"]
    assert report["annotators"][0]["annotator"] == "ann"
    assert without_names({"n": 3}) == {"n": 3}
    found = people_of(report)
    assert found is not None
    assert found.everybody == 0.5
    assert people_of({"n": 3}) is None


@pytest.mark.parametrize(
    ("n", "shown"),
    [
        (4, Range(None, None, None, 4)),
        (40, Range(0.8, 0.7, 0.9, 40)),
        (None, Range(None, None, None, 0)),  # from before the pairs were counted
    ],
)
def test_people_are_a_level_on_the_pairs_that_two_of_them_saw(n: int | None, shown: Range) -> None:
    report = {"n": 400, "annotators": [], "between_annotators": {"value": 0.8, "low": 0.7, "high": 0.9}}
    found = people_of(report if n is None else report | {"n_between": n})
    assert found is not None
    assert found.ceiling == shown
    assert len(meaning(REPORT, people=replace(found, everybody=0.7))) == len(meaning(REPORT)) + (n == 40)


def test_the_page_says_on_how_many_pairs_people_agree(trained: Trained) -> None:
    found = Evaluation.objects.get(reward_model=model_of(trained))
    between = {"between_annotators": {"value": 0.8, "low": 0.7, "high": 0.9}}
    Evaluation.objects.update(report=found.report | between | {"n_between": 12})
    html = page(trained, "models/1/evaluation/")
    assert "person–person · n 12" in html
    assert "agree in 0.80 (0.70–0.90, on 12 pairs)" in html
    Evaluation.objects.update(report=found.report | between | {"n_between": 3})
    html = page(trained, "models/1/evaluation/")
    assert "0.80 ± 0.10" not in html
    assert "How far people agree is not known" in html


def test_an_address_with_nonsense_is_read_as_without(trained: Trained) -> None:
    client = open_as(trained, "viewer")
    for query in ("?snapshot=x", "?snapshot=-1", "?snapshot=" + "9" * 40):
        assert client.get(f"{PROJECT}/models/1/evaluation/{query}").status_code == 200
    assert client.get(f"{PROJECT}/models/1/evaluation/?snapshot=77").status_code == 404
    assert Client().get(f"{PROJECT}/models/1/evaluation/").status_code == 302
