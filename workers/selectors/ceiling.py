"""How well people agree with people: the level that a model's accuracy is read against."""

from __future__ import annotations

from labeling.models import Project
from labeling.selectors.agreement import project_agreement


def human_ceiling(project: Project) -> float | None:
    """Pairwise agreement among people in [0, 1], or None while no comparison has two labels."""
    pairwise = project_agreement(project).pairwise
    return pairwise.value if pairwise else None
