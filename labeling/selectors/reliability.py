"""Reliabilities of labelers as last fitted, and what votes say under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np

from labeling.dawid_skene import OUTCOMES, SIZE, accuracy, informedness, posterior
from labeling.models import Labeler, Preference, Project, ReliabilityFit
from labeling.statistics import Array
from webapp.jobs.models import ACTIVE_STATES, Job

FIT_KIND = "quality.fit"
LEAST = 1e-6  # of a stored share, which is rounded: nothing is impossible


@dataclass(frozen=True)
class Reliabilities:
    """`prior`: (4,); `confusions`: by person, (4, 4) with the true outcome in rows; `mean`: of somebody of whom nothing
    is known yet, the mean over all votes of the fit."""

    prior: Array
    confusions: Mapping[UUID, Array]
    mean: Array

    def believed(self, votes: Sequence[tuple[UUID, str]]) -> dict[str, float]:
        """Probabilities by outcome, given what each person says of one comparison."""
        confusions = np.array([self.confusions.get(person, self.mean) for person, _outcome in votes])
        said = np.array([OUTCOMES.index(outcome) for _person, outcome in votes])
        return dict(zip(OUTCOMES, posterior(self.prior, confusions, said).tolist(), strict=True))

    def accuracy(self, person: UUID) -> float:
        return accuracy(self.prior, self.confusions[person])

    def weight(self, person: UUID) -> float:
        """How much better than chance, in [0.05, 1]."""
        return informedness(self.prior, self.confusions[person])


def newest_fit(project: Project) -> ReliabilityFit | None:
    return ReliabilityFit.objects.filter(project=project).order_by("-pk").first()


def reliabilities_of(project_id: int) -> Reliabilities | None:
    """Of the newest fit; None before there is one. One query; a second one the first time that a process sees it."""
    fits = ReliabilityFit.objects.filter(project_id=project_id)
    newest = fits.order_by("-pk").values_list("pk", "created_at").first()
    return None if newest is None else _read_once(*newest)


@lru_cache(maxsize=16)
def _read_once(pk: int, created_at: datetime) -> Reliabilities:
    """A fit is never changed; the time tells it from one whose number a database has given out twice."""
    fit = ReliabilityFit.objects.get(pk=pk, created_at=created_at)
    return read_fit(fit.people, fit.prior)


def read_fit(people: Mapping[str, Mapping[str, Any]], prior: Sequence[float]) -> Reliabilities:
    """From what a `ReliabilityFit` holds."""
    confusions = {
        UUID(uid): np.maximum(np.array(person["confusion"]), LEAST) for uid, person in people.items()
    }
    votes = np.array([person["n"] for person in people.values()], dtype=float)
    stacked = np.array(list(confusions.values())).reshape(-1, SIZE, SIZE)
    return Reliabilities(
        np.maximum(np.array(prior), LEAST), confusions, np.average(stacked, axis=0, weights=votes)
    )


@dataclass(frozen=True)
class Person:
    """`accuracy`: how often this person says what is true, by the fit; `weight`: how much better than chance. `right`:
    rows are what is true, in the order of OUTCOMES, with the shares of what the person says then."""

    labeler: Labeler
    n: int
    accuracy: float
    weight: float
    right: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ReliabilityState:
    """The newest fit, its people by accuracy, how many votes have come since, and the job that makes the next one."""

    fit: ReliabilityFit | None
    people: tuple[Person, ...]
    votes_since: int
    job: Job | None


def reliability_state(project: Project) -> ReliabilityState:
    """Four queries."""
    running = Job.objects.filter(project_id=project.pk, kind=FIT_KIND, state__in=ACTIVE_STATES)
    job, fit = running.order_by("-pk").first(), newest_fit(project)
    if fit is None:
        return ReliabilityState(None, (), 0, job)
    since = Preference.objects.filter(project=project, pk__gt=fit.up_to).count()
    return ReliabilityState(fit, tuple(people_of(fit)), since, job)


def people_of(fit: ReliabilityFit) -> list[Person]:
    """Those who are still there, the most reliable first. One query."""
    known = read_fit(fit.people, fit.prior)
    labelers = Labeler.objects.filter(project_id=fit.project_id, uid__in=list(known.confusions))
    people = [
        Person(
            labeler=labeler,
            n=fit.people[str(labeler.uid)]["n"],
            accuracy=known.accuracy(labeler.uid),
            weight=known.weight(labeler.uid),
            right=tuple(tuple(row) for row in known.confusions[labeler.uid].tolist()),
        )
        for labeler in labelers
    ]
    return sorted(people, key=lambda person: (-person.accuracy, person.labeler.pk))
