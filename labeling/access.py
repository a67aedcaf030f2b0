"""The only way to fetch something of a project by an id from a URL: every loader checks the person first.

A person who is not a member gets a 404, so that addresses tell nothing. A member without the capability gets a 403.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Import,
    Labeler,
    LabelerKind,
    Membership,
    Project,
    Reveal,
    Role,
    Snapshot,
)
from labeling.selectors.reveals import is_in_hand, is_still_to_come
from webapp.users.models import User

AnyUser = User | AnonymousUser
ModelT = TypeVar("ModelT", bound=Model)


class Capability(Enum):
    """What a role may do. ENTER: open the project at all. VIEW: see others' labels, models, verdicts, scores."""

    ENTER = frozenset({Role.MANAGER, Role.REVIEWER, Role.LABELER, Role.VIEWER})
    VIEW = frozenset({Role.MANAGER, Role.REVIEWER, Role.VIEWER})
    LABEL = frozenset({Role.MANAGER, Role.REVIEWER, Role.LABELER})
    REVIEW = frozenset({Role.MANAGER, Role.REVIEWER})
    MANAGE = frozenset({Role.MANAGER})


def role_of(user: AnyUser, project: Project) -> Role | None:
    """The person's role; superusers are managers everywhere."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.MANAGER
    role = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    return Role(role) if role else None


def may(user: AnyUser, project: Project, capability: Capability) -> bool:
    return role_of(user, project) in capability.value


def _checked(user: AnyUser, project: Project | None, capability: Capability) -> Project:
    role = role_of(user, project) if project is not None else None
    if project is None or role is None:
        raise Http404(_("There is no such project, or you are not a member of it."))
    if role not in capability.value:
        raise PermissionDenied(_("Your role in this project does not allow this. Ask a manager."))
    return project


def project_for(user: AnyUser, slug: str, capability: Capability) -> Project:
    """The project with this slug, if the person may do `capability` in it. Raises Http404 or PermissionDenied."""
    return _checked(user, Project.objects.filter(slug=slug).first(), capability)


def project_by_id(user: AnyUser, project_id: int, *, manage: bool = False) -> Project:
    """The project with this primary key, for the ground storey (jobs), which knows only numbers."""
    project = Project.objects.filter(pk=project_id).first()
    return _checked(user, project, Capability.MANAGE if manage else Capability.VIEW)


def projects_of(user: AnyUser, capability: Capability = Capability.ENTER) -> QuerySet[Project]:
    """All projects in which the person has the capability."""
    if not user.is_authenticated or not user.is_active:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    roles = [role.value for role in capability.value]
    return Project.objects.filter(memberships__user=user, memberships__role__in=roles)


def projects_viewed(user: AnyUser) -> QuerySet[Project]:
    """The projects that the person may view, for the ground storey (jobs)."""
    return projects_of(user, Capability.VIEW)


def within(queryset: QuerySet[ModelT], **lookup: Any) -> ModelT:
    """The one row of an already scoped queryset, or Http404."""
    row = queryset.filter(**lookup).first()
    if row is None:
        raise Http404(_("There is no such thing in this project."))
    return row


def comparison_for(user: AnyUser, slug: str, pk: int, capability: Capability = Capability.VIEW) -> Comparison:
    return _comparison_of(project_for(user, slug, capability), pk)


def _comparison_of(project: Project, pk: int) -> Comparison:
    queryset = Comparison.objects.filter(project=project)
    return within(queryset.select_related("project", "prompt", "response_a", "response_b"), pk=pk)


def snapshot_for(user: AnyUser, slug: str, number: int, capability: Capability = Capability.VIEW) -> Snapshot:
    project = project_for(user, slug, capability)
    return within(Snapshot.objects.filter(project=project).select_related("project"), number=number)


def import_for(user: AnyUser, slug: str, uid: UUID) -> Import:
    project = project_for(user, slug, Capability.MANAGE)
    return within(Import.objects.filter(project=project).select_related("project"), uid=uid)


def membership_for(user: AnyUser, slug: str, pk: int) -> Membership:
    """A membership to manage."""
    project = project_for(user, slug, Capability.MANAGE)
    return within(Membership.objects.filter(project=project).select_related("project", "user"), pk=pk)


def labeler_for(user: User, project: Project) -> Labeler:
    """The person as a labeler of this project; made at first use. Call it after a LABEL check."""
    labeler, _created = Labeler.objects.get_or_create(
        project=project, user=user, defaults={"name": str(user), "kind": LabelerKind.MEMBER}
    )
    return labeler


def assignment_for(user: User, uid: UUID) -> Assignment:
    """The person's own assignment; anybody else's is a 404."""
    queryset = Assignment.objects.filter(labeler__user=user).select_related(
        "labeler",
        "comparison__project",
        "comparison__prompt",
        "comparison__response_a",
        "comparison__response_b",
    )
    assignment = within(queryset, uid=uid)
    _checked(user, assignment.comparison.project, Capability.LABEL)
    return assignment


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
