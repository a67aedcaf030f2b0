"""The tables of labeling, by subject."""

from labeling.models.imports import Import, ImportState
from labeling.models.items import LABEL_OUTCOMES, Comparison, ComparisonState, Outcome, Prompt, Response
from labeling.models.preferences import (
    Assignment,
    AssignmentState,
    Preference,
    PreferenceSource,
    Resolution,
    ResolvedOutcome,
    Reveal,
)
from labeling.models.projects import Invitation, Labeler, LabelerKind, Membership, Project, Role
from labeling.models.snapshots import Snapshot, SnapshotState

__all__ = [
    "LABEL_OUTCOMES",
    "Assignment",
    "AssignmentState",
    "Comparison",
    "ComparisonState",
    "Import",
    "ImportState",
    "Invitation",
    "Labeler",
    "LabelerKind",
    "Membership",
    "Outcome",
    "Preference",
    "PreferenceSource",
    "Project",
    "Prompt",
    "Resolution",
    "ResolvedOutcome",
    "Response",
    "Reveal",
    "Role",
    "Snapshot",
    "SnapshotState",
]
