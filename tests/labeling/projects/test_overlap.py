"""Invariant 2 while a manager changes the overlap under people who hold leases."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.items.filters import ItemFilter
from labeling.models import Assignment, Comparison
from labeling.services.allocation import lease_next, release_expired
from labeling.services.batches import Choice, batch_create, batch_extend, batch_release
from labeling.services.bulk import items_bulk
from labeling.services.bulk_deeds import BulkAction, Deed
from labeling.services.preferences import preference_submit
from labeling.services.projects import project_update
from tests.labeling.label.factories import make_labeler, make_project
from webapp.users.models import User

pytestmark = pytest.mark.django_db


def test_an_overlap_lowered_and_raised_again_gives_no_place_twice():
    project = make_project(1, overlap=3)
    manager = User.objects.create_user("manager")
    for _number in range(3):
        assert lease_next(make_labeler(project))
    for overlap, places in ((1, 0), (3, 0), (5, 2)):
        project.refresh_from_db()
        project_update(project=project, actor=manager, overlap=overlap)
        assert Comparison.objects.get().open_slots == places
    given = [len(lease_next(make_labeler(project))) for _number in range(3)]
    assert given == [1, 1, 0]


def _bulk(project, _batch, manager):
    newest = Comparison.objects.latest("pk").pk
    deed = Deed(BulkAction.PRIORITY, 5.0)
    items_bulk(project=project, wanted=ItemFilter(), deed=deed, up_to=newest, actor=manager)


DEEDS = {
    "overlap": lambda project, _batch, manager: project_update(project=project, actor=manager, overlap=3),
    "bulk": _bulk,
    "extend": lambda _project, batch, manager: batch_extend(batch=batch, choice=Choice(1), actor=manager),
    "release": lambda _project, batch, manager: batch_release(batch=batch, actor=manager),
}


@pytest.mark.parametrize("name", DEEDS)
def test_the_project_is_locked_before_its_comparisons(name):
    """Two deeds that take both in another order could wait for each other."""
    project, manager = make_project(4), User.objects.create_user("manager")
    person = make_labeler(project)
    batch = batch_create(
        project=project, name="b", people=[person], deadline=None, choice=Choice(1), actor=manager
    )
    with CaptureQueriesContext(connection) as captured:
        DEEDS[name](project, batch, manager)
    said = [query["sql"] for query in captured]
    [first_of_project, *_more] = [n for n, sql in enumerate(said) if 'UPDATE "labeling_project"' in sql]
    assert first_of_project < min(n for n, sql in enumerate(said) if 'UPDATE "labeling_comparison"' in sql)
    if connection.vendor == "postgresql":
        locked = [
            n for n, sql in enumerate(said) if "FOR NO KEY UPDATE" in sql and "labeling_comparison" in sql
        ]
        assert first_of_project < min(locked)
        assert all(re.search(r'ORDER BY (1|"labeling_comparison"\."id") ASC', said[n]) for n in locked)


@pytest.mark.parametrize("end", ["skip", "lapse"])
def test_a_place_given_back_counts_the_leases_that_live(end):
    """Three people hold the pair when one label is enough: whoever leaves makes no room for a fourth."""
    project = make_project(1, overlap=3, skip_limit=0)
    leases = [lease_next(make_labeler(project))[0] for _number in range(3)]
    project_update(project=project, actor=User.objects.create_user("manager"), overlap=1)
    leave(leases[0], end)
    assert Comparison.objects.get().open_slots == 0
    assert lease_next(make_labeler(project)) == []
    for lease in leases[1:]:
        leave(lease, end)
    assert Comparison.objects.get().open_slots == 1


def leave(lease, end):
    if end == "skip":
        data = {"choice": "skip", "skip_reason": "unclear"}
        preference_submit(
            assignment=Assignment.objects.select_related("comparison__project").get(pk=lease.pk),
            data=data,
            idempotency_key=str(lease.uid),
        )
    else:
        moment = timezone.now()
        Assignment.objects.filter(pk=lease.pk).update(lease_expires_at=moment)
        assert release_expired(moment) == 1
