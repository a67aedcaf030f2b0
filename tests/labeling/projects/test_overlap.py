"""Invariant 2 while a manager changes the overlap under people who hold leases."""

from __future__ import annotations

import pytest

from labeling.models import Comparison
from labeling.services.allocation import lease_next
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
