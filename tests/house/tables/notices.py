"""Notices: addresses, budgets, parameters, and rows with canaries."""

from __future__ import annotations

from typing import Any

from webapp.jobs.messages import message
from webapp.notices.models import Notice
from webapp.notices.services import notice_send

RULES = """
notices/                                                GET login
notices/count                                           GET open
notices/read-all                                        POST login
notices/<int:pk>/                                       POST own
api/v1/notices                                          GET login
api/v1/notices/read                                     POST login
"""
LISTS = {"notices/": 3, "api/v1/notices": 3}
PARAMETERS = {"notices/": ("before",), "api/v1/notices": ()}
MAIN_PAGES = ("notices/",)
PANELS = ("notices/count",)


def fill(filled: Any, rows: int) -> None:
    """`rows` notices of the manager with canaries, and one of the labeler, whose address is that of the tables."""
    team = filled.team
    for _ in range(rows):
        words = filled.words.plant("a notice of the manager")
        notice_send(
            users=[team.manager],
            kind="job.failed",
            text=message("Snapshot %(number)s", number=words),
            url=f"/projects/{filled.slug}/snapshots/",
            project_id=team.project.pk,
        )
    notice_send(
        users=[team.labeler], kind="test", text=message("Hello."), url="/", project_id=team.project.pk
    )
    filled.ids["notices/<int:pk>"] = f"notices/{Notice.objects.get(user=team.labeler).pk}"
