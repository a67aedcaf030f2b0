"""The only way to fetch something of a project by an id from a URL: every loader checks the person first.

A person who is not a member gets a 404, so that addresses tell nothing. A member without the capability gets a 403.
"""

from labeling.access.batches import batch_for
from labeling.access.comparisons import comparison_for, comparison_reveal_for, reveal_to, reveals_record
from labeling.access.core import (
    AnyUser,
    Capability,
    may,
    project_by_id,
    project_for,
    projects_of,
    projects_viewed,
    role_of,
    within,
)
from labeling.access.imports import import_for
from labeling.access.items import saved_filter_for
from labeling.access.label import assignment_for, own_labeler
from labeling.access.members import labeler_for, membership_for
from labeling.access.quality import labeler_seen, own_labeler_seen
from labeling.access.ranking import ranking_for
from labeling.access.review import again_for, comment_for, review_comparison_for
from labeling.access.snapshots import snapshot_for, snapshot_pair_for

__all__ = [
    "AnyUser",
    "Capability",
    "again_for",
    "assignment_for",
    "batch_for",
    "comment_for",
    "comparison_for",
    "comparison_reveal_for",
    "import_for",
    "labeler_for",
    "labeler_seen",
    "may",
    "membership_for",
    "own_labeler",
    "own_labeler_seen",
    "project_by_id",
    "project_for",
    "projects_of",
    "projects_viewed",
    "ranking_for",
    "reveal_to",
    "reveals_record",
    "review_comparison_for",
    "role_of",
    "saved_filter_for",
    "snapshot_for",
    "snapshot_pair_for",
    "within",
]
