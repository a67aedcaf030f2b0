"""Exports written to a folder, for commands: the usual layouts, each with its manifest."""

from __future__ import annotations

from pathlib import Path

import orjson

from labeling.exporting.manifest import export_bytes, export_manifest
from labeling.exporting.opening import export_open
from labeling.exporting.options import ExportOptions
from labeling.models import Snapshot

USUAL = (
    ExportOptions(layout="trl-explicit"),
    ExportOptions(layout="trl-explicit", format="parquet"),
    ExportOptions(layout="ms-swift"),
)


def export_to_folder(snapshot: Snapshot, folder: Path, wanted: tuple[ExportOptions, ...] = USUAL) -> int:
    """Write each export and its manifest into the folder (made if missing). Returns the rows of the first
    one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for options in wanted:
        name = f"{options.layout}{options.suffix}"
        stream = export_open(snapshot, options)
        with (folder / name).open("wb") as file:
            file.writelines(export_bytes(stream))
        manifest = export_manifest(snapshot, options) | {"file": name}
        (folder / f"{name}.manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        written.append(int(stream.written))
    return written[0]
