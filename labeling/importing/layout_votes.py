"""Two responses with the votes of named people and, where it is known, the right outcome."""

from collections.abc import Mapping
from typing import Any

from labeling.importing import fields
from labeling.importing.layout import Layout, Parsed
from labeling.importing.problems import ProblemError
from labeling.importing.records import ImportedGold, ImportedResponse, ImportedVote, Outcome

OUTCOMES: dict[str, Outcome] = {"a": "a", "b": "b", "tie": "tie", "both_bad": "both_bad"}
MAX_VOTES = 1000
MAX_SECONDS = 7 * 24 * 3600


def _votes(row: Mapping[str, Any]) -> Parsed:
    key = "messages" if "messages" in row else "prompt"
    prompt = fields.prompt(row[key], key)
    texts = [fields.text(row[name], name) for name in ("response_a", "response_b")]
    if texts[0] == texts[1]:
        raise ProblemError("identical_responses", paths=["response_a", "response_b"])
    model = fields.label(row, "model")
    models = [fields.label(row, name) or model for name in ("model_a", "model_b")]
    responses = tuple(map(ImportedResponse, texts, models))
    values = fields.items(row.get("votes") or [], "votes")
    if len(values) > MAX_VOTES:
        raise ProblemError("too_many_votes", path="votes", found=len(values), limit=MAX_VOTES)
    votes = tuple(_vote(value, f"votes[{index}]") for index, value in enumerate(values))
    _check_labelers(votes)
    gold = row.get("gold")
    known = None if gold is None else ImportedGold(0, 1, _outcome(gold, "gold"))
    return Parsed(prompt, responses, votes, known)


def _vote(value: object, path: str) -> ImportedVote:
    vote = fields.mapping(value, path)
    for key in ("annotator", "value"):
        if key not in vote:
            raise ProblemError("missing_key", path=f"{path}.{key}")
    try:
        labeler = fields.label(vote, "annotator").strip()
    except ProblemError as error:
        error.problem.params["path"] = f"{path}.annotator"
        raise
    if not labeler:
        raise ProblemError("empty_text", path=f"{path}.annotator")
    reason = vote.get("reason")
    outcome = _outcome(vote["value"], f"{path}.value")
    return ImportedVote(
        0,
        1,
        outcome,
        labeler=labeler,
        strength=_strength(vote.get("strength"), f"{path}.strength") if outcome in ("a", "b") else None,
        rationale="" if reason is None else fields.text(reason, f"{path}.reason"),
        duration_ms=_duration(vote.get("seconds"), f"{path}.seconds"),
    )


def _outcome(value: object, path: str) -> Outcome:
    name = fields.text(value, path)
    if name not in OUTCOMES:
        raise ProblemError("unknown_outcome", path=path, found=name[:40], expected=list(OUTCOMES))
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


def _check_labelers(votes: tuple[ImportedVote, ...]) -> None:
    seen: set[str | None] = set()
    for index, vote in enumerate(votes):
        if vote.labeler in seen:
            raise ProblemError("labeler_twice", path=f"votes[{index}].annotator", found=vote.labeler)
        seen.add(vote.labeler)


VOTES = Layout(
    name="votes",
    required=("response_a", "response_b"),
    optional=("votes", "gold", "model", "model_a", "model_b"),
    one_of=("prompt", "messages"),
    read=_votes,
)
