"""The manifest of an export: which snapshot, which policies, how many rows, and the hash of the bytes.

It is written while the bytes stream to somebody, or by streaming to nobody where no one has fetched them
yet, and kept under DATA_DIR/exports; the bytes themselves are not kept, since they can always be written
again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.exporting.facts import option_facts, snapshot_facts
from labeling.exporting.opening import AnyStream, export_open
from labeling.exporting.options import ExportOptions
from labeling.exporting.stream import VERSION, export_file_name, export_key
from labeling.models import Snapshot

# Up to this many rows the bytes are hashed before they are sent, so that the hash can stand in the headers.
PREPARE_ROWS = 20_000


def manifest_path(snapshot: Snapshot, options: ExportOptions) -> Path:
    folder = Path(settings.DATA_DIR) / "exports" / str(snapshot.project_id) / str(snapshot.uid)
    return folder / f"{export_key(snapshot, options)}.json"


def _facts(stream: AnyStream) -> dict[str, Any]:
    return {
        "rows": {
            "read": stream.read,
            "written": stream.written,
            "left_out": dict(sorted(stream.dropped.items())),
        },
        "splits": dict(sorted(stream.splits.items())),
        "bytes": stream.size,
        "sha256": stream.sha256,
        "created_at": timezone.now().isoformat(),
    }


def facts_known(snapshot: Snapshot, options: ExportOptions) -> dict[str, Any] | None:
    """Counts and hash of an export that was streamed to its end before."""
    with contextlib.suppress(FileNotFoundError, orjson.JSONDecodeError):
        found: dict[str, Any] = orjson.loads(manifest_path(snapshot, options).read_bytes())
        return found
    return None


def _facts_keep(stream: AnyStream) -> dict[str, Any]:
    """Keep what a finished stream counted. What is there already stays: same key, same bytes."""
    known = facts_known(stream.snapshot, stream.options)
    if known is not None:
        return known
    facts = _facts(stream)
    path = manifest_path(stream.snapshot, stream.options)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with temporary.open("xb") as file:
        file.write(orjson.dumps(facts))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return facts


def export_bytes(stream: AnyStream) -> Iterator[bytes]:
    """The stream's bytes; once all of them are out, its manifest is kept."""
    yield from stream
    _facts_keep(stream)


def _facts_of(snapshot: Snapshot, options: ExportOptions) -> dict[str, Any]:
    known = facts_known(snapshot, options)
    if known is not None:
        return known
    stream = export_open(snapshot, options)
    for _chunk in stream:
        pass
    return _facts_keep(stream)


def export_manifest(snapshot: Snapshot, options: ExportOptions) -> dict[str, Any]:
    """The manifest. Costs one pass over the snapshot unless the export was fetched before."""
    facts = _facts_of(snapshot, options)
    return {
        "manifest": "chosen.export/1",
        "file": export_file_name(snapshot, options),
        "media_type": options.media_type,
        "project": snapshot.project.slug,
        "snapshot": snapshot_facts(snapshot),
        "options": option_facts(options),
        "licence": options.licence
        or _("No licence was stated for this export. Ask the project's managers before you pass it on."),
        "made_with": VERSION,
        **facts,
    }


def known_sha256(snapshot: Snapshot, options: ExportOptions) -> str | None:
    """The hash of the export's bytes where it is known, or cheap to find out; else None."""
    if snapshot.row_count <= PREPARE_ROWS:
        return str(_facts_of(snapshot, options)["sha256"])
    facts = facts_known(snapshot, options)
    return str(facts["sha256"]) if facts else None
