"""Who may review, comment and look again."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.access.comparisons import comparison_for, reveal_to
from labeling.access.core import AnyUser, Capability, checked, may, within
from labeling.access.label import assignment_for
from labeling.models import Assignment, AssignmentState, Comment, Comparison, Project, SentBack, SentTo
from webapp.users.models import User


def review_comparison_for(
    user: AnyUser, slug: str, pk: int, capability: Capability = Capability.REVIEW
) -> Comparison:
    """A comparison to review with all its voices (`VIEW`: to read of it). PermissionDenied while the person labels
    one of its responses."""
    comparison = comparison_for(user, slug, pk, capability)
    reveal_to(cast(User, user), comparison)
    return comparison


def comment_for(user: AnyUser, project: Project, uid: UUID) -> Comment:
    """A comment that the person may delete: the own one, or any for managers."""
    checked(user, project, Capability.REVIEW)
    comment = within(Comment.objects.filter(project=project), uid=uid)
    if comment.author_id != user.pk and not may(user, project, Capability.MANAGE):
        raise PermissionDenied(_("Only its author and managers may delete a comment."))
    return comment


def again_for(user: User, slug: str, uid: UUID) -> tuple[Assignment, SentBack]:
    """The person's own answered comparison and the newest request to look at it again; its note is a voice, so that
    the person was shown it is recorded. PermissionDenied while one of its responses is in hand."""
    found = assignment_for(user, uid)
    answered = Assignment.objects.filter(
        pk=found.pk, state=AssignmentState.SUBMITTED, comparison__project__slug=slug
    )
    within(answered, uid=uid)
    is_asked = Q(to=SentTo.SAME) | Q(to=SentTo.NAMED, people=found.labeler_id)
    asked = SentBack.objects.filter(is_asked, comparison=found.comparison_id).order_by("-pk")
    request = within(asked)
    reveal_to(user, found.comparison)
    return found, request
