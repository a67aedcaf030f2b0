"""The tables of labeling, by subject."""

from labeling.models.allocation import Batch, BatchPerson
from labeling.models.filters import SavedFilter
from labeling.models.imports import Import, ImportSource, ImportState
from labeling.models.items import (
    IN_QUEUE,
    LABEL_OUTCOMES,
    Comparison,
    ComparisonState,
    ComparisonUse,
    Outcome,
    Prompt,
    Response,
)
from labeling.models.preferences import (
    Assignment,
    AssignmentState,
    DrawnBy,
    Preference,
    PreferenceSource,
    Resolution,
    ResolvedOutcome,
    Reveal,
)
from labeling.models.projects import (
    Invitation,
    Labeler,
    LabelerKind,
    Membership,
    Project,
    ResolutionRule,
    Role,
)
from labeling.models.quality import ReliabilityFit
from labeling.models.rankings import Ranking, RankingTask
from labeling.models.review import (
    AdjudicatedOutcome,
    Adjudication,
    Comment,
    CommentMention,
    Disagreement,
    DisagreementKind,
    SentBack,
    SentTo,
    Voice,
    VoiceKind,
    VoiceOutcome,
)
from labeling.models.search import ItemModel, SearchText
from labeling.models.snapshots import Snapshot, SnapshotDiff, SnapshotState

__all__ = [
    "IN_QUEUE",
    "LABEL_OUTCOMES",
    "AdjudicatedOutcome",
    "Adjudication",
    "Assignment",
    "AssignmentState",
    "Batch",
    "BatchPerson",
    "Comment",
    "CommentMention",
    "Comparison",
    "ComparisonState",
    "ComparisonUse",
    "Disagreement",
    "DisagreementKind",
    "DrawnBy",
    "Import",
    "ImportSource",
    "ImportState",
    "Invitation",
    "ItemModel",
    "Labeler",
    "LabelerKind",
    "Membership",
    "Outcome",
    "Preference",
    "PreferenceSource",
    "Project",
    "Prompt",
    "Ranking",
    "RankingTask",
    "ReliabilityFit",
    "Resolution",
    "ResolutionRule",
    "ResolvedOutcome",
    "Response",
    "Reveal",
    "Role",
    "SavedFilter",
    "SearchText",
    "SentBack",
    "SentTo",
    "Snapshot",
    "SnapshotDiff",
    "SnapshotState",
    "Voice",
    "VoiceKind",
    "VoiceOutcome",
]
