"""The labels' log-probabilities at the place of the verdict, out of a chat completion's token list."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def label_logprobs_at_verdict(
    text: str, span: tuple[int, int] | None, tokens: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> dict[str, float] | None:
    """Log-probability of every label at the token that holds the verdict's label.

    `span` is the label's place in `text`; `tokens` are the OpenAI entries `{"token", "logprob",
    "top_logprobs"}`. A label that is not among the alternatives gets the most it can have: the smaller of the
    least listed alternative and the mass that is left. None when the place cannot be found.
    """
    if span is None:
        return None
    place = _token_at(text, span, tokens)
    if place is None:
        return None
    token, before, after = place
    listed = _alternatives(token)
    found = {label: _logprob_of(before + label + after, listed) for label in labels}
    if all(value is None for value in found.values()):
        return None
    bound = _unlisted_bound(listed)
    return {label: bound if value is None else value for label, value in found.items()}


def _token_at(
    text: str, span: tuple[int, int], tokens: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], str, str] | None:
    """The token that covers the label, and the token's text before and after the label."""
    pieces = [str(entry.get("token", "")) for entry in tokens]
    offset = "".join(pieces).rfind(text)  # reasoning tokens may stand before the answer
    if offset < 0:
        return None
    start, end = span[0] + offset, span[1] + offset
    position = 0
    for entry, piece in zip(tokens, pieces, strict=True):
        if position <= start and end <= position + len(piece):
            return entry, piece[: start - position], piece[end - position :]
        position += len(piece)
    return None


def _alternatives(token: Mapping[str, Any]) -> dict[str, float]:
    rows = [*(token.get("top_logprobs") or []), token]
    listed: dict[str, float] = {}
    for row in rows:
        value = row.get("logprob") if isinstance(row, Mapping) else None
        if isinstance(value, int | float) and not math.isnan(value):
            listed.setdefault(str(row.get("token", "")), float(value))
    return listed


def _logprob_of(wanted: str, listed: Mapping[str, float]) -> float | None:
    """Exact token first; failing that, all tokens that differ only by surrounding space, together."""
    if wanted in listed:
        return listed[wanted]
    near = [value for token, value in listed.items() if token.strip() == wanted.strip()]
    return math.log(sum(math.exp(value) for value in near)) if near else None


def _unlisted_bound(listed: Mapping[str, float]) -> float:
    left = max(1.0 - sum(math.exp(value) for value in listed.values()), 1e-9)
    return min(math.log(left), min(listed.values()))
