"""Layouts with everything that a snapshot says of a comparison: votes, ties and both bad included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from labeling.exporting.layouts.base import NEEDS_MESSAGE_LISTS, Layout, Output, lists, single_turn, strings
from labeling.hashing import prompt_hash
from labeling.snapshots.rows import FIELDS, SCHEMA, SnapshotRow

if TYPE_CHECKING:
    from labeling.exporting.options import ExportOptions

# The layout "chosen": a row as it stands in the snapshot, but for the sums of `aspect_votes`.
WHOLE = tuple(name for name in FIELDS if name != "aspects")
# Those of them that name people.
_SAID = ("annotators", "aspect_votes", "explanations")


class Pseudonyms:
    """Names of people as short keyed hashes: the same within one snapshot, and no use outside it."""

    def __init__(self, scope: str) -> None:
        self._scope = scope

    def of(self, name: str) -> str:
        digest = salted_hmac("labeling.exporting.pseudonyms", f"{self._scope}\0{name}", algorithm="sha256")
        return f"labeler-{digest.hexdigest()[:12]}"


def _people(
    votes: list[dict[str, Any]], options: ExportOptions, pseudonyms: Pseudonyms
) -> list[dict[str, Any]]:
    """The votes; people by pseudonym unless names are asked for."""
    if options.labelers == "names":
        return votes
    return [{**vote, "labeler": pseudonyms.of(vote["labeler"])} for vote in votes]


def chosen(row: SnapshotRow, options: ExportOptions, pseudonyms: Pseudonyms) -> Output:
    """The fields `WHOLE` as they stand in the snapshot."""
    values = {name: getattr(row, name) for name in WHOLE}
    heard = row.voices if options.verdicts == "in" else []
    said = {name: _people(values[name], options, pseudonyms) for name in _SAID}
    return [{**values, **said, "voices": heard}]


def votes(row: SnapshotRow, options: ExportOptions, pseudonyms: Pseudonyms) -> Output:
    """What the import reads as `votes`. A group that is only the prompt's own hash is no group."""
    prompt: dict[str, Any] = {"messages": row.messages}
    if options.text == "plain":
        text = single_turn(row.messages)
        if text is None:
            return NEEDS_MESSAGE_LISTS
        prompt = {"prompt": text}
    why = {said["labeler"]: said["rationale"] for said in _people(row.explanations, options, pseudonyms)}
    said = [
        {
            "annotator": vote["labeler"],
            "value": vote["outcome"],
            "strength": vote["strength"],
            "reason": why.get(vote["labeler"]) or None,
        }
        for vote in _people(row.annotators, options, pseudonyms)
    ]
    return [
        {
            **prompt,
            "response_a": row.response_a,
            "response_b": row.response_b,
            "model_a": row.model_a,
            "model_b": row.model_b,
            "votes": said,
            "outcome": row.outcome,
            "strength": row.strength,
            "settled_by": row.settled_by,
            "group": "" if row.group == prompt_hash(row.messages) else row.group,
            "language": row.language,
            "topic": row.topic,
        }
    ]


_VOTES = pa.list_(
    pa.struct([*strings("annotator", "value"), ("strength", pa.int8()), *strings("reason")]),
)
_SETTLED = ("outcome", "strength", "settled_by")
_VOTED = (
    *strings("response_a", "response_b", "model_a", "model_b"),
    ("votes", _VOTES),
    *((name, SCHEMA.field(name).type) for name in _SETTLED),
    *strings("group", "language", "topic"),
)
WHOLE_LAYOUTS = (
    Layout(
        "votes",
        _("Votes of named people: response_a, response_b, votes"),
        votes,
        (*lists("messages"), *_VOTED),
        (*strings("prompt"), *_VOTED),
        kind="whole",
        margin="own",
        reads=("annotators", "explanations", "model_a", "model_b", *_SETTLED, "group", "language", "topic"),
    ),
    Layout(
        "chosen",
        _("Everything: both responses, votes, models, people"),
        chosen,
        tuple((name, SCHEMA.field(name).type) for name in WHOLE),
        kind="whole",
        margin="own",
        reads=WHOLE,
    ),
)
