"""Exports: a snapshot's rows in a trainer's layout, streamed, with a manifest that says exactly what was
written.
"""

from labeling.exporting.manifest import export_manifest
from labeling.exporting.opening import export_open
from labeling.exporting.options import ExportForm, ExportOptions, read_options
from labeling.exporting.stream import ExportStream

__all__ = ["ExportForm", "ExportOptions", "ExportStream", "export_manifest", "export_open", "read_options"]
