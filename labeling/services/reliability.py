"""Fitting the reliabilities of a project's labelers, and settling its comparisons by them."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling import dawid_skene
from labeling.dawid_skene import OUTCOMES
from labeling.models import Labeler, Preference, Project, ReliabilityFit, ResolutionRule
from labeling.selectors.preferences import independent_votes
from labeling.selectors.reliability import FIT_KIND
from labeling.services.resolution import ADJUDICATED
from labeling.statistics import Array
from webapp.audit.services import record
from webapp.jobs.messages import message
from webapp.jobs.models import Job, JobState
from webapp.jobs.services import job_enqueue
from webapp.users.models import User

DIGITS = 6  # of the stored shares


@transaction.atomic
def fit_start(*, project: Project, actor: User, rule: str = "") -> Job:
    """A job that fits reliabilities to all votes and settles the comparisons anew, by the rule of the project.

    `rule`, if given, is that rule from now on; new votes follow it at once. A job that waits already is returned
    instead of a second one. Raises ValidationError for an unknown rule.
    """
    if rule and rule not in ResolutionRule.values:
        raise ValidationError(
            {"rule": _("Choose one of: %(names)s.") % {"names": ", ".join(ResolutionRule.values)}}
        )
    locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    if rule and rule != locked.resolution_rule:
        locked.resolution_rule = rule
        locked.save(update_fields=["resolution_rule"])
        record(
            action="project.rule",
            subject=project.slug,
            actor=actor,
            project_id=project.pk,
            resolution_rule=rule,
        )
    waiting = Job.objects.filter(project_id=project.pk, kind=FIT_KIND, state=JobState.QUEUED).first()
    if waiting is not None:
        return waiting
    return job_enqueue(
        kind=FIT_KIND,
        params={"project_id": project.pk},
        project_id=project.pk,
        title=message(gettext_noop("Reliability of labelers: %(project)s"), project=project.name),
        created_by=actor,
    )


class Votes(NamedTuple):
    """`items`, `people`, `outcomes`: (V,), see `dawid_skene.fit`; `known`: (N,); `uids`: of the people, by number."""

    items: Array
    people: Array
    outcomes: Array
    known: Array
    uids: list[str]
    up_to: int


def votes_read(project: Project, *, using: str = "default") -> Votes:
    """Everybody's own judgements (what was said after the reveal would make people look alike), and what is known: gold
    outcomes, and what a reviewer settled. Three queries."""
    all_votes = Preference.objects.using(using).filter(project=project)
    up_to = all_votes.aggregate(newest=Max("pk"))["newest"] or 0
    rows = independent_votes(all_votes, up_to=up_to).order_by("comparison_id", "labeler_id")
    read = rows.values_list(
        "comparison_id", "labeler_id", "outcome", "comparison__gold_outcome",
        "comparison__resolution__method", "comparison__resolution__outcome",
    )  # fmt: skip
    codes = {outcome: code for code, outcome in enumerate(OUTCOMES)}
    flat = array("q")
    for comparison, labeler, outcome, gold, method, settled in read.iterator(chunk_size=5000):
        truth = settled if method == ADJUDICATED else gold
        flat.extend((comparison, labeler, codes[outcome], codes.get(truth, -1)))
    table = np.asarray(flat).reshape(-1, 4)
    _ids, firsts, items = np.unique(table[:, 0], return_index=True, return_inverse=True)
    labelers, people = np.unique(table[:, 1], return_inverse=True)
    uids = dict(Labeler.objects.using(using).filter(project=project).values_list("pk", "uid"))
    return Votes(
        items, people, table[:, 2], table[firsts, 3], [str(uids[pk]) for pk in labelers.tolist()], up_to
    )


def fit_values(votes: Votes) -> dict[str, Any]:
    """The fields of a `ReliabilityFit`. Raises ValueError without a vote."""
    fitted = dawid_skene.fit(votes.items, votes.people, votes.outcomes, known=votes.known)
    counts = np.bincount(votes.people, minlength=len(votes.uids))
    return {
        "up_to": votes.up_to,
        "preference_count": len(votes.items),
        "rows": len(votes.known),
        "people": {
            uid: {
                "n": int(counts[number]),
                "accuracy": round(dawid_skene.accuracy(fitted.prior, fitted.confusions[number]), DIGITS),
                "confusion": fitted.confusions[number].round(DIGITS).tolist(),
            }
            for number, uid in enumerate(votes.uids)
        },
        "prior": fitted.prior.round(DIGITS).tolist(),
        "iterations": fitted.iterations,
        "log_likelihood": fitted.log_likelihood,
    }


def fit_record(*, project: Project, job: Job, values: dict[str, Any]) -> ReliabilityFit:
    """The row of a job's fit. A job that comes a second time finds its first one."""
    found, _created = ReliabilityFit.objects.get_or_create(
        project=project, job_uid=job.uid, defaults={**values, "created_by": job.created_by}
    )
    return found
