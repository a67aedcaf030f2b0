"""Two responses with the votes of named people and, where it is known, the right outcome.

Our own export of everything (`chosen`) is read here too: its votes stand under `annotators`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labeling.importing import explanations, fields
from labeling.importing.cells import cell_number
from labeling.importing.layout import Layout, Parsed
from labeling.importing.problems import ProblemError
from labeling.importing.records import (
    ImportedGold,
    ImportedResponse,
    ImportedSettlement,
    ImportedVote,
    Outcome,
)
from labeling.snapshots.rows import FIELDS, SETTLED_BY

OUTCOMES: dict[str, Outcome] = {"a": "a", "b": "b", "tie": "tie", "both_bad": "both_bad"}
# Who voted and what was said, in a vote under each of these keys.
NAMES = {"votes": ("annotator", "value"), "annotators": ("labeler", "outcome")}
# What our own export says besides, most of which follows from the votes or holds in its project alone. Its split is
# kept.
DERIVED = tuple(name for name in FIELDS if name != "split")
ASPECT_OUTCOMES = ("a", "b", "tie")
MAX_VOTES = 1000
MAX_ASPECT = 60
MAX_SECONDS = 7 * 24 * 3600


def _votes(row: Mapping[str, Any]) -> Parsed:
    key = "messages" if "messages" in row else "prompt"
    prompt = fields.prompt(row[key], key)
    texts = [fields.text(row[name], name) for name in ("response_a", "response_b")]
    if texts[0] == texts[1]:
        raise ProblemError("identical_responses", paths=["response_a", "response_b"])
    model = fields.label(row, "model")
    models = [fields.label(row, name) or model for name in ("model_a", "model_b")]
    rewritten = fields.label(row, "rewritten")
    parents = [1 if rewritten == "a" else None, 0 if rewritten == "b" else None]
    responses = tuple(
        ImportedResponse(text, name, rewrites=parent)
        for text, name, parent in zip(texts, models, parents, strict=True)
    )
    key = "annotators" if row.get("votes") is None and row.get("annotators") is not None else "votes"
    values = fields.items(row.get(key) or [], key)
    if len(values) > MAX_VOTES:
        raise ProblemError("too_many_votes", path=key, found=len(values), limit=MAX_VOTES)
    votes = tuple(_vote(value, f"{key}[{index}]", NAMES[key]) for index, value in enumerate(values))
    _check_labelers(votes, key, NAMES[key][0])
    if row.get("aspect_votes"):
        votes = _with_aspects(votes, fields.items(row["aspect_votes"], "aspect_votes"))
    if row.get(explanations.KEY):
        votes = explanations.explained(votes, fields.items(row[explanations.KEY], explanations.KEY))
    gold = row.get("gold")
    known = None if gold is None else ImportedGold(0, 1, _outcome(gold, "gold"))
    return Parsed(prompt, responses, votes, known, _settled(row))


def _settled(row: Mapping[str, Any]) -> ImportedSettlement | None:
    """How the row was settled, where it was not by the votes that stand in it."""
    by = fields.label(row, "settled_by")
    if by in ("", "votes"):
        return None
    if by not in SETTLED_BY:
        raise ProblemError("unknown_outcome", path="settled_by", found=by[:40], expected=list(SETTLED_BY))
    outcome, strength = _outcome(row.get("outcome"), "outcome"), None
    if by == "adjudication" and outcome in ("a", "b") and row.get("strength") != "":
        strength = _strength(cell_number(row.get("strength")), "strength")
    return ImportedSettlement(by, outcome, strength)


def _vote(value: object, path: str, names: tuple[str, str]) -> ImportedVote:
    """`names` are the keys of who voted and of what was said."""
    vote, (who, said) = fields.mapping(value, path), names
    for key in names:
        if key not in vote:
            raise ProblemError("missing_key", path=f"{path}.{key}")
    try:
        labeler = fields.label(vote, who).strip()
    except ProblemError as error:
        error.problem.params["path"] = f"{path}.{who}"
        raise
    if not labeler:
        raise ProblemError("empty_text", path=f"{path}.{who}")
    reason = vote.get("reason")
    outcome = _outcome(vote[said], f"{path}.{said}")
    return ImportedVote(
        0,
        1,
        outcome,
        labeler=labeler,
        strength=_strength(vote.get("strength"), f"{path}.strength") if outcome in ("a", "b") else None,
        rationale="" if reason is None else fields.text(reason, f"{path}.reason"),
        duration_ms=_duration(vote.get("seconds"), f"{path}.seconds"),
    )


def _with_aspects(votes: tuple[ImportedVote, ...], values: list[Any]) -> tuple[ImportedVote, ...]:
    """The votes with what the same people said by aspect: `{"labeler", "aspect", "outcome", "strength"}`."""
    sides: dict[str | None, dict[str, str]] = {vote.labeler: {} for vote in votes}
    strengths: dict[str | None, dict[str, int]] = {vote.labeler: {} for vote in votes}
    for index, value in enumerate(values):
        path = f"aspect_votes[{index}]"
        said = fields.mapping(value, path)
        labeler = fields.short_text(
            said.get("labeler"), f"{path}.labeler", fields.MAX_LABEL["labeler"]
        ).strip()
        aspect = fields.short_text(said.get("aspect"), f"{path}.aspect", MAX_ASPECT).strip()
        if labeler not in sides:
            raise ProblemError("unknown_labeler", path=f"{path}.labeler", found=labeler)
        if not aspect:
            raise ProblemError("empty_text", path=f"{path}.aspect")
        sides[labeler][aspect] = _outcome(said.get("outcome"), f"{path}.outcome", ASPECT_OUTCOMES)
        strength = _strength(said.get("strength"), f"{path}.strength")
        if strength is not None:
            strengths[labeler][aspect] = strength
    return tuple(
        replace(vote, aspects=sides[vote.labeler], aspect_strengths=strengths[vote.labeler]) for vote in votes
    )


def _outcome(value: object, path: str, known: tuple[str, ...] = tuple(OUTCOMES)) -> Outcome:
    name = fields.text(value, path)
    if name not in known:
        raise ProblemError("unknown_outcome", path=path, found=name[:40], expected=list(known))
    return OUTCOMES[name]


def _strength(value: object, path: str) -> int | None:
    if value is None:
        return None
    found = fields.number(value, path)
    if found not in (1, 2, 3, 4):
        raise ProblemError("unknown_strength", path=path, found=found)
    return int(found)


def _duration(value: object, path: str) -> int | None:
    """Milliseconds of a number of seconds between 0 and a week."""
    if value is None:
        return None
    seconds = fields.number(value, path)
    if not 0 <= seconds <= MAX_SECONDS:
        raise ProblemError("bad_duration", path=path, found=seconds, limit=MAX_SECONDS)
    return round(seconds * 1000)


def _check_labelers(votes: tuple[ImportedVote, ...], key: str, who: str) -> None:
    seen: set[str | None] = set()
    for index, vote in enumerate(votes):
        if vote.labeler in seen:
            raise ProblemError("labeler_twice", path=f"{key}[{index}].{who}", found=vote.labeler)
        seen.add(vote.labeler)


VOTES = Layout(
    name="votes",
    required=("response_a", "response_b"),
    optional=("votes", "gold", "model", *DERIVED),
    one_of=("prompt", "messages"),
    read=_votes,
)
