"""Keeping figures: when they are made anew, and that one thread makes each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest
from django.db import connection

from labeling.models import Voice
from labeling.selectors import figures
from labeling.selectors import model_ranking as model_ranking_module
from labeling.selectors.figures import kept_figure
from labeling.selectors.model_ranking import model_ranking
from tests.factories import make_comparison, make_preference, make_project
from webapp.caches import page_cache


@pytest.fixture(autouse=True)
def empty_cache():
    page_cache.clear()


@pytest.fixture
def dear(monkeypatch):
    """Every figure counts as one that took long."""
    monkeypatch.setattr(figures, "CHEAP_S", 0)
    monkeypatch.setattr(figures, "AGE_FACTOR", 1e9)


@pytest.mark.django_db
def test_a_newer_preference_or_another_version_makes_it_anew():
    project = make_project()
    numbers = iter(range(9))

    def figure(version=None):
        return kept_figure("number", project, lambda: next(numbers), version=version)

    assert [figure(), figure()] == [0, 0]
    make_preference(make_comparison(project))
    assert [figure(), figure(7), figure(7), figure()] == [1, 2, 2, 3]


@pytest.fixture
def rankings(monkeypatch):
    """What was made, each time that a ranking of models was."""
    made, make = [], model_ranking_module._made
    monkeypatch.setattr(model_ranking_module, "_made", lambda *args: made.append(args) or make(*args))
    return made


def ranked_before_and_after_a_verdict(rankings):
    """How often the ranking has been made: after two looks, and after a third one with a verdict before it."""
    comparison = make_comparison(make_project())
    for _look in range(2):
        model_ranking(comparison.project)
    before = len(rankings)
    Voice.objects.create(
        project=comparison.project, comparison=comparison, kind="judge", source="j", name="J", outcome="a"
    )
    model_ranking(comparison.project)
    return before, len(rankings)


@pytest.mark.django_db
def test_verdicts_that_arrive_do_not_make_a_dear_ranking_anew(dear, rankings):
    assert ranked_before_and_after_a_verdict(rankings) == (1, 1)


@pytest.mark.django_db
def test_a_cheap_ranking_hears_of_a_verdict_at_once(rankings):
    assert ranked_before_and_after_a_verdict(rankings) == (1, 2)


@pytest.mark.django_db
def test_while_it_is_made_anew_others_are_given_the_one_before():
    project = make_project()
    assert kept_figure("f", project, lambda: "old") == "old"
    make_preference(make_comparison(project))

    def make():
        assert kept_figure("f", project, lambda: "made twice") == "old"
        return "new"

    assert kept_figure("f", project, make) == "new"
    assert kept_figure("f", project, lambda: "made again") == "new"


class Waited:
    """A lock that tells when so many wait for it."""

    def __init__(self, number):
        self.lock, self.all_here = Lock(), Barrier(number + 1)

    def acquire(self, *, blocking):
        if self.lock.acquire(blocking=False):
            return True
        self.all_here.wait(timeout=30)
        return self.lock.acquire(blocking=blocking)

    def release(self):
        self.lock.release()


@pytest.mark.django_db(transaction=True)
def test_the_first_one_is_made_once_for_all_who_wait(monkeypatch):
    project, made, lock = make_project(), [], Waited(3)
    monkeypatch.setattr(figures, "Lock", lambda: lock)

    def make():
        made.append(None)
        lock.all_here.wait(timeout=30)
        return len(made)

    def ask(_number):
        try:
            return kept_figure("f", project, make)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [1] * 4


@pytest.mark.django_db
def test_a_figure_that_cannot_be_made_holds_nobody_up():
    project = make_project()

    def fail():
        raise ValueError("no figure")

    for _time in range(2):
        with pytest.raises(ValueError, match="no figure"):
            kept_figure("f", project, fail)


@pytest.mark.django_db
def test_a_figure_that_is_made_leaves_the_lock_of_the_next_one_alone():
    project, next_one = make_project(), Lock()

    def make():
        [key] = figures._making
        figures._making[key] = next_one
        return "made"

    try:
        assert kept_figure("f", project, make) == "made"
        assert list(figures._making.values()) == [next_one]
    finally:
        figures._making.clear()
