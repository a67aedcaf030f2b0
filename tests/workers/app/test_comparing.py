"""Two models on the same held-out pairs: what is compared, what is kept, what the page and REST say."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.access import labeler_for
from labeling.models import Assignment, Comparison, Reveal, Snapshot
from labeling.services.snapshots import snapshot_build, snapshot_create
from tests.workers.app.conftest import Trained
from tests.workers.app.test_pages import PROJECT, open_as, page
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from workers.meaning import Said, comparison_meaning
from workers.models import Evaluation, EvaluationScores, ModelComparison, RewardModel
from workers.selectors.evaluations import comparison_of, comparisons_of, slice_gaps
from workers.services.comparing import comparison_report, comparison_start
from workers.services.evaluating import evaluation_start
from workers.services.held_out import held_out

pytestmark = pytest.mark.django_db


def copy_of(model: RewardModel, number: int, snapshot: Snapshot | None = None) -> RewardModel:
    """Another version with the same weights, said to be trained on `snapshot`."""
    other = RewardModel.objects.create(
        project=model.project,
        number=number,
        kind=model.kind,
        state="rejected",
        path=f"models/{model.project_id}/{number}",
        snapshot=snapshot or model.snapshot,
        config=model.config,
        code_version="x",
        template_hash=model.template_hash,
        temperature=model.temperature,
    )
    shutil.copytree(model.folder, other.folder)
    return other


def compared(trained: Trained, *, number: int = 2, snapshot: Snapshot | None = None) -> ModelComparison:
    first = RewardModel.objects.get(project=trained.project, number=1)
    row = comparison_start(
        model_a=RewardModel.objects.filter(number=number).first() or copy_of(first, number),
        model_b=first,
        snapshot=snapshot or first.snapshot,
    )
    run_inline(Job.objects.get(uid=row.job_uid), reraise=True)
    row.refresh_from_db()
    return row


def turned_round(row: ModelComparison) -> None:
    """Let the first model say the opposite of the second on every pair."""
    kept = EvaluationScores.objects.get(
        evaluation__reward_model=row.model_a, evaluation__snapshot=row.snapshot
    )
    kept.score_a, kept.score_b = kept.score_b, kept.score_a
    kept.save()


def test_equal_models_are_equal_and_missing_scores_are_made(trained: Trained) -> None:
    row = compared(trained)
    report = row.report
    assert report["n"] == Evaluation.objects.get(reward_model__number=2).n
    assert report["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert report["worse_share"] == 0.0
    assert report["counts"]["only_a"] == report["counts"]["only_b"] == 0
    assert report["disagreements"] == []
    html = page(trained, f"models/compare/?a=2&b=1&snapshot={row.snapshot.number}", "viewer")
    assert "equally accurate" in html
    assert "They prefer the same response in every pair." in html
    assert "no interval" in html  # every resample is the same


def test_opposite_models_differ_on_every_pair_and_the_largest_doubt_comes_first(trained: Trained) -> None:
    row = compared(trained)
    turned_round(row)
    first, second = (
        EvaluationScores.objects.get(evaluation__reward_model=model) for model in (row.model_a, row.model_b)
    )
    report = comparison_report(row, first, second)
    right = report["b"]["accuracy"]["value"]
    assert report["a"]["accuracy"]["value"] == pytest.approx(1 - right)
    assert report["difference"]["value"] == pytest.approx(1 - 2 * right)
    counts = report["counts"]
    assert counts["only_a"] + counts["only_b"] == report["n"]
    assert counts["both_right"] == counts["both_wrong"] == 0
    gaps = [abs(pair["p_a_first"] - pair["p_a_second"]) for pair in report["disagreements"]]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps
    people = {int(pair.pair_id): pair for pair in held_out(row.snapshot)}
    for pair in report["disagreements"]:
        assert pair["p_a_first"] == pytest.approx(1 - pair["p_a_second"])
        assert people[pair["comparison"]].p_chosen == 1.0
        assert pair["people"] in ("a", "b")
    assert "annotators" not in report["a"]  # nobody's name


def test_pairs_that_one_of_them_was_trained_on_are_left_out(trained: Trained) -> None:
    made = snapshot_create(
        project=trained.project,
        config={"seed": 5, "fractions": {"train": 0.5, "validation": 0.0, "test": 0.5}},
        enqueue=False,
    )
    later = snapshot_build(made)
    first = RewardModel.objects.get(project=trained.project, number=1)
    copy_of(first, 2, later)
    row = compared(trained, snapshot=later)
    trained_on = {pair.prompt_key for pair in held_out(first.snapshot)}
    assert row.report["left_out"] + row.report["n"] == later.split_counts["test"]
    assert 0 < row.report["n"] < later.split_counts["test"]
    kept = EvaluationScores.objects.get(evaluation__reward_model=first, evaluation__snapshot=later)
    pairs = {int(pair.pair_id): pair for pair in held_out(later)}
    assert {pairs[pk].prompt_key for pk in kept.comparison_ids.tolist()} <= trained_on


def test_without_a_common_pair_the_page_says_so(trained: Trained) -> None:
    row = compared(trained)
    kept = EvaluationScores.objects.get(evaluation__reward_model=row.model_a)
    ids = kept.comparison_ids + 1_000_000
    kept.comparisons = np.asarray(ids, dtype="<i8").tobytes()
    kept.save()
    second = EvaluationScores.objects.get(evaluation__reward_model=row.model_b)
    report = comparison_report(row, kept, second)
    assert report == {"n": 0, "left_out": row.snapshot.split_counts["test"], "no_verdict": 0}
    ModelComparison.objects.update(report=report)
    html = page(trained, f"models/compare/?a=2&b=1&snapshot={row.snapshot.number}")
    assert "no held-out pair that neither model was trained on" in html


def test_the_other_order_is_the_same_comparison_seen_from_the_other_side(trained: Trained) -> None:
    row = compared(trained)
    turned_round(row)
    scores = [EvaluationScores.objects.get(evaluation__reward_model=m) for m in (row.model_a, row.model_b)]
    row.report = comparison_report(row, *scores)
    row.save()
    again = comparison_start(model_a=row.model_b, model_b=row.model_a, snapshot=row.snapshot)
    assert again.pk == row.pk
    assert Job.objects.filter(kind="reward.compare").count() == 1
    found = comparison_of(row.model_b, row.model_a, row.snapshot)
    assert found is not None
    # What the job would have made of the two in this order.
    other = ModelComparison(
        project=row.project, model_a=row.model_b, model_b=row.model_a, snapshot=row.snapshot
    )
    made = comparison_report(other, *reversed(scores))
    assert json.loads(json.dumps(found.report)) == approximately(json.loads(json.dumps(made)))
    assert found.report["difference"]["value"] == -row.report["difference"]["value"]
    html = page(trained, f"models/compare/?a=1&b=2&snapshot={row.snapshot.number}", "viewer")
    assert "What this means" in html


def approximately(value: object) -> object:
    """Equal in all but the last digits of numbers."""
    if isinstance(value, dict):
        return {key: approximately(part) for key, part in value.items()}
    if isinstance(value, list):
        return [approximately(part) for part in value]
    return pytest.approx(value, abs=1e-12) if isinstance(value, float) else value


def test_a_model_that_is_evaluated_anew_is_compared_anew(trained: Trained) -> None:
    row = compared(trained)
    run_inline(evaluation_start(model=row.model_b, snapshot=row.snapshot), reraise=True)
    row.refresh_from_db()
    assert row.report == {}
    again = comparison_start(model_a=row.model_a, model_b=row.model_b, snapshot=row.snapshot)
    assert again.job_uid != row.job_uid


def test_links_to_earlier_comparisons_read_no_reports(trained: Trained) -> None:
    row = compared(trained)
    with CaptureQueriesContext(connection) as captured:
        [found] = comparisons_of(row.project)
        assert (str(found.model_a), str(found.model_b), str(found.snapshot)) == ("v2", "v1", "v1")
    [sql] = [query["sql"] for query in captured if "workers_modelcomparison" in query["sql"]]
    assert "report" not in sql.split(" FROM ")[0]


def test_what_was_compared_is_kept_and_asked_for_once(trained: Trained) -> None:
    first = RewardModel.objects.get(project=trained.project, number=1)
    copy_of(first, 2)
    client = open_as(trained, "manager")
    asked = {"a": 2, "b": 1, "snapshot": first.snapshot.number}
    url = f"{PROJECT}/models/compare/"
    before = client.get(url, asked).content.decode()
    assert "have not been compared on snapshot" in before
    assert "Compare them" in before
    assert "Compare them" not in open_as(trained, "viewer").get(url, asked).content.decode()
    assert client.post(url, asked).url == f"{url}?a=2&b=1&snapshot={first.snapshot.number}"
    client.post(url, asked)
    job = Job.objects.get(kind="reward.compare")
    live = client.get(url, asked, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 2s"' in live
    assert "<html" not in live
    run_inline(job, reraise=True)
    client.post(url, asked)
    assert Job.objects.filter(kind="reward.compare").count() == 1
    done = client.get(url, asked).content.decode()
    assert "What this means" in done
    assert "every 2s" not in done
    assert "v2 against v1 on snapshot v1" in client.get(url).content.decode()


def test_a_failed_comparison_says_why_and_may_be_asked_for_again(trained: Trained) -> None:
    first = RewardModel.objects.get(project=trained.project, number=1)
    other = copy_of(first, 2)
    (other.folder / "model.safetensors").write_bytes(b"x")
    row = comparison_start(model_a=other, model_b=first, snapshot=first.snapshot)
    run_inline(Job.objects.get(uid=row.job_uid))
    address = f"models/compare/?a=2&b=1&snapshot={first.snapshot.number}"
    html = page(trained, address)
    assert "The comparison failed." in html
    assert "damaged" in html
    again = comparison_start(model_a=other, model_b=first, snapshot=first.snapshot)
    assert again.pk == row.pk
    assert again.job_uid != row.job_uid


def test_rest_says_how_far_the_job_is_and_why_it_failed(trained: Trained) -> None:
    first = RewardModel.objects.get(project=trained.project, number=1)
    other = copy_of(first, 2)
    (other.folder / "model.safetensors").write_bytes(b"x")
    row = comparison_start(model_a=other, model_b=first, snapshot=first.snapshot)
    url, asked = (
        f"/api/v1{PROJECT}/reward-models/compare",
        {"a": 2, "b": 1, "snapshot": first.snapshot.number},
    )
    found = open_as(trained, "viewer").get(url, asked).json()
    assert (found["done"], found["state"], found["job"]) == (False, "queued", str(row.job_uid))
    run_inline(Job.objects.get(uid=row.job_uid))
    found = open_as(trained, "viewer").get(url, asked).json()
    assert (found["done"], found["state"]) == (False, "failed")
    assert "damaged" in found["error"]


def test_the_choice_speaks_up(trained: Trained) -> None:
    assert "A comparison needs two models." in page(trained, "models/compare/")
    copy_of(RewardModel.objects.get(project=trained.project, number=1), 2)
    assert "Choose two different models." in page(trained, "models/compare/?a=1&b=1")
    html = page(trained, "models/compare/")
    assert html.count(" selected") == 2  # the newest against the champion
    client = open_as(trained, "manager")
    assert client.get(f"{PROJECT}/models/compare/?a=1&b=99").status_code == 404
    assert client.get(f"{PROJECT}/models/compare/?a=x&b=1").status_code == 200
    assert client.post(f"{PROJECT}/models/compare/", {"a": "1", "b": "1"}).url == f"{PROJECT}/models/compare/"


def test_a_choice_older_than_the_lists_stays_chosen(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.views.comparing.MODELS_SHOWN", 1)
    monkeypatch.setattr("workers.selectors.evaluations.SNAPSHOTS_SHOWN", 0)
    copy_of(RewardModel.objects.get(project=trained.project, number=1), 2)
    number = trained.run.snapshot.number
    html = page(trained, f"models/compare/?a=2&b=1&snapshot={number}")
    assert html.count(" selected>") == 3
    assert html.count('<option value="1" selected>') == 2  # the older model, and the snapshot
    html = page(trained, f"models/1/evaluation/?snapshot={number}")
    assert f'<option value="{number}" selected>' in html


def test_a_pair_in_hand_shows_its_prompt_alone(trained: Trained) -> None:
    """Invariant 3: who is labeling one of the responses learns nothing about it."""
    from django.utils import timezone

    row = compared(trained)
    turned_round(row)
    scores = [EvaluationScores.objects.get(evaluation__reward_model=m) for m in (row.model_a, row.model_b)]
    row.report = comparison_report(row, *scores)
    row.save()
    pk = row.report["disagreements"][0]["comparison"]
    address = f"models/compare/?a=2&b=1&snapshot={row.snapshot.number}"
    before = page(trained, address, "reviewer")
    Assignment.objects.create(
        comparison_id=pk,
        labeler=labeler_for(trained.people["reviewer"], trained.project),
        state="leased",
        swapped=False,
        drawn="priority",
        lease_expires_at=timezone.now(),
    )
    after = page(trained, address, "reviewer")
    assert after.count("open after your answer") == 1
    assert after.count("P(A)") == before.count("P(A)") - 2
    assert "open after your answer" not in page(trained, address, "manager")


def test_what_people_and_models_say_is_shown_alike_by_page_and_rest_and_recorded(trained: Trained) -> None:
    """Invariant 3: REST closes what the page closes, and both leave a reveal of what they show."""
    row = compared(trained)
    turned_round(row)
    scores = [EvaluationScores.objects.get(evaluation__reward_model=m) for m in (row.model_a, row.model_b)]
    row.report = comparison_report(row, *scores)
    row.save()
    pks = [pair["comparison"] for pair in row.report["disagreements"]]
    held = Comparison.objects.get(pk=pks[0])
    Assignment.objects.create(
        comparison=held,
        labeler=labeler_for(trained.people["reviewer"], trained.project),
        state="leased",
        swapped=False,
        drawn="priority",
        lease_expires_at=timezone.now(),
    )
    in_hand = {held.response_a_id, held.response_b_id}
    sides = Comparison.objects.filter(pk__in=pks).values_list("pk", "response_a_id", "response_b_id")
    closed = {pk for pk, *responses in sides if in_hand & set(responses)}
    asked = {"a": 2, "b": 1, "snapshot": row.snapshot.number}
    found = open_as(trained, "reviewer").get(f"/api/v1{PROJECT}/reward-models/compare", asked).json()
    assert [pair["comparison"] for pair in found["disagreements"]] == pks
    for pair in found["disagreements"]:
        assert (
            ("people" in pair) == ("p_a_first" in pair) == pair["open"] == (pair["comparison"] not in closed)
        )
    seen = Reveal.objects.filter(user=trained.people["reviewer"])
    assert set(seen.values_list("comparison_id", flat=True)) == set(pks) - closed
    page(trained, f"models/compare/?a=2&b=1&snapshot={row.snapshot.number}", "manager")
    seen = Reveal.objects.filter(user=trained.people["manager"])
    assert set(seen.values_list("comparison_id", flat=True)) == set(pks)


def test_the_page_costs_the_same_however_many_pairs_differ(trained: Trained) -> None:
    row = compared(trained)
    turned_round(row)
    scores = [EvaluationScores.objects.get(evaluation__reward_model=m) for m in (row.model_a, row.model_b)]
    report = comparison_report(row, *scores)
    assert len(report["disagreements"]) > 4
    url = f"{PROJECT}/models/compare/?a=2&b=1&snapshot={row.snapshot.number}"
    client, counts = open_as(trained, "viewer"), []
    for kept in (report["disagreements"][:1], report["disagreements"]):
        ModelComparison.objects.update(report={**report, "disagreements": kept})
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url).status_code == 200
        counts.append(len(captured))
    assert counts == [21, 21]  # two for the reveals


def test_rest_compares_and_lists(trained: Trained) -> None:
    first = RewardModel.objects.get(project=trained.project, number=1)
    copy_of(first, 2)
    url, client = f"/api/v1{PROJECT}/reward-models/compare", open_as(trained, "manager")
    asked = {"a": 2, "b": 1, "snapshot": first.snapshot.number}
    assert client.get(url, asked).status_code == 404
    sent = client.post(url, asked, content_type="application/json")
    assert (sent.status_code, sent.json()["done"]) == (202, False)
    run_inline(Job.objects.get(uid=sent.json()["job"]), reraise=True)
    found = open_as(trained, "viewer").get(url, asked).json()
    assert (found["model_a"], found["model_b"], found["snapshot"]) == (2, 1, first.snapshot.number)
    assert {"difference", "worse_share", "slices", "counts", "disagreements"} <= set(found)
    assert client.get(url).json() == {
        "results": [{"model_a": 2, "model_b": 1, "snapshot": first.snapshot.number}]
    }
    assert client.get(url, {"a": 1}).status_code == 400
    assert client.post(url, asked | {"b": 2}, content_type="application/json").status_code == 400
    assert open_as(trained, "viewer").post(url, asked, content_type="application/json").status_code == 403


def said_of(value: float, low: float, high: float, n: int = 100) -> list[Said]:
    counts = {"both_right": 50, "only_a": 10, "only_b": 5, "both_wrong": 35}
    difference = {"value": value, "low": low, "high": high}
    # Ties among resamples count as "not worse": no verdict may rest on this share.
    report = {"n": n, "difference": difference, "worse_share": 0.0, "counts": counts}
    return comparison_meaning(report, "v2", "v1")


@pytest.mark.parametrize(
    ("value", "low", "high", "n", "mood", "mirrored"),
    [
        (0.1, 0.02, 0.18, 100, "ok", "bad"),
        (0.1, -0.02, 0.22, 100, "warn", "warn"),
        (0.01, 0.0, 0.03, 100, "warn", "warn"),  # no resample is worse, and a third of them equal
        (0.2, 0.1, 0.3, 29, "warn", "warn"),  # too few pairs
        (1.0, 1.0, 1.0, 1, "warn", "warn"),
        (0.0, 0.0, 0.0, 100, "", ""),
    ],
)
def test_the_sentence_goes_no_further_than_the_interval_and_mirrors_with_the_order(
    value: float, low: float, high: float, n: int, mood: str, mirrored: str
) -> None:
    assert said_of(value, low, high, n)[0].mood == mood
    assert said_of(-value, -high, -low, n)[0].mood == mirrored


def test_the_sentence_counts_its_pairs() -> None:
    assert "this 1 pair does not tell" in said_of(1.0, 1.0, 1.0, 1)[0].text
    differ = "They differ on 15 of 100 pairs: v2 alone is right on 10 of these, v1 alone on 5."
    assert differ in said_of(0.1, 0.02, 0.18)[1].text


def test_slices_where_the_first_falls_behind_come_first() -> None:
    def part(value: str, gap: float, n: int) -> dict[str, object]:
        difference = {"value": gap, "low": gap - 0.1, "high": gap + 0.1}
        return {"key": "topic", "value": value, "n": n, "a": 0.5, "b": 0.5 - gap, "difference": difference}

    rows = slice_gaps({"slices": [part("up", 0.2, 50), part("tiny", -0.9, 3), part("down", -0.1, 50)]})
    assert [row.value for row in rows] == ["down", "up", "tiny"]
    assert rows[2].gap.low is None
