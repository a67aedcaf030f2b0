"""Fitting reliabilities to a project's votes, and settling its comparisons by them on request."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.exceptions import ValidationError

from labeling.models import Comparison, Disagreement, Preference, ReliabilityFit, Resolution
from labeling.selectors.reliability import reliabilities_of, reliability_state
from labeling.services.reliability import fit_start
from labeling.services.resolution import resolve_comparisons, resolve_locked
from tests.labeling.resolution.builders import (
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    make_user,
    vote,
)
from webapp.audit.models import AuditEvent
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    """Sixty comparisons; on each, two careful people say what is true, and a third says so in half of the cases. On six
    more only one careful person and the third have voted, and they differ."""
    project = make_project(overlap=3)
    people = [make_labeler(project, name) for name in ("Ann", "Bo", "Coin")]
    for number in range(66):
        comparison = make_comparison(make_prompt(project))
        true = "ab"[number % 2]
        wrong = "ba"[number % 2]
        said = (true, true, true if number % 4 < 2 else wrong)
        if number >= 60:
            said = (true, None, wrong)
        for labeler, outcome in zip(people, said, strict=True):
            if outcome:
                vote(comparison, labeler, outcome)
    resolve_comparisons(project.comparisons.values_list("pk", flat=True))
    return project


def fitted(project, rule=""):
    """The job, run as a worker runs it."""
    run_inline(fit_start(project=project, actor=make_user(project), rule=rule))
    job = Job.objects.latest("pk")
    assert job.state == JobState.DONE, job.error
    return job


def late(project):
    return Resolution.objects.filter(project=project).order_by("pk")[60:]


def test_a_fit_says_who_can_be_relied_on(project):
    job = fitted(project)
    fit = ReliabilityFit.objects.get()
    assert (fit.preference_count, fit.rows, fit.job_uid) == (192, 66, job.uid)
    assert fit.up_to == Preference.objects.latest("pk").pk
    assert sum(fit.prior) == pytest.approx(1, abs=1e-5)
    state = reliability_state(project)
    names = {person.labeler.name: person for person in state.people}
    assert names["Ann"].accuracy > 0.85 > 0.6 > names["Coin"].accuracy
    assert names["Ann"].weight > 0.8 > 0.3 > names["Coin"].weight
    assert (names["Ann"].n, names["Bo"].n, state.votes_since) == (66, 60, 0)
    vote(Comparison.objects.latest("pk"), make_labeler(project), "a")
    assert reliability_state(project).votes_since == 1


def test_a_fit_alone_settles_nothing(project):
    before = list(Resolution.objects.values_list("pk", "outcome", "p_a", "method"))
    assert fitted(project).result["settled_anew"] == 0
    assert list(Resolution.objects.values_list("pk", "outcome", "p_a", "method")) == before
    assert {row.outcome for row in late(project)} == {"tie"}


def test_by_reliability_the_careful_person_settles_what_was_a_tie(project):
    adjudicated = late(project)[0]
    Resolution.objects.filter(pk=adjudicated.pk).update(method="adjudicated", outcome="both_bad", p_a=0.5)
    job = fitted(project, rule="reliability")
    project.refresh_from_db()
    assert project.resolution_rule == "reliability"
    assert job.result["settled_anew"] == 65
    kept, *rows = late(project)
    assert (kept.method, kept.outcome) == ("adjudicated", "both_bad")
    for row in rows:
        ann = row.comparison.preferences.get(labeler__name="Ann").outcome
        assert (row.outcome, row.method, row.is_disputed) == (ann, "reliability", True)
        assert (row.votes_a, row.votes_b) == (1, 1)
        assert (row.p_a > 0.75) if ann == "a" else (row.p_a < 0.25)
    assert (
        Disagreement.objects.filter(
            kind="people", settled_at=None, comparison__in=[r.pk for r in rows]
        ).count()
        == 5
    )
    fitted(project, rule="majority")
    assert {row.outcome for row in late(project)[1:]} == {"tie"}
    assert set(Resolution.objects.values_list("method", flat=True)) == {"majority", "adjudicated"}
    assert AuditEvent.objects.filter(action="project.rule").count() == 2


def test_new_votes_follow_the_rule_at_once_and_strangers_are_the_mean(project, django_assert_num_queries):
    fitted(project, rule="reliability")
    comparison = make_comparison(make_prompt(project))
    ann = project.labelers.get(name="Ann")
    vote(comparison, ann, "b")
    vote(comparison, make_labeler(project, "New"), "a")
    with django_assert_num_queries(4):  # votes, newest fit, resolution, write
        assert resolve_locked(comparison)
    comparison.refresh_from_db()
    assert (comparison.resolution.outcome, comparison.resolution.method) == ("b", "reliability")
    known = reliabilities_of(project.pk)
    counts = np.array([person["n"] for person in ReliabilityFit.objects.latest("pk").people.values()])
    stacked = np.array(list(known.confusions.values()))
    assert known.mean == pytest.approx((stacked * counts[:, None, None]).sum(axis=0) / counts.sum())


def test_before_the_first_fit_the_majority_settles(project):
    project.resolution_rule = "reliability"
    project.save()
    comparison = late(project)[0].comparison
    vote(comparison, make_labeler(project), "a")
    resolve_comparisons([comparison.pk])
    comparison.resolution.refresh_from_db()
    assert (comparison.resolution.outcome, comparison.resolution.method) == ("a", "majority")


def test_known_outcomes_and_adjudications_count_as_known(project):
    """Coin is right where the majority errs: with the truth told, the fit turns round."""
    for comparison in project.comparisons.all():
        coin = comparison.preferences.get(labeler__name="Coin").outcome
        comparison.gold_outcome = coin
        comparison.save()
    fitted(project)
    accuracies = {person.labeler.name: person.accuracy for person in reliability_state(project).people}
    assert accuracies["Coin"] > 0.85 > 0.7 > accuracies["Ann"]


def test_a_job_that_comes_twice_makes_one_fit(project):
    job = fit_start(project=project, actor=make_user(project))
    assert fit_start(project=project, actor=make_user(project)).pk == job.pk
    run_inline(job)
    Job.objects.filter(pk=job.pk).update(state=JobState.QUEUED)
    run_inline(Job.objects.get(pk=job.pk))
    assert ReliabilityFit.objects.count() == 1


def test_without_votes_the_job_says_so():
    empty = make_project()
    run_inline(fit_start(project=empty, actor=make_user(empty)))
    job = Job.objects.latest("pk")
    assert job.state == JobState.FAILED
    assert "no votes" in str(job.error)


def test_an_unknown_rule_is_refused(project):
    with pytest.raises(ValidationError, match="majority, reliability"):
        fit_start(project=project, actor=make_user(project), rule="dice")
    assert not Job.objects.exists()
