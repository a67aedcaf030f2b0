"""Opening an export of any format."""

from __future__ import annotations

from labeling.exporting.dataset import DatasetStream
from labeling.exporting.options import ExportOptions
from labeling.exporting.stream import ExportStream
from labeling.models import Snapshot

AnyStream = ExportStream | DatasetStream


def export_open(snapshot: Snapshot, options: ExportOptions) -> AnyStream:
    """The stream of an export. Raises SnapshotError before any byte where the snapshot cannot be read."""
    kind = DatasetStream if options.format == "dataset" else ExportStream
    return kind(snapshot, options)
