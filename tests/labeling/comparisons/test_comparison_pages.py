"""The list of comparisons, one comparison's page, agreement: what they show, to whom, at what cost."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.models import Comparison, Role
from labeling.selectors.comparisons import person_voices
from labeling.selectors.labelers import labeler_rows
from labeling.services.resolution import resolve_comparisons
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    make_user,
    vote,
)
from webapp.caches import page_cache

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache():
    page_cache.clear()


def url(name, project, *args):
    return reverse(f"labeling:{name}", args=[project.slug, *args])


def as_member(client, project, role=Role.VIEWER):
    client.force_login(make_user(project, role))
    return client


def test_the_list_shows_outcome_votes_and_models(client):
    project = labeled_project(3, outcomes="aa")
    page = as_member(client, project).get(url("comparison-list", project))
    text = page.content.decode()
    assert page.status_code == 200
    assert "Question number 2" in text
    assert "model-one" in text
    assert "A better" in text


def test_an_answer_given_after_other_voices_were_shown_says_so(client):
    project = make_project()
    comparison = make_comparison(make_prompt(project))
    vote(comparison, make_labeler(project), "a", after_reveal=True)
    address = url("comparison", project, comparison.pk)
    assert "said after other voices were shown" in as_member(client, project).get(address).content.decode()


@pytest.mark.parametrize("size", [2, 12])
def test_the_list_costs_the_same_however_long(client, django_assert_num_queries, size):
    project = labeled_project(size)
    as_member(client, project)
    client.get(url("comparison-list", project))  # fills the choices of the filters
    # Session, user, project, role twice (loader, page), ids, rows; what is in hand, what is not indexed,
    # saved filters, of which a look is to be noted.
    with django_assert_num_queries(11):
        html = client.get(url("comparison-list", project)).content.decode()
    assert all(
        url("comparison", project, pk) in html for pk in project.comparisons.values_list("pk", flat=True)
    )


def test_bad_filters_show_everything_instead_of_failing(client):
    project = labeled_project(2)
    page = as_member(client, project).get(url("comparison-list", project), {"state": "x", "before": "-1"})
    assert page.status_code == 200
    assert "Question number 1" in page.content.decode()


def test_empty_states_say_what_to_do_next(client):
    project = make_project()
    as_member(client, project, Role.MANAGER)
    assert "Import a file" in client.get(url("comparison-list", project)).content.decode()
    make_comparison(make_prompt(project))
    nothing = client.get(url("comparison-list", project), {"q": "zzz"}).content.decode()
    assert "Nothing matches" in nothing


def test_one_comparison_shows_every_voice_and_its_history(client, django_assert_num_queries):
    project = make_project()
    comparison = make_comparison(make_prompt(project, "Why **so**?"), "Because <script>x</script>", "No")
    ann, bo = make_labeler(project, "Ann"), make_labeler(project, "Bo")
    vote(comparison, ann, "a", strength=1)
    vote(comparison, ann, "b", strength=4, rationale="on second thought")
    vote(comparison, bo, "skip", skip_reason="unclear")
    resolve_comparisons([comparison.pk])
    as_member(client, project)
    # Session, user, project, three times the role, comparison, resolution, voices; is it in hand, was it seen, note
    # that it is; ten parts of the history, comments, rewrites.
    with django_assert_num_queries(24):
        text = client.get(url("comparison", project, comparison.pk)).content.decode()
    for part in ("model-one", "model-two", "Ann", "Bo", "on second thought", "1 earlier answer", "B better"):
        assert part in text
    assert "<script>x" not in text
    assert reverse("judging:comparison-panel", args=[project.slug, comparison.pk]) in text
    assert reverse("workers:comparison-panel", args=[project.slug, comparison.pk]) in text
    [first, second] = person_voices(comparison)
    assert (first.outcome, first.p_a, len(first.earlier)) == ("b", 0.0, 1)
    assert (second.outcome, second.p_a, second.why_skipped) == ("", None, "The prompt is unclear")
    assert "skipped · The prompt is unclear" in text


@pytest.mark.parametrize("name", ["comparison-list", "agreement", "snapshot-list", "export"])
def test_labelers_and_strangers_see_none_of_it(client, name):
    project = labeled_project(2)
    as_member(client, project, Role.LABELER)
    assert client.get(url(name, project)).status_code == 403
    client.force_login(make_user())
    assert client.get(url(name, project)).status_code == 404


def test_another_projects_comparison_is_not_found(client):
    mine, other = labeled_project(1), labeled_project(1)
    theirs = Comparison.objects.get(project=other)
    as_member(client, mine)
    assert client.get(url("comparison", mine, theirs.pk)).status_code == 404


def test_agreement_says_how_many_are_missing(client):
    project = labeled_project(12)
    text = as_member(client, project).get(url("agreement", project)).content.decode()
    assert "12 of 50" in text
    assert "0 %" not in text


def test_agreement_shows_figures_with_interval_and_n(client):
    project = labeled_project(60, outcomes="aab")
    text = as_member(client, project).get(url("agreement", project)).content.decode()
    assert " ± " in text
    assert "Labeler 0 · Labeler 1" in text


def test_side_and_length_bias_and_speed_of_a_labeler():
    project = make_project()
    labeler = make_labeler(project, "Left-hander")
    for number in range(8):
        comparison = make_comparison(make_prompt(project), "short", "a much longer text")
        left = comparison.response_a if number % 2 else comparison.response_b
        takes_left = number < 6
        winner = left if takes_left else (comparison.response_b if number % 2 else comparison.response_a)
        outcome = "a" if winner == comparison.response_a else "b"
        vote(comparison, labeler, outcome, shown_left=left, duration_ms=1000 * (number + 1))
    [found] = labeler_rows(project)
    row = found.figures
    assert (row.labels, row.seconds, row.others) == (8, 4.5, None)
    assert (row.left.value, row.left.n) == (0.75, 8)
    longer = sum(
        len(getattr(preference.comparison, f"response_{preference.outcome}").text) > 5
        for preference in labeler.preferences.select_related("comparison")
    )
    assert row.longer.value == longer / 8


def test_agreement_with_the_others():
    project = make_project()
    ann, bo, cy = (make_labeler(project, name) for name in ("Ann", "Bo", "Cy"))
    for _ in range(4):
        comparison = make_comparison(make_prompt(project))
        for labeler, outcome in ((ann, "a"), (bo, "a"), (cy, "b")):
            vote(comparison, labeler, outcome)
    shares = {row.labeler.name: row.figures.others.value for row in labeler_rows(project)}
    assert shares == {"Ann": 0.5, "Bo": 0.5, "Cy": 0.0}
