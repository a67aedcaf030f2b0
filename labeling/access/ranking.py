"""A labeler's own rankings."""

from __future__ import annotations

from uuid import UUID

from labeling.access.core import Capability, checked, within
from labeling.models import RankingTask
from webapp.users.models import User


def ranking_for(user: User, uid: UUID) -> RankingTask:
    """The person's own ranking; anybody else's is a 404."""
    queryset = RankingTask.objects.filter(labeler__user=user).select_related("labeler", "project", "prompt")
    task = within(queryset, uid=uid)
    checked(user, task.project, Capability.LABEL)
    return task
