"""Labels that were revised after a snapshot was made: counted, shown, and without effect on its bytes."""

from __future__ import annotations

import random

import pytest
from django.urls import reverse

from labeling.exporting import export_open, read_options
from labeling.models import Preference, Role
from labeling.selectors import staleness
from labeling.selectors.staleness import Revised
from labeling.services.adjudication import adjudicate, adjudication_withdraw
from labeling.services.resolution import resolve_comparisons
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots.files import snapshot_path
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
def fresh_cache():
    page_cache.clear()


def revised_since(snapshot) -> Revised:
    """The short look says whether there is anything to count."""
    found = staleness.revised_since(snapshot)
    assert staleness.is_revised(snapshot) == (found.labels > 0)
    return found


def taken(project):
    return snapshot_build(snapshot_create(project=project, enqueue=False))


@pytest.fixture
def project():
    return labeled_project(4, outcomes="ab", slug="aging")


def test_changes_and_undos_of_labels_that_it_has_seen_count(project):
    snapshot = taken(project)
    assert revised_since(snapshot) == Revised(0, 0)
    one, two, other = project.preferences.order_by("pk")[:3]
    assert one.comparison_id == two.comparison_id != other.comparison_id
    vote(one.comparison, one.labeler, "tie")
    assert revised_since(snapshot) == Revised(labels=1, comparisons=1)
    vote(two.comparison, two.labeler, "withdrawn")
    assert revised_since(snapshot) == Revised(labels=2, comparisons=1)
    vote(other.comparison, other.labeler, "both_bad")
    vote(other.comparison, other.labeler, "a")
    assert revised_since(snapshot) == Revised(labels=3, comparisons=2)


def test_new_labels_and_their_revisions_do_not_count(project):
    snapshot = taken(project)
    new = make_comparison(make_prompt(project))
    person = make_labeler(project)
    for outcome in ("a", "b", "tie"):
        vote(new, person, outcome)
    assert revised_since(snapshot) == Revised(0, 0)
    assert snapshot.stale


def test_what_was_revised_before_it_is_as_the_snapshot_has_it(project):
    older = taken(project)
    first = project.preferences.order_by("pk").first()
    vote(first.comparison, first.labeler, "tie")
    newer = taken(project)
    assert (revised_since(older).labels, revised_since(newer).labels) == (1, 0)
    vote(first.comparison, first.labeler, "a")
    assert (revised_since(older).labels, revised_since(newer).labels) == (1, 1)


def test_other_projects_and_unready_snapshots_count_nothing(project):
    snapshot, other = taken(project), labeled_project(2)
    first = other.preferences.first()
    vote(first.comparison, first.labeler, "tie")
    assert revised_since(snapshot).labels == 0
    assert revised_since(snapshot_create(project=other, enqueue=False)).labels == 0


def settle(comparison, reviewer, outcome, key):
    words = {"comparison": comparison, "reviewer": reviewer, "reason": "I looked it up.", "key": key}
    if outcome == "withdrawn":
        return adjudication_withdraw(**words)
    return adjudicate(**words, outcome=outcome)


def test_what_a_reviewer_settled_since_counts_and_so_does_its_withdrawal(project):
    reviewer, snapshot = make_user(project, Role.REVIEWER), taken(project)
    one, other = project.comparisons.order_by("pk")[:2]
    settle(one, reviewer, "b", "first")
    assert snapshot.stale
    assert revised_since(snapshot) == Revised(labels=1, comparisons=1)
    settle(one, reviewer, "a", "second")
    assert revised_since(snapshot) == Revised(labels=1, comparisons=1)
    settle(other, reviewer, "tie", "third")
    first = project.preferences.filter(comparison=one).first()
    vote(one, first.labeler, "both_bad")
    assert revised_since(snapshot) == Revised(labels=3, comparisons=2)
    newer = taken(project)
    assert (newer.stale, revised_since(newer)) == (False, Revised(0, 0))
    settle(one, reviewer, "withdrawn", "fourth")
    newer.refresh_from_db()
    assert (newer.stale, revised_since(newer)) == (True, Revised(labels=1, comparisons=1))


def test_what_is_settled_without_votes_counts_once_a_snapshot_has_it(project):
    reviewer, older = make_user(project, Role.REVIEWER), taken(project)
    unseen = make_comparison(make_prompt(project))
    settle(unseen, reviewer, "a", "first")
    assert (older.stale, revised_since(older)) == (True, Revised(0, 0))
    newer = taken(project)
    settle(unseen, reviewer, "b", "second")
    assert revised_since(older) == Revised(0, 0)
    assert revised_since(newer) == Revised(labels=1, comparisons=1)


def test_rest_says_that_a_settlement_is_newer(client, project):
    client.force_login(make_user(project, Role.MANAGER))
    taken(project)
    url = "/api/v1/projects/aging/snapshots"
    assert [(row["stale"], row["revised_labels"]) for row in client.get(url).json()["results"]] == [
        (False, 0)
    ]
    settle(project.comparisons.first(), make_user(project, Role.REVIEWER), "tie", "only")
    assert [(row["stale"], row["revised_labels"]) for row in client.get(url).json()["results"]] == [(True, 1)]


@pytest.mark.parametrize("seed", range(5))
def test_against_a_slow_count_over_random_histories(seed):
    chance = random.Random(seed)
    project = make_project()
    people = [make_labeler(project) for _number in range(3)]
    comparisons = [make_comparison(make_prompt(project)) for _number in range(4)]
    snapshots = []
    for _step in range(60):
        vote(chance.choice(comparisons), chance.choice(people), chance.choice(["a", "b", "tie", "withdrawn"]))
        if chance.random() < 0.1:
            snapshots.append(taken(project))
    for snapshot in snapshots:
        seen, behind = snapshot.last_preference_id, set()
        for row in Preference.objects.filter(project=project, pk__gt=seen):
            earlier = Preference.objects.filter(comparison=row.comparison, labeler=row.labeler, pk__lte=seen)
            if earlier.exists():
                behind.add((row.comparison_id, row.labeler_id))
        assert revised_since(snapshot) == (len(behind), len({comparison for comparison, _person in behind}))


@pytest.mark.parametrize("options", [{}, {"layout": "votes"}, {"format": "dataset"}])
def test_an_export_stays_the_same_when_its_labels_are_revised(project, options):
    snapshot = taken(project)
    asked = read_options(options)
    before, file = b"".join(export_open(snapshot, asked)), snapshot_path(snapshot).read_bytes()
    for preference in project.preferences.order_by("pk"):
        vote(preference.comparison, preference.labeler, "tie")
    resolve_comparisons(project.comparisons.values_list("pk", flat=True))
    assert b"".join(export_open(snapshot, asked)) == before
    assert snapshot_path(snapshot).read_bytes() == file
    assert revised_since(snapshot) == Revised(labels=8, comparisons=4)


def test_the_snapshot_and_its_export_page_say_so(client, project):
    client.force_login(make_user(project, Role.MANAGER))
    snapshot = taken(project)
    pages = [
        reverse(f"labeling:{name}", args=["aging", 1]) for name in ("snapshot-detail", "snapshot-export")
    ]
    for page in pages:
        assert "revised since" not in client.get(page).content.decode()
    first, second = project.preferences.order_by("pk")[:2]
    vote(first.comparison, first.labeler, "tie")
    for page in pages:
        assert "Stale: 1 label of snapshot v1 was revised since." in client.get(page).content.decode()
    vote(second.comparison, second.labeler, "tie")
    for page in pages:
        assert "Stale: 2 labels of snapshot v1 were revised since." in client.get(page).content.decode()
    listed = client.get("/api/v1/projects/aging/snapshots").json()["results"]
    assert [row["revised_labels"] for row in listed] == [2]
    assert client.get("/api/v1/projects/aging/snapshots/1").json()["revised_labels"] == 2
    assert snapshot.number == 1
