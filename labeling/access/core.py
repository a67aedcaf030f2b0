"""Who may do what in a project, and the loaders of projects themselves."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from labeling.models import Membership, Project, Role
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
    person, known = getattr(project, "known_role", (None, None))
    if person == user.pk:
        return Role(known) if known else None
    role = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    return Role(role) if role else None


def own_role(user_id: Any, project: str) -> Subquery:
    """For a query: the person's stored role in the project that this field of the outer row names. `role_known` takes
    it to the project, which then costs no query of its own."""
    rows = Membership.objects.filter(project=OuterRef(project), user=user_id)
    return Subquery(rows.order_by().values("role")[:1])


def role_known(user: AnyUser, project: Project, role: str | None) -> Project:
    project.known_role = (user.pk, role)  # type: ignore[attr-defined]
    return project


def may(user: AnyUser, project: Project, capability: Capability) -> bool:
    return role_of(user, project) in capability.value


def checked(user: AnyUser, project: Project | None, capability: Capability) -> Project:
    """The project, if the person may do `capability` in it. Raises Http404 or PermissionDenied."""
    role = role_of(user, project) if project is not None else None
    if project is None or role is None:
        raise Http404(_("There is no such project, or you are not a member of it."))
    if role not in capability.value:
        raise PermissionDenied(_("Your role in this project does not allow this. Ask a manager."))
    return project


def project_for(user: AnyUser, slug: str, capability: Capability) -> Project:
    """The project with this slug, if the person may do `capability` in it. Raises Http404 or PermissionDenied."""
    return checked(user, Project.objects.filter(slug=slug).first(), capability)


def project_by_id(user: AnyUser, project_id: int, *, manage: bool = False) -> Project:
    """The project with this primary key, for the ground storey (jobs), which knows only numbers."""
    project = Project.objects.filter(pk=project_id).first()
    return checked(user, project, Capability.MANAGE if manage else Capability.VIEW)


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
    return found(queryset.filter(**lookup).first())


def found(row: ModelT | None) -> ModelT:
    """The row, or Http404 where there is none."""
    if row is None:
        raise Http404(_("There is no such thing in this project."))
    return row
