"""Figures of each labeler: rate, known outcomes, decline; and the page that has them over time."""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.items.filters import ItemFilter
from labeling.models import Comparison, Preference, Prompt, Response
from labeling.selectors.labelers import figures_of_one, labeler_figures, rate_of
from labeling.services.adjudication import adjudicate
from labeling.services.bulk import items_bulk
from labeling.services.bulk_deeds import BulkAction, Deed
from tests.labeling.resolution.builders import (
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    make_user,
    vote,
)

pytestmark = pytest.mark.django_db
START = timezone.now() - timedelta(days=3)


def test_the_rate_leaves_pauses_out():
    def times(*gaps_s):
        return np.cumsum([START.timestamp(), *gaps_s])

    assert rate_of(times(*[30] * 10)) == pytest.approx(120)
    assert rate_of(times(*[30] * 5, 4000, *[30] * 5)) == pytest.approx(120)
    assert rate_of(times(*[30] * 9)) is None
    assert rate_of(times(*[0] * 20)) is None
    assert rate_of(np.array([])) is None


def test_only_what_was_said_here_makes_a_rate():
    project = make_project()
    here, file = make_labeler(project, "here"), make_labeler(project, "file")
    for number in range(12):
        comparison = make_comparison(make_prompt(project))
        at = START + timedelta(minutes=number)
        vote(comparison, here, "a", source="web", created_at=at)
        vote(comparison, file, "a", source="import", created_at=at)
    figures = labeler_figures(project)
    assert (figures[here.pk].rate, figures[file.pk].rate) == (pytest.approx(60), None)


def test_known_outcomes_met():
    project = make_project()
    labeler = make_labeler(project)
    for gold, said in (("a", "a"), ("b", "a"), ("tie", "tie"), ("", "b"), ("skip", "b")):
        vote(make_comparison(make_prompt(project), gold_outcome=gold), labeler, said)
    found = labeler_figures(project)[labeler.pk].gold
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)


def test_what_becomes_known_later_counts_at_once():
    project = make_project()
    labeler, comparison = make_labeler(project), make_comparison(make_prompt(project))
    vote(comparison, labeler, "a")
    assert labeler_figures(project)[labeler.pk].gold is figures_of_one(labeler).gold is None
    adjudicate(comparison=comparison, reviewer=make_user(project), outcome="b", reason="B.", key="k")
    deed = Deed(BulkAction.GOLD)
    items_bulk(project=project, wanted=ItemFilter(), deed=deed, up_to=comparison.pk, actor=None)
    project.refresh_from_db()
    labeler.refresh_from_db()
    for found in (labeler_figures(project)[labeler.pk].gold, figures_of_one(labeler).gold):
        assert (found.value, found.n) == (0.0, 1)


def declining_project():
    """Two people agree on 150 comparisons; then the second one says the opposite of half of what the first says."""
    project = make_project()
    steady, tired = make_labeler(project, "Steady"), make_labeler(project, "Tired")
    for number in range(300):
        comparison = make_comparison(make_prompt(project))
        at = START + timedelta(minutes=number)
        vote(comparison, steady, "a", created_at=at, source="web")
        said = "b" if number >= 150 and number % 2 else "a"
        vote(
            comparison,
            tired,
            said,
            created_at=at,
            duration_ms=40_000 if number < 150 else 4_000,
            source="web",
        )
    return project, tired


def test_the_page_shows_when_somebody_began_to_agree_less(as_role):
    project, tired = declining_project()
    figures = labeler_figures(project)[tired.pk]
    assert figures.decline == START + timedelta(minutes=150)
    assert [window.n for _at, window in figures.windows] == [50] * 6
    assert [window.seconds for _at, window in figures.windows] == [40] * 3 + [4] * 3
    client = as_role(project, "viewer")
    overview = client.get(reverse("labeling:agreement", args=[project.slug])).content.decode()
    url = reverse("labeling:labeler", args=[project.slug, tired.uid])
    assert url in overview
    assert overview.count("agrees less since") == 2  # the other one agrees less with the tired one, too
    page = client.get(url).content.decode()
    assert "less since" in page
    assert "<svg" in page
    assert "4.0 s" in page


def test_what_a_file_brought_has_no_order_in_time():
    project = make_project()
    labeler = make_labeler(project)
    for number in range(130):
        comparison = make_comparison(make_prompt(project))
        vote(comparison, labeler, "a", source="import" if number % 2 else "api")
    assert [window.n for _at, window in labeler_figures(project)[labeler.pk].windows] == [65]


def test_the_page_of_somebody_without_labels_and_with_few(as_role):
    project = make_project()
    nobody, few = make_labeler(project, "Nobody"), make_labeler(project, "Few " + "x" * 150)
    vote(make_comparison(make_prompt(project)), few, "tie")
    client = as_role(project, "reviewer")
    for labeler, words in ((nobody, "no label yet that was given"), (few, "there are not two yet")):
        page = client.get(reverse("labeling:labeler", args=[project.slug, labeler.uid]))
        assert words in page.content.decode()


def test_a_labeler_of_another_project_is_not_found(as_role):
    mine, theirs = make_project(), make_labeler(make_project())
    assert as_role(mine).get(reverse("labeling:labeler", args=[mine.slug, theirs.uid])).status_code == 404


def test_figures_of_twenty_thousand_votes_in_a_second_or_so():
    project = make_project()
    people = [make_labeler(project, f"p{number}") for number in range(20)]
    comparisons = 2000
    Prompt.objects.bulk_create(
        [
            Prompt(project=project, messages=[{"role": "user", "content": "Why?"}], content_hash=str(number))
            for number in range(comparisons)
        ]
    )
    prompts = list(project.prompts.order_by("pk"))
    Response.objects.bulk_create(
        Response(prompt=prompt, text="Because. " * 20, content_hash=name)
        for prompt in prompts
        for name in "ab"
    )
    responses = list(Response.objects.filter(prompt__project=project).order_by("prompt_id", "content_hash"))
    Comparison.objects.bulk_create(
        Comparison(
            project=project, prompt=prompt, response_a=responses[2 * n], response_b=responses[2 * n + 1]
        )
        for n, prompt in enumerate(prompts)
    )
    now = timezone.now()
    Preference.objects.bulk_create(
        (
            Preference(
                project=project, comparison=comparison, labeler=people[(n + k) % 20], outcome="ab"[(n + k) % 3 % 2],
                source="web", idempotency_key=f"{n}:{k}", request_hash="", created_at=now,
                shown_left_id=comparison.response_a_id, duration_ms=1000 + n,
            )
            for n, comparison in enumerate(project.comparisons.order_by("pk"))
            for k in range(10)
        ),
        batch_size=5000,
    )  # fmt: skip
    started = time.process_time()
    figures = labeler_figures(project)
    took = time.process_time() - started
    assert sum(found.labels for found in figures.values()) == 10 * comparisons
    assert took < 4, took  # a tenth of the 200,000 votes that may cost three seconds, on a busy machine
