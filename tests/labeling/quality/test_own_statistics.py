"""A person's own statistics tell nothing that is hidden (invariant 3)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from labeling.models import Comparison
from labeling.selectors.own_statistics import Checked, Share, checked_by_midnight
from tests.factories import make_comparison, make_labeler, make_preference, make_team
from webapp.caches import page_cache

pytestmark = pytest.mark.django_db
YESTERDAY = timedelta(days=1, hours=1)
QUERIES = 13  # six of them for the figures, the others for the person, the project, what is open and the bell


@pytest.fixture
def team():
    return make_team(overlap=2)


@pytest.fixture
def me(team):
    return make_labeler(team.project, user=team.labeler)


@pytest.fixture
def other(team):
    return make_labeler(team.project, "zq-other")


def pair(team, me, other, mine, theirs="", *, gold="", age=YESTERDAY):
    comparison = make_comparison(team.project, gold_outcome=gold)
    at = timezone.now() - age
    make_preference(comparison, me, mine, created_at=at, shown_left=comparison.response_a, duration_ms=9000)
    if theirs:
        make_preference(comparison, other, theirs, created_at=at)
    return comparison


def page(client, team):
    client.force_login(team.labeler)
    response = client.get(reverse("labeling:mine", args=[team.project.slug]))
    assert response.status_code == 200
    return response.content.decode()


def plain(html):
    """Without what is new in every answer: the token of the forms."""
    return [line for line in html.splitlines() if "csrfmiddlewaretoken" not in line]


def test_figures_of_the_own_work_with_what_was_agreed_by_midnight(client, team, me, other):
    for number in range(24):
        said = "a" if number < 18 else "b"
        pair(team, me, other, "a", said, gold=said if number < 20 else "")
    html = page(client, team)
    assert "75 %" in html  # 18 of 24
    assert "24 votes on settled comparisons" in html
    assert "90 %" in html  # 18 of 20
    assert "9.0 s" in html
    assert "zq-other" not in html


def test_fewer_than_twenty_votes_say_nothing(team, me, other):
    for _ in range(19):
        pair(team, me, other, "a", "a", gold="a")
    assert checked_by_midnight(me) == Checked(others=Share(None, 19), gold=Share(None, None))


def test_only_comparisons_with_all_their_labels_count(team, me, other):
    for _ in range(20):
        pair(team, me, other, "a", "a")
    for _ in range(5):
        pair(team, me, other, "a")
    short = pair(team, me, other, "a", "b")
    Comparison.objects.filter(pk=short.pk).update(needed=3)
    assert checked_by_midnight(me).others == Share(100, 20)


@pytest.mark.parametrize("theirs", ["a", "b", "tie"])
def test_what_others_say_today_moves_nothing(client, team, me, other, theirs):
    for number in range(24):
        pair(team, me, other, "a", "a" if number % 2 else "b")
    open_ones = [pair(team, me, other, "a") for _ in range(5)]
    before = plain(page(client, team))
    for comparison in open_ones:
        make_preference(comparison, other, theirs)
    page_cache.clear()
    assert plain(page(client, team)) == before


def test_a_vote_on_a_known_comparison_does_not_tell_its_outcome(client, team, me, other):
    """Whatever is known, the page is the same after the vote; and a changed mind about an older one moves nothing."""
    older = [pair(team, me, other, "a", "a", gold="a") for _ in range(20)]
    comparison = pair(team, me, other, "b", age=timedelta(minutes=1), gold="a")
    pages = []
    for gold in ("a", "b"):
        Comparison.objects.filter(pk=comparison.pk).update(gold_outcome=gold)
        page_cache.clear()
        pages.append(plain(page(client, team)))
    assert pages[0] == pages[1]
    make_preference(older[0], me, "b", revision=2)
    page_cache.clear()
    assert checked_by_midnight(me).gold == Share(100, 20)


def test_midnight_brings_the_days_votes(team, me, other):
    noon = timezone.make_aware(datetime(2026, 3, 4, 12))
    with time_machine.travel(noon, tick=False):
        for _ in range(20):
            pair(team, me, other, "a", "a", age=timedelta(hours=2))
        assert checked_by_midnight(me).others == Share(None, 0)
    with time_machine.travel(noon + timedelta(days=1), tick=False):
        assert checked_by_midnight(me).others == Share(100, 20)


def test_before_the_first_label_the_page_leads_to_it(client, team):
    make_comparison(team.project)
    html = page(client, team)
    assert reverse("labeling:label", args=[team.project.slug]) in html
    assert "not labeled anything" in html


def test_the_page_is_for_those_who_label(client, team):
    for person, status in ((team.viewer, 403), (team.stranger, 404), (team.manager, 200)):
        client.force_login(person)
        assert client.get(reverse("labeling:mine", args=[team.project.slug])).status_code == status


@pytest.mark.parametrize("votes", [1, 30])
def test_many_votes_cost_as_many_queries_as_few(client, team, me, other, django_assert_num_queries, votes):
    for _ in range(votes):
        pair(team, me, other, "a", "b", gold="b")
    page(client, team)
    client.force_login(team.labeler)
    page_cache.clear()
    with django_assert_num_queries(QUERIES):
        client.get(reverse("labeling:mine", args=[team.project.slug]))
