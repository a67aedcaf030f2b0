"""What the operations of REST are about: the order and the words in which the reference shows them. Views are named by
dotted strings, as the ground names everything of the storeys above."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Subject:
    """`modules`: the modules, or packages, of its views."""

    key: str
    title: str | Promise
    modules: tuple[str, ...]


SUBJECTS = (
    Subject("projects", _("Projects and preferences"), ("labeling.api.data",)),
    Subject("labeling", _("Labeling"), ("labeling.api.label",)),
    Subject("ranking", _("Ranking and rewriting"), ("labeling.api.ranking", "labeling.api.rewriting")),
    Subject("work", _("Allocation and batches"), ("labeling.api.work",)),
    Subject("comparisons", _("Comparisons"), ("labeling.api.items", "labeling.api.bulk")),
    Subject("review", _("Review and history"), ("labeling.api.review", "labeling.api.history")),
    Subject("quality", _("Quality"), ("labeling.api.quality", "labeling.api.labelers")),
    Subject("model-ranking", _("Ranking of the models"), ("labeling.api.model_ranking",)),
    Subject("imports", _("Imports"), ("labeling.importing.api",)),
    Subject(
        "snapshots", _("Snapshots and export"), ("labeling.api.snapshots", "labeling.api.snapshot_diffs")
    ),
    Subject("judges", _("Judges and verdicts"), ("judging.api",)),
    Subject("models", _("Reward models and scores"), ("workers.api",)),
    Subject("jobs", _("Jobs"), ("webapp.jobs.api",)),
    Subject("webhooks", _("Webhooks"), ("webapp.webhooks.api",)),
    Subject("notices", _("Notices"), ("webapp.notices.api",)),
)


def subject_of(module: str) -> Subject:
    """The subject of a view's module."""
    for subject in SUBJECTS:
        if any(module == name or module.startswith(f"{name}.") for name in subject.modules):
            return subject
    raise LookupError(f"{module} is under no subject: name it in webapp/api/subjects.py")
