"""Comparisons, and who may be shown the voices on them (invariant 3)."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from labeling.access.core import AnyUser, Capability, may, project_for, within
from labeling.models import Assignment, AssignmentState, Comparison, Project, Reveal
from labeling.selectors.reveals import is_in_hand, is_still_to_come
from webapp.users.models import User


def comparison_for(user: AnyUser, slug: str, pk: int, capability: Capability = Capability.VIEW) -> Comparison:
    return _comparison_of(project_for(user, slug, capability), pk)


def _comparison_of(project: Project, pk: int) -> Comparison:
    queryset = Comparison.objects.filter(project=project)
    return within(queryset.select_related("project", "prompt", "response_a", "response_b", "batch"), pk=pk)


def comparison_reveal_for(user: AnyUser, slug: str, pk: int) -> Comparison:
    """A comparison whose other voices this person may see now (invariant 3).

    A labeler: after an own standing vote, where the project allows it, and once nothing with one of its responses
    is left to label. Members who may VIEW: unless they are labeling one of its responses at this moment (403).
    That they were shown is recorded.
    """
    project = project_for(user, slug, Capability.ENTER)
    comparison, person = _comparison_of(project, pk), cast(User, user)
    if not may(person, project, Capability.VIEW):
        voted = Assignment.objects.filter(
            comparison=comparison, labeler__user=person, state=AssignmentState.SUBMITTED
        ).exists()
        if not project.reveal_after_vote or not voted or is_still_to_come(person, comparison):
            raise Http404(_("There is no such thing in this project."))
    reveal_to(person, comparison)
    return comparison


def reveal_to(user: User, comparison: Comparison) -> None:
    """Note that the person is shown the voices. Raises PermissionDenied while one of its responses is in hand."""
    if is_in_hand(user, comparison):
        raise PermissionDenied(
            _(
                "You are labeling one of these responses now. What others say is open to you after your answer."
            )
        )
    reveals_record(user, [comparison])


def reveals_record(user: User, comparisons: Collection[Comparison]) -> None:
    """Note that the person is shown the voices of these, of which no response is in hand. One query where all of them
    were shown before, else two."""
    pks = [comparison.pk for comparison in comparisons]
    known = set(
        Reveal.objects.filter(user=user, comparison_id__in=pks).values_list("comparison_id", flat=True)
    )
    # Panels of a page come at once: whichever is first writes the row.
    missing = [Reveal(user=user, comparison_id=pk) for pk in pks if pk not in known]
    if missing:
        Reveal.objects.bulk_create(missing, ignore_conflicts=True)
