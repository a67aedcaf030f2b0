"""Snapshots: rows, splits, the Parquet file, and reading it back verified."""

from labeling.snapshots.config import SnapshotConfig, SnapshotConfigError, read_config
from labeling.snapshots.files import (
    SnapshotCorruptError,
    SnapshotError,
    SnapshotMissingError,
    SnapshotNotReadyError,
)
from labeling.snapshots.reading import read_snapshot
from labeling.snapshots.rows import FIELDS, SnapshotRow

__all__ = [
    "FIELDS",
    "SnapshotConfig",
    "SnapshotConfigError",
    "SnapshotCorruptError",
    "SnapshotError",
    "SnapshotMissingError",
    "SnapshotNotReadyError",
    "SnapshotRow",
    "read_config",
    "read_snapshot",
]
