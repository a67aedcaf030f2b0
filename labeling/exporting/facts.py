"""What a manifest and a dataset card say of the snapshot and of the options, the same in every language."""

from __future__ import annotations

from typing import Any

from labeling.exporting.options import ExportOptions
from labeling.models import Snapshot


def snapshot_facts(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "number": snapshot.number,
        "uid": str(snapshot.uid),
        "content_hash": snapshot.content_hash,
        "file_hash": snapshot.file_hash,
        "rows": snapshot.row_count,
        "config": snapshot.config,
        "last_preference_id": snapshot.last_preference_id,
        "created_at": snapshot.created_at.isoformat(),
    }


def option_facts(options: ExportOptions) -> dict[str, Any]:
    return {name: value for name, value in options.to_json().items() if name != "licence"}
