"""Scores become the queue's order; judges that contradict the model come first; the champion is a judge
too."""

from __future__ import annotations

import random
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.db import transaction
from django.utils import timezone

from judging.models import Judge, JudgeVersion, Verdict
from labeling.models import Comparison
from tests.workers.app.conftest import Trained
from tests.workers.app.world import add_comparison, make_world
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from workers.judge_bridge import pair_probabilities
from workers.models import RewardModel, Score
from workers.reward.predict import entropy
from workers.selectors.judged import judge_probabilities, judge_probability
from workers.selectors.models import champion_of
from workers.selectors.scores import comparison_opinions, score_bins
from workers.services.reorder import conflict, reorder_queue
from workers.services.scoring import scoring_start, scoring_tick, unscored
from workers.services.training import training_start

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def add_verdict(
    comparison: Comparison, version: JudgeVersion, order: str, p_a: float | None, **fields: str
) -> None:
    outcome = "" if p_a is None else ("a" if p_a > 0.5 else "b")
    Verdict.objects.create(
        judge_version=version,
        comparison=comparison,
        order=order,
        status=fields.get("status", "ok"),
        outcome=outcome,
        p_a=p_a,
        parser_version="1",
        provenance_hash=f"{version.pk}:{comparison.pk}:{order}",
    )


def make_version(trained: Trained, name: str, engine: str = "openai", number: int = 1) -> JudgeVersion:
    judge, _made = Judge.objects.get_or_create(project=trained.project, name=name)
    return JudgeVersion.objects.create(
        judge=judge,
        number=number,
        engine=engine,
        model="m",
        template="t",
        template_version="1",
        provenance_hash="h",
    )


def reordered(trained: Trained) -> RewardModel:
    champion = champion_of(trained.project)
    assert champion is not None
    reorder_queue(champion, guard=transaction.atomic, progress=lambda *_a: None)
    return champion


def test_the_open_queue_stands_in_the_order_of_doubt(trained: Trained) -> None:
    """Where no two comparisons share a response, the priority is the entropy of P(a beats b)."""
    champion = champion_of(trained.project)
    assert champion is not None
    queue = list(Comparison.objects.filter(pk__in=trained.world.open_ids).order_by("-priority"))
    views = comparison_opinions(champion, trained.world.open_ids)
    doubt = [float(entropy(views[c.pk].p_a)) for c in queue]
    assert [c.priority for c in queue] == pytest.approx(doubt)
    assert doubt == sorted(doubt, reverse=True)
    assert doubt[0] > doubt[-1]


def test_what_is_known_of_a_response_lowers_the_priority(trained: Trained) -> None:
    """One response in a settled comparison, in its own open one, and in a second: 1 label, then 2."""
    first = Comparison.objects.get(pk=trained.world.open_ids[0])
    settled = Comparison.objects.get(pk=trained.world.labeled_ids[0])
    fresh = Comparison.objects.get(pk=trained.world.open_ids[1])
    pairs = {
        "settled": (first.response_a, settled.response_a),
        "second": (first.response_a, fresh.response_a),
    }
    made = {
        name: Comparison.objects.create(
            project=trained.project, prompt=first.prompt, response_a=x, response_b=y, state=state
        )
        for (name, (x, y)), state in zip(pairs.items(), ("done", "open"), strict=True)
    }
    champion = reordered(trained)
    views = comparison_opinions(champion, [first.pk, fresh.pk, made["second"].pk])
    queue = [first, fresh, made["second"]]
    for comparison in queue:
        comparison.refresh_from_db()
    labels = {first.response_a_id: 1}
    for comparison in sorted(queue, key=lambda c: -c.priority):  # turn by turn, by hand
        a, b = (labels.get(pk, 0) for pk in (comparison.response_a_id, comparison.response_b_id))
        expected = float(entropy(views[comparison.pk].p_a)) * (1 / (1 + a) + 1 / (1 + b)) / 2
        assert comparison.priority == pytest.approx(expected)
        for pk in (comparison.response_a_id, comparison.response_b_id):
            labels[pk] = labels.get(pk, 0) + 1
    assert labels[first.response_a_id] == 3


def test_a_judge_that_names_the_other_winner_raises_the_priority(trained: Trained) -> None:
    champion = champion_of(trained.project)
    assert champion is not None
    views = comparison_opinions(champion, trained.world.open_ids)
    surest = max(views, key=lambda pk: abs(views[pk].p_a - 0.5))
    comparison = Comparison.objects.get(pk=surest)
    against = 0.02 if views[surest].p_a > 0.5 else 0.98
    version = make_version(trained, "strict")
    for order in ("ab", "ba"):
        add_verdict(comparison, version, order, against)

    changed = reorder_queue(champion, guard=transaction.atomic, progress=lambda *_a: None)

    assert changed == len(trained.world.open_ids)
    comparison.refresh_from_db()
    assert comparison.priority_reason == "conflict"
    assert comparison.priority == pytest.approx(abs(views[surest].p_a - against), abs=1e-6)


def test_conflict_needs_two_different_winners() -> None:
    assert conflict(0.9, 0.6) == 0.0
    assert conflict(0.9, 0.5) == 0.0
    assert conflict(0.9, 0.2) == pytest.approx(0.7)


def test_judges_are_averaged_over_orders_and_failures_left_out(trained: Trained) -> None:
    first, second = (Comparison.objects.get(pk=pk) for pk in trained.world.open_ids[:2])
    old, new = make_version(trained, "j"), make_version(trained, "j", number=2)
    add_verdict(first, old, "ab", 0.01)
    add_verdict(first, new, "ab", 0.9)
    add_verdict(first, new, "ba", 0.9)
    add_verdict(second, new, "ab", None, status="unparsed")
    scorer = make_version(trained, "the model itself", engine="scorer")
    add_verdict(second, scorer, "ab", 0.99)

    found = judge_probabilities([first.pk, second.pk])

    assert found == {first.pk: pytest.approx(0.9)}


def test_verdicts_without_probabilities_are_counted() -> None:
    # Jeffreys' prior: two wins of two are 2.5 / 3, a win and a loss are one half.
    assert judge_probability([(None, "a"), (None, "a")]) == pytest.approx(2.5 / 3)
    assert judge_probability([(None, "a"), (None, "b")]) == pytest.approx(0.5)


def test_new_responses_are_scored_by_a_job_that_waits_once(trained: Trained) -> None:
    comparison, _outcome = add_comparison(trained.world, random.Random(5), 5000)
    champion = champion_of(trained.project)
    assert champion is not None
    assert unscored(champion).count() == 2
    job = scoring_start(project=trained.project)
    assert job is not None
    assert scoring_start(project=trained.project) == job

    done = run_inline(job, reraise=True)

    assert done.result["scored"] == 2
    comparison.refresh_from_db()
    assert comparison.priority_reason == "uncertain"
    assert run_inline(scoring_start(project=trained.project), reraise=True).result["scored"] == 0


def test_scoring_needs_a_champion(db: None) -> None:
    assert scoring_start(project=make_world(labeled=10, unlabeled=0).project) is None


def test_the_bridge_gives_the_champions_probabilities(trained: Trained) -> None:
    new, _outcome = add_comparison(trained.world, random.Random(6), 6000)
    known = trained.world.open_ids[0]
    other = make_world(labeled=10, unlabeled=1, slug="no-champion")

    found = pair_probabilities([known, new.pk, other.open_ids[0], 10**9])

    assert found[new.pk] is found[other.open_ids[0]] is found[10**9] is None
    champion = champion_of(trained.project)
    assert champion is not None
    scores = dict(Score.objects.filter(reward_model=champion).values_list("response_id", "heads"))
    row = Comparison.objects.get(pk=known)
    heads = [
        np.frombuffer(bytes(scores[pk]), "<f4").astype(float) for pk in (row.response_a_id, row.response_b_id)
    ]
    by_hand = 1 / (1 + np.exp(-(heads[0] - heads[1]) / champion.temperature))
    assert found[known].p_a == pytest.approx(by_hand.mean(), abs=1e-6)
    assert found[known].std == pytest.approx(by_hand.std(), abs=1e-6)


def test_the_histogram_counts_every_response(trained: Trained) -> None:
    champion = champion_of(trained.project)
    assert champion is not None
    assert sum(count for _middle, count in score_bins(champion)) == Score.objects.count()
    assert score_bins(RewardModel(pk=0)) == []


def test_reordering_twice_changes_nothing(trained: Trained) -> None:
    champion = champion_of(trained.project)
    assert champion is not None
    before = dict(Comparison.objects.values_list("pk", "priority"))
    reorder_queue(champion, guard=nullcontext, progress=lambda *_a: None)
    assert dict(Comparison.objects.values_list("pk", "priority")) == before


def test_what_people_put_first_meanwhile_stays_first(trained: Trained) -> None:
    """A manager and a reviewer set priorities while the order is being made; the loop writes around them."""
    champion = champion_of(trained.project)
    assert champion is not None
    by_hand, sent_back, *_rest = trained.world.open_ids

    def progress(_done: int, _total: int, _note: str) -> None:
        for pk, reason in ((by_hand, "by hand"), (sent_back, "sent back")):
            Comparison.objects.filter(pk=pk).update(priority=50.0, priority_reason=reason)

    for _time in range(2):  # the second time they are not even read
        reorder_queue(champion, guard=transaction.atomic, progress=progress)
        kept = Comparison.objects.filter(priority=50.0).values_list("pk", "priority_reason")
        assert dict(kept) == {by_hand: "by hand", sent_back: "sent back"}


def test_the_tick_scores_what_an_import_brought(trained: Trained) -> None:
    assert scoring_tick() == 0
    add_comparison(trained.world, random.Random(7), 7000)
    assert scoring_tick() == 1
    assert scoring_tick() == 0  # one that waits is enough
    job = Job.objects.get(kind="reward.score")
    Job.objects.filter(pk=job.pk).update(state="failed", finished_at=timezone.now())
    assert scoring_tick() == 0  # a broken model is not tried every minute
    Job.objects.filter(pk=job.pk).update(finished_at=timezone.now() - timedelta(hours=2))
    assert scoring_tick() == 1
    run_inline(Job.objects.filter(state="queued").get(), reraise=True)
    assert scoring_tick() == 0


def test_the_tick_finds_a_response_below_ids_that_have_scores(trained: Trained) -> None:
    """An import beside another may commit smaller ids later: here the scores of one are gone."""
    late = Score.objects.order_by("response_id").first()
    assert late is not None
    late.delete()
    assert scoring_tick() == 1
    run_inline(Job.objects.get(kind="reward.score"), reraise=True)
    assert Score.objects.filter(response_id=late.response_id).exists()
    assert scoring_tick() == 0


def test_every_id_has_its_turn(trained: Trained, monkeypatch) -> None:
    """With more ids than one tick looks at, whichever response lacks its score is found in one round."""
    monkeypatch.setattr("workers.services.scoring.TICK_IDS", 10)
    monkeypatch.setattr("workers.services.scoring._score", lambda project: True)
    ids = sorted(Score.objects.values_list("response_id", flat=True))
    turns = -(-(ids[-1] + 1 - ids[0] - 10) // 10)
    ticks = [NOON + timedelta(minutes=minute) for minute in range(turns)]
    assert [scoring_tick(now=moment) for moment in ticks] == [0] * turns
    for pk in (ids[0], ids[9], ids[10], ids[len(ids) // 2], ids[-12]):
        kept = Score.objects.get(response_id=pk)
        kept.delete()
        assert sum(scoring_tick(now=moment) for moment in ticks) == 1
        kept.save(force_insert=True)
    Score.objects.get(response_id=ids[-1]).delete()
    assert [scoring_tick(now=moment) for moment in ticks] == [1] * turns


def test_a_project_that_trains_is_scored_by_its_run(trained: Trained) -> None:
    training_start(project=trained.project)
    add_comparison(trained.world, random.Random(7), 7000)
    assert scoring_tick() == 0


def test_a_project_goes_with_all_it_trained(trained: Trained) -> None:
    trained.project.delete()
    assert not RewardModel.objects.exists()
    assert not Score.objects.exists()
