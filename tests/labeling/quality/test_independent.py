"""Figures on people are made of what each said by the own judgement: before the reveal, and of others' texts."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.models import Reveal
from labeling.selectors.agreement import project_agreement
from labeling.selectors.anchoring import project_anchoring
from labeling.selectors.label import labels_today
from labeling.selectors.labelers import figures_of_one, labeler_figures
from labeling.selectors.own_statistics import checked_by_midnight, own_statistics
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit
from labeling.services.ranking import ranking_next
from labeling.services.reliability import fit_values, votes_read
from labeling.services.rewriting import rewrite_submit
from tests.factories import make_member
from tests.labeling.ranking import builders as rankings
from tests.labeling.resolution.builders import (
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    vote,
)

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - timedelta(days=3)


def opposed(pairs=24):
    """Two people who never agree, the second of whom is right about what is known."""
    project = make_project()
    first, second = make_labeler(project, "First"), make_labeler(project, "Second")
    user = make_member(project)
    second.user = user
    second.save()
    comparisons = [make_comparison(make_prompt(project), gold_outcome="b") for _pair in range(pairs)]
    for comparison in comparisons:
        vote(comparison, first, "a", created_at=LONG_AGO)
        vote(comparison, second, "b", created_at=LONG_AGO)
    return project, first, second, comparisons


def shown(comparison, person):
    reveal = Reveal.objects.create(comparison=comparison, user=person.user)
    Reveal.objects.filter(pk=reveal.pk).update(created_at=LONG_AGO + timedelta(minutes=1))


def come_round(comparisons, person):
    """The person is shown the others' votes, and says the same from then on."""
    for comparison in comparisons:
        shown(comparison, person)
        vote(comparison, person, "a", after_reveal=True, created_at=LONG_AGO + timedelta(minutes=2))


def test_who_comes_round_to_the_others_agrees_no_more_than_before():
    project, first, second, comparisons = opposed()
    come_round(comparisons, second)
    found = project_agreement(project, minimum=5)
    assert (found.comparisons, found.pairwise.value) == (24, 0)
    for figures in (labeler_figures(project)[second.pk], figures_of_one(second)):
        assert (figures.labels, figures.others.value, figures.gold.value) == (24, 0, 1)
    assert figures_of_one(first).others.value == 0
    checked = checked_by_midnight(second)
    assert (checked.others.percent, checked.gold.percent) == (0, 100)
    assert project_anchoring(project).changed.value == 1


def test_reliabilities_are_those_of_what_was_said_before():
    project, _first, second, comparisons = opposed()
    before = fit_values(votes_read(project))
    come_round(comparisons, second)
    after = fit_values(votes_read(project))
    assert after["up_to"] > before["up_to"]
    assert (after["people"], after["preference_count"]) == (before["people"], 48)


def test_an_answer_that_was_undone_is_none_though_it_was_the_last_before_the_reveal():
    project, _first, second, comparisons = opposed(6)
    for comparison, is_seen in zip(comparisons, [False, True] * 3, strict=True):
        shown(comparison, second)
        vote(comparison, second, "withdrawn", after_reveal=is_seen)
        vote(comparison, second, "a", after_reveal=True)
    assert project_agreement(project, minimum=1).comparisons == 0
    assert second.pk not in labeler_figures(project)


def test_who_has_said_all_after_a_reveal_has_no_figures(as_role):
    project = make_project()
    late = make_labeler(project, "Late")
    vote(make_comparison(make_prompt(project)), late, "a", after_reveal=True)
    assert labeler_figures(project) == {}
    page = as_role(project, "viewer").get(reverse("labeling:labeler", args=[project.slug, late.uid]))
    assert (
        "This person has no label yet that was given before seeing what others say." in page.content.decode()
    )


def test_a_rewrite_is_no_vote_of_its_author():
    project = rankings.ranking_project()
    rankings.add_prompt(project, 2)
    labeler = rankings.make_labeler(project)
    lease = lease_next(labeler)[0]
    child = rewrite_submit(
        assignment=lease, side="left", text="A much longer answer. " * 9, idempotency_key="k"
    )
    assert labels_today(labeler) == 0
    assert labeler_figures(project) == {}
    assert len(votes_read(project).items) == 0
    preference_submit(assignment=lease, data={"choice": "tie"}, idempotency_key="v")
    [figures] = labeler_figures(project).values()
    assert (figures.labels, figures.longer) == (1, None)
    assert (labels_today(labeler), len(votes_read(project).items)) == (1, 1)
    statistics = own_statistics(labeler)
    assert (statistics.figures.labels, statistics.days[-1][1]) == (1, 1)
    # What others say of it is a vote like any other.
    judge = rankings.make_labeler(project)
    pair = project.comparisons.exclude(pk=lease.comparison_id).get()
    vote(pair, judge, "a" if pair.response_a_id == child.pk else "b")
    assert labeler_figures(project)[judge.pk].longer.value == 1
    assert labeler_figures(project)[judge.pk].others is None


def test_a_ranking_is_one_answer_of_an_hour():
    project = rankings.ranking_project()
    labeler = rankings.make_labeler(project)
    start = timezone.now() - timedelta(hours=2)
    for number in range(12):
        rankings.add_prompt(project, 4)
        task = ranking_next(labeler)
        rankings.rank(task, [1, 2, 3, 4], key=f"k{number}", now=start + timedelta(minutes=number))
    figures = labeler_figures(project)[labeler.pk]
    assert figures.labels == 12 * 6
    assert figures.rate == pytest.approx(60)


def test_a_ranking_counts_its_pairs_today():
    project = rankings.ranking_project()
    labeler = rankings.make_labeler(project)
    rankings.add_prompt(project, 4)
    rankings.rank(ranking_next(labeler), [1, 2, 3, 4])
    assert labels_today(labeler) == 6


@pytest.mark.parametrize("seed", range(4))
def test_one_persons_figures_are_those_of_the_whole_project(seed):
    """The page of one person reads the own votes and the others' on the same comparisons alone."""
    draw = np.random.default_rng(seed)
    project = make_project()
    people = [make_labeler(project, f"p{number}") for number in range(4)]
    for number in range(60):
        comparison = make_comparison(make_prompt(project), "word " * draw.integers(1, 9), f"else {number}")
        for person in people[: draw.integers(1, 5)]:
            vote(
                comparison, person, str(draw.choice(["a", "b", "tie", "both_bad"])), source="web",
                created_at=LONG_AGO + timedelta(seconds=int(draw.integers(0, 9000))),
                shown_left=comparison.response_a if draw.random() < 0.5 else comparison.response_b,
                duration_ms=int(draw.integers(1000, 60_000)),
            )  # fmt: skip
    together = labeler_figures(project)
    assert {person.pk: figures_of_one(person) for person in people} == together
    others = {
        person.pk: [
            mine.outcome == other.outcome
            for mine in person.preferences.all()
            for other in mine.comparison.preferences.exclude(labeler=person)
        ]
        for person in people
    }
    for pk, same in others.items():
        assert together[pk].others.value == pytest.approx(np.mean(same))
        assert together[pk].left.n == together[pk].longer.n


def test_one_persons_figures_take_three_queries_and_one_where_nothing_is_new(django_assert_num_queries):
    _project, first, _second, _comparisons = opposed(3)
    first.project.pk  # noqa: B018 - loaded
    with django_assert_num_queries(3):
        figures_of_one(first)
    with django_assert_num_queries(1):
        figures_of_one(first)
