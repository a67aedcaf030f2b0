"""Rows that are dear to make, for all tests of a module: committed once, each test in a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from labeling.models import Assignment, ItemFacet, Preference, Project, Resolution, SearchText, Voice
from webapp.users.models import User


@contextmanager
def committed(blocker) -> Iterator[None]:
    """`with committed(django_db_blocker): ... yield ...` in a fixture; projects and users are gone afterwards."""
    with blocker.unblock():
        users = set(User.objects.values_list("pk", flat=True))
        yield
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE labeling_project CASCADE")
        else:
            for model in (SearchText, ItemFacet, Voice, Resolution, Preference, Assignment):
                model.objects.all()._raw_delete("default")
            for project in Project.objects.all():
                project.delete()
        User.objects.exclude(pk__in=users).delete()


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
