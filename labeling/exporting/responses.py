"""The HTTP answer of an export, for the page and for REST."""

from __future__ import annotations

import base64

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from labeling.exporting.manifest import export_bytes, known_sha256
from labeling.exporting.opening import export_open
from labeling.exporting.options import ExportOptions
from labeling.exporting.stream import export_file_name, export_key
from labeling.models import Snapshot


def export_response(request: HttpRequest, snapshot: Snapshot, options: ExportOptions) -> HttpResponseBase:
    """The bytes, streamed. Headers name the snapshot, an ETag (the bytes never change: 304 to who has them),
    and
    the bytes' SHA-256 where it is known beforehand; the manifest always has it. Raises SnapshotError.
    """
    etag = f'"{export_key(snapshot, options)}"'
    if etag in request.headers.get("If-None-Match", ""):
        return _with_headers(HttpResponse(status=304), snapshot, etag)
    sha256 = known_sha256(snapshot, options)
    stream = export_open(snapshot, options)
    response = _with_headers(
        StreamingHttpResponse(export_bytes(stream), content_type=options.media_type), snapshot, etag
    )
    response["Content-Disposition"] = f'attachment; filename="{export_file_name(snapshot, options)}"'
    if sha256:
        response["X-Chosen-SHA256"] = sha256
        response["Content-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
    return response


def _with_headers(response: HttpResponseBase, snapshot: Snapshot, etag: str) -> HttpResponseBase:
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    response["X-Chosen-Snapshot"] = snapshot.content_hash
    return response
