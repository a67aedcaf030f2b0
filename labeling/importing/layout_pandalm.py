"""PandaLM's test set: an instruction, two models' responses, and what each annotator said of them.

`cmp_key` names the two models. Without it rows whose models gave the same two texts would be one comparison,
and its annotators' votes would be lost.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from labeling.importing import fields
from labeling.importing.instructions import INSTRUCTION_KEYS, instruction_prompt
from labeling.importing.layout import Layout, Parsed
from labeling.importing.problems import ProblemError
from labeling.importing.records import ImportedResponse, ImportedVote, Outcome

RESPONSES = ("response1", "response2")
OUTCOMES: dict[str, Outcome] = {"0": "tie", "1": "a", "2": "b"}
_ANNOTATOR = re.compile(r"annotator\d{1,3}")


def _pandalm(row: Mapping[str, Any]) -> Parsed:
    texts = [_text(row[key], key) for key in RESPONSES]
    models = _models(row)
    if texts[0] == texts[1] and models[0] == models[1]:
        raise ProblemError("identical_responses", paths=list(RESPONSES))
    annotators = [key for key in row if _ANNOTATOR.fullmatch(key)]
    votes = tuple(
        ImportedVote(0, 1, _outcome(row[key], key), labeler=key) for key in annotators if row[key] is not None
    )
    read = (*annotators, "cmp_key") if any(models) else tuple(annotators)
    return Parsed(instruction_prompt(row), tuple(map(ImportedResponse, texts, models)), votes, also_read=read)


def _text(value: object, path: str) -> str:
    """A text. Answers such as true and 5 have lost their quotes in the published file; they are read as
    written there.
    """
    return orjson.dumps(value).decode() if isinstance(value, bool | int | float) else fields.text(value, path)


def _models(row: Mapping[str, Any]) -> tuple[str, str]:
    """The two models of a `cmp_key` such as "bloom-7b_llama-7b", split at its first "_"; "" where it names
    none.
    """
    first, _mark, second = fields.label(row, "cmp_key").partition("_")
    if not (first and second):
        return "", ""
    longest = max(len(first), len(second))
    if longest > fields.MAX_MODEL:
        raise ProblemError("label_too_long", path="cmp_key", limit=fields.MAX_MODEL, found=longest)
    return first, second


def _outcome(value: object, path: str) -> Outcome:
    said = f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, bool) or said not in OUTCOMES:
        raise ProblemError("unknown_outcome", path=path, found=said[:40], expected=list(OUTCOMES))
    return OUTCOMES[said]


PANDALM = Layout(
    name="pandalm",
    required=("instruction", *RESPONSES, "annotator1"),
    optional=INSTRUCTION_KEYS,
    read=_pandalm,
)
