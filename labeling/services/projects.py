"""Deeds about projects and their members."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.models import (
    Comparison,
    ComparisonState,
    Invitation,
    Membership,
    Project,
    Role,
)
from labeling.services.bookmark import bookmarks_void
from labeling.services.leases import slots_recount
from labeling.services.resolution import ADJUDICATED
from webapp.audit.services import record
from webapp.users.models import User

INVITATION_VALID = timedelta(days=7)
# Told in the history of each comparison.
OVERLAP_CHANGED = "project.overlap"


class InvitationProblem(ValidationError):  # noqa: N818 - a word for the person who opens the link
    """The invitation cannot be used: unknown, used or expired. The message says which and what to do."""


@transaction.atomic
def project_create(*, name: str, slug: str, created_by: User | None, **fields: Any) -> Project:
    """A new project; whoever makes it becomes its manager. Raises ValidationError on bad fields."""
    project = Project(name=name, slug=slug, created_by=created_by, **fields)
    project.full_clean()
    project.save()
    if created_by is not None:
        Membership.objects.create(project=project, user=created_by, role=Role.MANAGER)
    record(action="project.create", subject=project.slug, actor=created_by, project_id=project.pk)
    return project


@transaction.atomic
def project_update(*, project: Project, actor: User, **fields: Any) -> Project:
    """Change settings. A new overlap applies to open comparisons too: places are added or taken away at once."""
    # Not the whole key: a submit that holds a comparison refers to the project, and would wait for us in a ring.
    before = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    changed = {key: value for key, value in fields.items() if getattr(before, key) != value}
    for key, value in changed.items():
        setattr(project, key, value)
    project.full_clean()
    # Not the rest: `work_epoch` and the like may have moved since it was read.
    project.save(update_fields=sorted(changed))
    if "overlap" in changed:
        _overlap_apply(project, before.overlap)
        numbers = {"before": before.overlap, "now": project.overlap}
        record(action=OVERLAP_CHANGED, subject=project.slug, actor=actor, project_id=project.pk, **numbers)
    record(
        action="project.update",
        subject=project.slug,
        actor=actor,
        project_id=project.pk,
        changed=sorted(changed),
    )
    return project


def _overlap_apply(project: Project, old: int) -> None:
    """Move every comparison that follows the project's overlap to the new one; finished ones may open again."""
    bookmarks_void(project.pk)
    live = Q(project=project, state__in=[ComparisonState.OPEN, ComparisonState.DONE])
    followed = Comparison.objects.filter(live, needed__in=[old, project.overlap])
    # Locked by id, as everywhere, so that the leases counted below no longer change. Millions may follow.
    for _pk in followed.select_for_update(no_key=True).order_by("pk").values_list("pk").iterator():
        pass
    followed.update(needed=project.overlap)
    slots_recount(Comparison.objects.filter(live, needed=project.overlap), is_freed=False)
    full = Q(label_count__gte=F("needed"))
    followers = Comparison.objects.filter(project=project, needed=project.overlap)
    followers.filter(full, state=ComparisonState.OPEN).update(state=ComparisonState.DONE)
    reopened = followers.filter(~full, state=ComparisonState.DONE).exclude(resolution__method=ADJUDICATED)
    reopened.update(state=ComparisonState.OPEN)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def invitation_create(*, project: Project, role: str, email: str, invited_by: User) -> tuple[Invitation, str]:
    """An invitation and the secret part of its link. The secret is returned once; only its hash is stored."""
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        role=role,
        email=email,
        invited_by=invited_by,
        token_hash=_hash(token),
        expires_at=timezone.now() + INVITATION_VALID,
    )
    record(action="member.invite", subject=email or role, actor=invited_by, project_id=project.pk, role=role)
    return invitation, token


def invitation_by_token(token: str) -> Invitation:
    """The open invitation behind a link. Raises InvitationProblem."""
    invitation = Invitation.objects.filter(token_hash=_hash(token)).select_related("project").first()
    if invitation is None:
        raise InvitationProblem(_("This invitation does not exist. Ask for a new link."))
    if invitation.accepted_at is not None:
        raise InvitationProblem(_("This invitation was used already. Ask for a new link."))
    if invitation.expires_at < timezone.now():
        raise InvitationProblem(_("This invitation has expired. Ask for a new link."))
    return invitation


def invitation_project(token: str, user: User) -> Project | None:
    """The project behind a link, used or not, if the person is in it already."""
    return Project.objects.filter(invitations__token_hash=_hash(token), memberships__user=user).first()


@transaction.atomic
def invitation_accept(*, token: str, user: User) -> Membership:
    """Join the project with the invited role. A member who accepts again keeps the role they have."""
    invitation = invitation_by_token(token)
    claimed = Invitation.objects.filter(pk=invitation.pk, accepted_at__isnull=True).update(
        accepted_at=timezone.now(), accepted_by=user
    )
    if not claimed:
        raise InvitationProblem(_("This invitation was used already. Ask for a new link."))
    membership, _created = Membership.objects.get_or_create(
        project=invitation.project, user=user, defaults={"role": invitation.role}
    )
    record(
        action="member.join",
        subject=user.username,
        actor=user,
        project_id=invitation.project_id,
        role=membership.role,
    )
    return membership


@transaction.atomic
def account_create(*, token: str, username: str, display_name: str, password: str) -> User:
    """An account for an invited person, and the membership with it: both or neither."""
    user = User(username=username, display_name=display_name, email=invitation_by_token(token).email)
    user.set_password(password)
    user.full_clean(exclude=["password"])
    user.save()
    invitation_accept(token=token, user=user)
    return user


@transaction.atomic
def membership_change(*, membership: Membership, role: str | None, actor: User) -> None:
    """Give a member another role, or with role=None take them out. The last manager stays."""
    others = Membership.objects.select_for_update().filter(project=membership.project, role=Role.MANAGER)
    if (
        membership.role == Role.MANAGER
        and role != Role.MANAGER
        and not others.exclude(pk=membership.pk).exists()
    ):
        raise ValidationError(_("A project keeps at least one manager. Make somebody else manager first."))
    if role is None:
        membership.delete()
    else:
        membership.role = role
        membership.save(update_fields=["role"])
    record(
        action="member.change",
        subject=membership.user.username,
        actor=actor,
        project_id=membership.project_id,
        role=role or "removed",
    )
