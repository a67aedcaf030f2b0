"""Why people voted as they did, as our own export of everything (`chosen`) says it of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labeling.importing import fields
from labeling.importing.problems import ProblemError
from labeling.importing.records import ImportedVote
from labeling.spans import NTH_MAX, QUOTE_MAX, SPANS_MAX

KEY = "explanations"
MAX_REASON = 60
MAX_REASONS = 100
PLACES = {"a": 0, "b": 1}


def explained(votes: tuple[ImportedVote, ...], values: list[Any]) -> tuple[ImportedVote, ...]:
    """The votes with the same people's `{"labeler", "rationale", "reasons", "spans"}`."""
    found = {vote.labeler: vote for vote in votes}
    for index, value in enumerate(values):
        path = f"{KEY}[{index}]"
        said = fields.mapping(value, path)
        name = fields.short_text(said.get("labeler"), f"{path}.labeler", fields.MAX_LABEL["labeler"]).strip()
        if name not in found:
            raise ProblemError("unknown_labeler", path=f"{path}.labeler", found=name)
        rationale = said.get("rationale")
        found[name] = replace(
            found[name],
            rationale=found[name].rationale
            if rationale is None
            else fields.text(rationale, f"{path}.rationale"),
            reasons=tuple(_reasons(said, f"{path}.reasons")),
            spans=tuple(_spans(said, f"{path}.spans")),
        )
    return tuple(found[vote.labeler] for vote in votes)


def _few(said: Mapping[str, Any], path: str, limit: int) -> list[Any]:
    """The list under the path's last key, which is as good as empty where there is none."""
    values = fields.items(said.get(path.rpartition(".")[2]) or [], path)
    if len(values) > limit:
        raise ProblemError("too_many", path=path, found=len(values), limit=limit)
    return values


def _reasons(said: Mapping[str, Any], path: str) -> list[str]:
    values = _few(said, path, MAX_REASONS)
    return [_filled(value, f"{path}[{index}]", MAX_REASON) for index, value in enumerate(values)]


def _spans(said: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    values = _few(said, path, SPANS_MAX)
    return [_span(value, f"{path}[{index}]") for index, value in enumerate(values)]


def _span(value: object, path: str) -> dict[str, Any]:
    span = fields.mapping(value, path)
    response = fields.text(span.get("response"), f"{path}.response")
    if response not in PLACES:
        raise ProblemError(
            "unknown_outcome", path=f"{path}.response", found=response[:40], expected=list(PLACES)
        )
    nth = fields.number(span.get("nth") or 0, f"{path}.nth")
    if not (nth.is_integer() and 0 <= nth <= NTH_MAX):
        raise ProblemError("bad_place", path=f"{path}.nth", found=nth, limit=NTH_MAX)
    return {
        "response": PLACES[response],
        "quote": _filled(span.get("quote"), f"{path}.quote", QUOTE_MAX),
        "nth": int(nth),
        "reason": fields.short_text(span.get("reason"), f"{path}.reason", MAX_REASON),
    }


def _filled(value: object, path: str, limit: int) -> str:
    return fields.short_text(fields.filled_text(value, path), path, limit)
