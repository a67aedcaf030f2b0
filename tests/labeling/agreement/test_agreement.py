"""Agreement and progress of a project, live and from a snapshot."""

from __future__ import annotations

import random
import re
from collections import Counter
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.models import Comparison, Preference
from labeling.selectors.agreement import STRENGTHS, Said, agreement_of, project_agreement, snapshot_agreement
from labeling.selectors.progress import labels_by_day, project_progress
from labeling.services.snapshots import snapshot_build, snapshot_create
from tests.labeling.agreement.test_statistics import slow_alpha
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    vote,
)
from webapp.caches import page_cache

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache():
    page_cache.clear()


def test_figures_need_enough_comparisons():
    agreement = project_agreement(labeled_project(12))
    assert (agreement.comparisons, agreement.prompts, agreement.minimum) == (12, 12, 50)
    assert agreement.pairwise is None
    assert agreement.alpha is None


def test_pairwise_agreement_is_the_ceiling_with_interval():
    project = labeled_project(20, labelers=2, outcomes="aab")  # two of three neighbours differ
    agreement = project_agreement(project, minimum=10)
    same = sum(
        len(set(comparison.preferences.values_list("outcome", flat=True))) == 1
        for comparison in Comparison.objects.filter(project=project)
    )
    assert agreement.pairwise.value == pytest.approx(same / 20)
    assert agreement.pairwise.low < agreement.pairwise.value < agreement.pairwise.high
    assert agreement.pairwise.n == 20
    [pair] = agreement.pairs
    assert (pair.n, pair.agreement) == (20, agreement.pairwise)
    for kappa in (pair.kappa, agreement.fleiss):
        assert kappa.low < kappa.value < kappa.high
        assert kappa.n == 20


def test_a_kappa_that_is_undefined_is_none_beside_its_agreement():
    agreement = project_agreement(labeled_project(6, outcomes="a"), minimum=5)
    [pair] = agreement.pairs
    assert (pair.agreement.value, pair.agreement.low, pair.kappa, agreement.fleiss) == (1.0, 1.0, None, None)


def test_the_page_shows_every_kappa_with_its_interval(client, admin_user):
    project = labeled_project(60, labelers=3, outcomes="aabb")
    client.force_login(admin_user)
    page = client.get(reverse("labeling:agreement", args=[project.slug])).content.decode()
    figures = project_agreement(project)
    shown = [(estimate, 2) for pair in figures.pairs for estimate in (pair.kappa, pair.agreement)]
    shown += [(estimate, 3) for estimate in (figures.fleiss, figures.alpha, figures.alpha_strength)]
    assert len(shown) == 9
    for estimate, places in shown:
        half = (estimate.high - estimate.low) / 2
        width = f" ± {half:.{places}f}" if half else ""
        assert f">{estimate.value:.{places}f}{width}<" in re.sub(r"\s*<", "<", page)


def test_alpha_of_strengths_reads_nine_ordered_steps():
    """Against the definition over the codes; votes for a side without a strength and "both bad" stand on none."""
    steps = {step: code for code, step in enumerate(STRENGTHS)}
    generator = random.Random(3)
    choices = [*STRENGTHS, ("a", None), ("both_bad", None)]
    units = [(number // 2, [generator.choice(choices) for _labeler in range(3)]) for number in range(90)]
    said = Said.of(
        (number, prompt, labeler, *vote)
        for number, (prompt, votes) in enumerate(units)
        for labeler, vote in enumerate(votes)
    )
    found = agreement_of(said, {number: str(number) for number in range(3)}).alpha_strength
    codes = [[steps[vote] for vote in votes if vote in steps] for _prompt, votes in units]
    pairable = [values for values in codes if len(values) > 1]
    totals = Counter(value for values in pairable for value in values)

    def delta(one, two):
        low, high = sorted((one, two))
        return (sum(totals[code] for code in range(low, high + 1)) - (totals[low] + totals[high]) / 2) ** 2

    assert found.value == pytest.approx(slow_alpha(pairable, delta))
    assert found.n == len(pairable)
    assert found.low < found.value < found.high
    few = [(number, number, *vote) for number in range(60) for vote in ((1, "a", 2), (2, "a", None))]
    assert agreement_of(Said.of(few), {1: "x", 2: "y"}).alpha_strength is None


def test_the_card_on_the_home_page_brings_the_agreement_with_interval_and_n(client, admin_user):
    project, other = labeled_project(60, outcomes="aabb"), labeled_project(12)
    client.force_login(admin_user)
    home = client.get(reverse("labeling:home")).content.decode()
    lines = []
    for found in (project, other):
        url = reverse("labeling:agreement-line", args=[found.slug])
        assert f'hx-get="{url}"' in home
        lines.append(client.get(url).content.decode())
    pairwise = project_agreement(project).pairwise
    assert f"{pairwise.value:.2f} ± {(pairwise.high - pairwise.low) / 2:.2f}" in lines[0]
    assert "n 60" in lines[0]
    assert "not enough labels yet: 12 of 50" in lines[1]


def test_a_new_vote_is_seen_at_once(django_assert_num_queries):
    project = labeled_project(10, outcomes="ab")
    before = project_agreement(project, minimum=5)
    with django_assert_num_queries(1):
        assert project_agreement(project, minimum=5) == before
    changed = Preference.objects.filter(project=project).first()
    vote(changed.comparison, changed.labeler, "tie")
    assert project_agreement(project, minimum=5).alpha != before.alpha


def test_a_snapshot_says_what_its_people_said():
    project = labeled_project(16, labelers=3, outcomes="aabtx")
    snapshot = snapshot_build(snapshot_create(project=project, enqueue=False))
    live = project_agreement(project, minimum=10)
    assert snapshot_agreement(snapshot, minimum=10).pairwise == live.pairwise
    for preference in Preference.objects.filter(project=project, outcome="b"):
        vote(preference.comparison, preference.labeler, "a")
    assert project_agreement(project, minimum=10).pairwise != live.pairwise
    assert snapshot_agreement(snapshot, minimum=10).pairwise == live.pairwise


def test_two_people_of_one_name_are_two_people():
    project = make_project()
    comparison = make_comparison(make_prompt(project))
    for _ in range(2):
        vote(comparison, make_labeler(project, "Li", kind="member" if _ else "imported"), "a")
    snapshot = snapshot_build(snapshot_create(project=project, enqueue=False))
    assert snapshot_agreement(snapshot, minimum=1).comparisons == 1


def test_progress_counts_states_labels_and_days():
    project = labeled_project(4, labelers=2)
    Comparison.objects.filter(project=project).update(label_count=2, state="done")
    retired = make_comparison(make_prompt(project), state="retired")
    opened = make_comparison(make_prompt(project), skip_count=2)
    labeler = make_labeler(project, "late")
    vote(opened, labeler, "a", created_at=timezone.now() - timedelta(days=2))
    vote(retired, labeler, "a")
    vote(retired, labeler, "withdrawn")
    progress = project_progress(project)
    assert (progress.total, progress.open, progress.done, progress.retired) == (5, 1, 4, 1)
    assert (progress.labels, progress.labels_today, progress.skipped, progress.disputed) == (8, 8, 2, 4)
    counts = [count for _day, count in labels_by_day(project, days=4)]
    assert counts == [0, 1, 0, 8]


def test_an_empty_project_has_zeroes_and_no_figures():
    project = make_project()
    progress = project_progress(project)
    assert (progress.total, progress.labels, progress.labels_today) == (0, 0, 0)
    assert project_agreement(project).pairwise is None
    assert len(labels_by_day(project, days=7)) == 7
