"""An example call of an operation, to be copied into a shell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from webapp.api.shapes import EXAMPLES

if TYPE_CHECKING:
    from webapp.api.reference import Body, Operation

SLUG = "my-project"
TOKEN = "Authorization: Bearer $CHOSEN_TOKEN"  # noqa: S105 - the name of a shell's variable
_PLACE = re.compile(r"\{(\w+)\}")


def curl_of(operation: Operation) -> tuple[str, str]:
    """What stands before the site's address, and behind it."""
    method = "" if operation.method == "GET" else f"-X {operation.method} "
    lines = [f'{_address(operation)}"', f'-H "{TOKEN}"']
    if any(one.name == "Idempotency-Key" for one in operation.parameters):
        lines.append('-H "Idempotency-Key: $(uuidgen)"')
    if operation.request is not None:
        lines += _sent(operation.request)
    if any(reply.is_file for reply in operation.replies):
        lines.append("-o FILE")
    return f'curl {method}"', " \\\n  ".join(lines)


def _address(operation: Operation) -> str:
    values = {
        one.name: SLUG if one.kind == "string" else one.example
        for one in operation.parameters
        if one.place == "path"
    }
    path = _PLACE.sub(lambda place: str(values.get(place[1], EXAMPLES["integer"])), operation.path)
    query = [
        f"{one.name}={one.example}"
        for one in operation.parameters
        if one.place == "query" and one.is_required
    ]
    return path + ("?" + "&".join(query) if query else "")


def _sent(body: Body) -> list[str]:
    """Its required fields; where none is, the first, to show how."""
    if "application/json" not in body.media:
        return ['-F "file=@FILE"']
    if body.whole is None:
        return []
    value = body.whole.example
    if not value and body.whole.fields:
        value = {body.whole.fields[0].name: body.whole.fields[0].example}
    text = json.dumps(value, ensure_ascii=False, default=str).replace("'", "'\\''")
    return ['-H "Content-Type: application/json"', f"-d '{text}'"]
