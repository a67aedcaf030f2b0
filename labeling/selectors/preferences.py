"""Reading preferences: the one that counts for each (comparison, labeler) is the latest revision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from labeling.models import LABEL_OUTCOMES, Outcome, Preference, Project

# What somebody says of a pair with a text of the own.
OF_OWN_REWRITE = Q(comparison__response_a__author=F("labeler")) | Q(
    comparison__response_b__author=F("labeler")
)


def latest_revisions(
    preferences: QuerySet[Preference], *, up_to: int | None = None, before_reveal: bool = False
) -> QuerySet[Preference]:
    """Keep the last revision of each (comparison, labeler) in an already scoped queryset.

    With `up_to`, preferences with a larger id do not exist: that is how a snapshot is bounded. With `before_reveal`,
    those that were said after the reveal do not, but an undo still takes back what it undid.
    The anti-join runs on the unique index over (comparison, labeler, revision).
    """
    later = Preference.objects.filter(
        comparison_id=OuterRef("comparison_id"),
        labeler_id=OuterRef("labeler_id"),
        revision__gt=OuterRef("revision"),
    )
    if up_to is not None:
        later = later.filter(pk__lte=up_to)
        preferences = preferences.filter(pk__lte=up_to)
    if before_reveal:
        later = later.filter(Q(after_reveal=False) | Q(outcome=Outcome.WITHDRAWN))
        preferences = preferences.filter(after_reveal=False)
    return preferences.filter(~Exists(later))


def latest_preferences(
    scope: Project | Iterable[int],
    *,
    with_skips: bool = False,
    with_withdrawn: bool = False,
    up_to: int | None = None,
) -> QuerySet[Preference]:
    """The current preferences of a project, or of the comparisons with these ids, ordered by id.

    A labeler whose latest revision is `withdrawn` or `skip` has no preference there, whatever came before:
    such revisions are left out unless asked for. At most some thousands of ids at a time: they go into the
    query.
    """
    if isinstance(scope, Project):
        queryset = Preference.objects.filter(project=scope)
    else:
        queryset = Preference.objects.filter(comparison_id__in=list(scope))
    outcomes = [*LABEL_OUTCOMES]
    if with_skips:
        outcomes.append(Outcome.SKIP)
    if with_withdrawn:
        outcomes.append(Outcome.WITHDRAWN)
    return latest_revisions(queryset, up_to=up_to).filter(outcome__in=outcomes).order_by("pk")


def independent_votes(preferences: QuerySet[Preference], *, up_to: int | None = None) -> QuerySet[Preference]:
    """Of an already scoped queryset, what each person says of each comparison by the own judgement: the last answer
    before others' voices were shown, and nothing of a text of the own. Agreement and all that is said of people is made
    of it.
    """
    rows = latest_revisions(preferences, up_to=up_to, before_reveal=True)
    return rows.filter(outcome__in=LABEL_OUTCOMES).exclude(OF_OWN_REWRITE)


def latest_of_one(comparison: Any) -> QuerySet[Preference]:
    """The current preferences on the comparison with this id."""
    rows = latest_revisions(Preference.objects.filter(comparison=comparison))
    return rows.filter(outcome__in=LABEL_OUTCOMES)


def is_change_of_mind(row: Preference) -> bool:
    """Whether the answer replaced one that stood, rather than being the first (or the first after an undo)."""
    before = Preference.objects.filter(
        comparison_id=row.comparison_id, labeler_id=row.labeler_id, revision=row.revision - 1
    )
    return row.revision > 1 and before.filter(outcome__in=LABEL_OUTCOMES).exists()
