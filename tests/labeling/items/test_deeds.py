"""What managers do to a comparison stands in its history."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from labeling.items.filters import ItemFilter
from labeling.models import Comparison, ItemDeed
from labeling.selectors.history import history_of
from labeling.services.batches import Choice, batch_create, batch_delete, batch_release
from labeling.services.bulk import items_bulk
from labeling.services.bulk_deeds import BulkAction, Deed
from tests.factories import make_comparison, make_labeler, make_team

pytestmark = pytest.mark.django_db
NAMES = ("retire", "restore", "priority", "people", "gold", "work", "batch", "freed")


@pytest.fixture
def team():
    team = make_team()
    for _ in range(3):
        make_comparison(team.project, gold_outcome="a")
    return team


def do(team, action, value=0.0, ids=()):
    items_bulk(
        project=team.project,
        wanted=ItemFilter(ids=tuple(ids)),
        deed=Deed(action, value),
        up_to=Comparison.objects.latest("pk").pk,
        actor=team.manager,
    )


def told(comparison) -> list[tuple]:
    return [
        (event.kind, event.person, event.value, event.text)
        for event in history_of(comparison)
        if event.kind in NAMES
    ]


def test_every_bulk_action_is_told_of_those_it_treated_and_of_no_other(team):
    first, second, third = Comparison.objects.order_by("pk")
    me = str(team.manager)
    do(team, BulkAction.RETIRE, ids=[first.pk, second.pk])
    do(team, BulkAction.RETIRE, ids=[first.pk])  # it fits no more
    do(team, BulkAction.RESTORE, ids=[first.pk])
    do(team, BulkAction.PRIORITY, 2.5)
    do(team, BulkAction.PEOPLE, 3, ids=[first.pk])
    do(team, BulkAction.GOLD, ids=[first.pk])
    do(team, BulkAction.WORK, ids=[first.pk])
    assert told(first) == [
        ("retire", me, None, ""),
        ("restore", me, None, ""),
        ("priority", me, 2.5, ""),
        ("people", me, 3.0, ""),
        ("gold", me, None, ""),
        ("work", me, None, ""),
    ]
    assert told(second) == [("retire", me, None, ""), ("priority", me, 2.5, "")]
    assert told(third) == [("priority", me, 2.5, "")]


def test_a_deed_on_many_costs_one_insert_more(team):
    for _ in range(40):
        make_comparison(team.project)
    with CaptureQueriesContext(connection) as captured:
        do(team, BulkAction.PRIORITY, 1.0)
    assert sum('INTO "labeling_itemdeed"' in query["sql"] for query in captured) == 1
    assert ItemDeed.objects.count() == 43


def test_a_bulk_action_into_a_batch_tells_its_name(team):
    labeler = make_labeler(team.project, user=team.labeler)
    batch = batch_create(
        project=team.project, name="Law", people=[labeler], deadline=None, choice=None, actor=team.manager
    )
    first = Comparison.objects.earliest("pk")
    items_bulk(
        project=team.project,
        wanted=ItemFilter(ids=(first.pk,)),
        deed=Deed(BulkAction.BATCH, batch=batch.pk),
        up_to=first.pk,
        actor=team.manager,
    )
    assert told(first) == [("batch", str(team.manager), None, "Law")]
    assert ItemDeed.objects.count() == 1


@pytest.mark.parametrize("end", [batch_release, batch_delete])
def test_a_batch_is_told_when_it_takes_and_when_it_gives_back(team, end):
    labeler = make_labeler(team.project, user=team.labeler)
    batch = batch_create(
        project=team.project,
        name="Law",
        people=[labeler],
        deadline=None,
        choice=Choice(number=2),
        actor=team.manager,
    )
    taken = list(batch.comparisons.order_by("pk"))
    end(batch=batch, actor=team.manager)
    me = str(team.manager)
    for comparison in taken:
        assert told(comparison) == [("batch", me, None, "Law"), ("freed", me, None, "")]
    assert ItemDeed.objects.count() == 4


def test_the_page_and_rest_say_it_in_words(team):
    first = Comparison.objects.earliest("pk")
    for action, value in [
        ("retire", 0),
        ("restore", 0),
        ("priority", 2.5),
        ("people", 3),
        ("gold", 0),
        ("work", 0),
    ]:
        do(team, BulkAction(action), value, ids=[first.pk])
    ItemDeed.objects.create(comparison=first, actor=team.manager, kind="batch", text="Law")
    ItemDeed.objects.create(comparison=first, actor=None, kind="freed")
    client = Client()
    client.force_login(team.manager)
    page = client.get(f"/projects/{team.project.slug}/comparisons/{first.pk}/").content.decode()
    for words in (
        "retired it",
        "brought it back from retirement",
        "set the priority to 2.5",
        "sent it to 3 more people",
        "made it gold",
        "put it to work again",
        "put it into a batch",
        "It went back to everybody.",
    ):
        assert words in page
    found = client.get(f"/api/v1/projects/{team.project.slug}/comparisons/{first.pk}/history").json()[
        "results"
    ]
    assert [(row["kind"], row["value"]) for row in found if row["kind"] in NAMES] == [
        ("retire", None), ("restore", None), ("priority", 2.5), ("people", 3.0), ("gold", None), ("work", None),
        ("batch", None), ("freed", None),
    ]  # fmt: skip
