"""A comparison's history tells rankings and rewrites as events of their own, with who and when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from labeling.models import Assignment, Comparison, RankingTask, Role
from labeling.selectors.history import history_of
from labeling.services.allocation import lease_next, release_expired
from labeling.services.preferences import preference_submit
from labeling.services.projects import project_update
from labeling.services.ranked import ranking_submit, ranking_undo
from labeling.services.ranking import ranking_next
from labeling.services.rewriting import rewrite_submit, rewrite_withdraw
from tests.factories import make_member
from tests.labeling.ranking.builders import add_prompt, make_labeler, rank, ranking_project

pytestmark = pytest.mark.django_db


def told(comparison, *kinds):
    """The events of these kinds, as the page would tell them."""
    fresh = Comparison.objects.select_related("response_a", "response_b").get(pk=comparison.pk)
    return [event for event in history_of(fresh) if event.kind in kinds]


def page_of(project, comparison) -> str:
    client = Client()
    client.force_login(make_member(project, Role.REVIEWER))
    page = client.get(f"/projects/{project.slug}/comparisons/{comparison.pk}/")
    assert page.status_code == 200
    return page.content.decode()


def test_a_ranking_is_one_event_with_both_places_and_no_vote_beside_it():
    project = ranking_project()
    pairs = add_prompt(project, 4)
    task = ranking_next(make_labeler(project))
    now = timezone.now() - timedelta(minutes=3)
    rank(task, [2, 1, 3, None], now=now, data={"rationale": "The second cites."})
    place = dict(zip(task.order, [2, 1, 3, None], strict=True))
    for pair in pairs:
        [event] = told(pair, "ranked", "vote", "change")
        a, b = place[pair.response_a_id], place[pair.response_b_id]
        outcome = "" if a is None or b is None else "a" if a < b else "b"
        assert (event.kind, event.person, event.at) == ("ranked", task.labeler.name, now)
        assert (event.ranked, event.place_a, event.place_b, event.outcome) == (3, a, b, outcome)
    html = page_of(project, pairs[0])
    assert "ranked 3 responses" in html
    assert "place 1" in html or "place 2" in html or "place 3" in html


def test_a_ranking_taken_back_is_told_as_both():
    project = ranking_project()
    [pair, *_rest] = add_prompt(project, 3)
    task = ranking_next(make_labeler(project))
    rank(task, [1, 2, 2])
    ranking_undo(task=task, idempotency_key="u")
    assert [event.kind for event in told(pair, "ranked", "vote", "undo")] == ["ranked", "undo"]


def test_a_ranking_of_other_responses_of_the_prompt_is_not_of_this_pair():
    project = ranking_project()
    pairs = add_prompt(project, 10)
    task = ranking_next(make_labeler(project))
    data = {"places": [1, 2, *[None] * 6]}
    ranking_submit(task=task, data=data, idempotency_key="k")
    shown = set(task.order)
    for pair in pairs:
        is_shown = {pair.response_a_id, pair.response_b_id} <= shown
        assert len(told(pair, "ranked")) == is_shown


def test_every_lapse_is_told_also_of_a_lease_that_was_taken_again():
    project = ranking_project()
    [pair, *_rest] = add_prompt(project, 3)
    labeler = make_labeler(project)
    for hours in (6, 4, 2):
        lease = lease_next(labeler)[0] if hours == 6 else ranking_next(labeler)
        assert lease is not None
        began = timezone.now() - timedelta(hours=hours)
        over = began + timedelta(hours=1)
        Assignment.objects.filter(state="leased").update(created_at=began, lease_expires_at=over)
        RankingTask.objects.update(lease_expires_at=over)
        release_expired()
    for lease in lease_next(labeler, count=3):
        preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key=f"k{lease.pk}")
    events = told(pair, "leased", "lapsed", "vote")
    assert [event.kind for event in events] == [*["leased", "lapsed"] * 3, "leased", "vote"]
    gone = [event.at for event in events if event.kind == "lapsed"]
    assert [round((timezone.now() - at) / timedelta(hours=1)) for at in gone] == [5, 3, 1]


def test_another_overlap_of_the_project_is_told():
    project = ranking_project(overlap=3)
    [pair, *_rest] = add_prompt(project, 3)
    manager = make_member(project, Role.MANAGER)
    project_update(project=project, actor=manager, overlap=1)
    project_update(project=project, actor=manager, name="Another name")
    [event] = told(pair, "overlap")
    assert (event.person, event.before, event.value) == (str(manager), 3, 1)
    assert "from 3 to 1" in page_of(project, pair)
    later = add_prompt(project, 3)
    assert told(later[0], "overlap") == []


def test_a_rewrite_is_told_on_the_page_of_its_parent_and_on_its_own():
    project = ranking_project()
    add_prompt(project, 2)
    lease = lease_next(make_labeler(project))[0]
    parent = lease.comparison
    letter = "B" if lease.swapped else "A"
    rewrite_submit(assignment=lease, side="left", text="A better answer.", idempotency_key="k")
    own = Comparison.objects.exclude(pk=parent.pk).get()
    [event] = told(parent, "rewritten")
    assert (event.person, event.letter, event.pair) == (lease.labeler.name, letter, own.pk)
    [event] = told(own, "rewritten", "vote", "change")
    wrote = "A" if own.response_a.parent_id else "B"
    assert (event.kind, event.letter, event.pair) == ("rewritten", wrote, None)
    html = page_of(project, own)
    assert f"wrote {wrote} as a better version of the other response" in html
    rewrite_withdraw(assignment=lease, side="left", idempotency_key="w")
    assert [event.kind for event in told(own, "rewritten", "rewrite_undone", "undo")] == [
        "rewritten", "rewrite_undone",
    ]  # fmt: skip
    assert [event.pair for event in told(parent, "rewritten", "rewrite_undone")] == [own.pk] * 2
    client = Client()
    client.force_login(make_member(project, Role.VIEWER))
    rows = client.get(f"/api/v1/projects/{project.slug}/comparisons/{own.pk}/history").json()["results"]
    assert [(row["letter"], row["pair"]) for row in rows if row["kind"] == "rewritten"] == [(wrote, None)]
