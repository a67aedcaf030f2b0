"""A prompt with a list of responses: unordered to be labeled, or ranked best to worst."""

from collections.abc import Mapping
from typing import Any

from labeling.importing import fields
from labeling.importing.instructions import INSTRUCTION_KEYS, instruction_prompt
from labeling.importing.layout import Layout, Parsed
from labeling.importing.problems import ProblemError
from labeling.importing.records import ImportedResponse, ImportedVote

MAX_RESPONSES = 100


def _responses(row: Mapping[str, Any]) -> Parsed:
    key = "messages" if "messages" in row else "prompt"
    default_model = fields.label(row, "model")
    values = answers(row, "responses")
    found = tuple(_response(item, f"responses[{index}]", default_model) for index, item in enumerate(values))
    return Parsed(fields.prompt(row[key], key), found)


def answers(row: Mapping[str, Any], key: str) -> list[Any]:
    """The list under the key, of a length that can be imported."""
    values = fields.items(row[key], key)
    if not 1 <= len(values) <= MAX_RESPONSES:
        raise ProblemError("response_count", path=key, found=len(values), limit=MAX_RESPONSES)
    return values


def _response(value: object, path: str, default_model: str) -> ImportedResponse:
    if isinstance(value, str):
        return ImportedResponse(value, default_model)
    if not isinstance(value, dict):
        fields.wrong_type(path, "string or object", value)
    key = next((name for name in ("text", "content", "response") if name in value), None)
    if key is None:
        raise ProblemError("missing_key", path=f"{path}.text")
    try:
        model = fields.label(value, "model")
    except ProblemError as error:
        error.problem.params["path"] = f"{path}.model"
        raise
    return ImportedResponse(fields.text(value[key], f"{path}.{key}"), model or default_model)


def _ranked(row: Mapping[str, Any]) -> Parsed:
    """Alpaca's ranking rows. Equal answers count once, at their best rank."""
    values = answers(row, "output")
    texts = list(dict.fromkeys(fields.text(item, f"output[{index}]") for index, item in enumerate(values)))
    model = fields.label(row, "model")
    votes = tuple(
        ImportedVote(first, second, "a")
        for first in range(len(texts))
        for second in range(first + 1, len(texts))
    )
    responses = tuple(ImportedResponse(text, model) for text in texts)
    return Parsed(instruction_prompt(row), responses, votes, ranked=True)


RESPONSES = Layout(
    name="responses",
    required=("responses",),
    optional=("model",),
    one_of=("prompt", "messages"),
    read=_responses,
)
RANKED = Layout(
    name="ranked",
    required=("instruction", "output"),
    optional=(*INSTRUCTION_KEYS, "model"),
    read=_ranked,
)
