"""Writing the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from webapp.audit.models import AuditEvent
from webapp.users.models import User


def record(
    *,
    action: str,
    subject: str,
    actor: AbstractBaseUser | AnonymousUser | None = None,
    project_id: int | None = None,
    **detail: Any,
) -> None:
    """Add one event. Call it inside the transaction that does the deed, so that both stand or fall."""
    AuditEvent.objects.create(
        action=action,
        subject=subject[:200],
        actor=actor if isinstance(actor, User) else None,
        project_id=project_id,
        detail=detail,
    )
