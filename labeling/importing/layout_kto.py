"""KTO: one response to a row, with a mark whether it is desirable.

Rows stand alone. Neighbouring rows with one prompt are one record, in which each desirable response beats each
undesirable one; a response that has no counterpart stays one without a comparison.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labeling.importing import fields
from labeling.importing.instructions import with_system
from labeling.importing.layout import Layout, Parsed
from labeling.importing.layout_pairs import answer_of, completion
from labeling.importing.records import ImportedResponse, ImportedVote, Record

MARKS = ("label", "kto_tag")
MAX_OF_A_MARK = 8


def _completions(row: Mapping[str, Any]) -> Parsed:
    prompt = fields.prompt(row["prompt"], "prompt")
    text = completion(row["completion"], "completion", prompt)
    return Parsed(prompt, (_marked(row, text, "label"),))


def _messages(row: Mapping[str, Any]) -> Parsed:
    """A conversation whose last turn is the response."""
    found = fields.messages(row["messages"], "messages")
    prompt = fields.filled_prompt(found[:-1], "messages")
    key = next((key for key in MARKS if row.get(key) is not None), MARKS[0])
    return Parsed(with_system(row, prompt), (_marked(row, answer_of(found[-1:], "messages"), key),))


def _marked(row: Mapping[str, Any], text: str, key: str) -> ImportedResponse:
    return ImportedResponse(text, fields.label(row, "model"), desirable=fields.flag(row.get(key), key))


def joins(records: Sequence[Record], record: Record) -> bool:
    """Whether the record goes on with these: marked responses to one prompt, not too many of a mark."""
    if not (record.is_marked and records[0].is_marked and records[0].messages == record.messages):
        return False
    mark = record.responses[0].desirable
    return sum(earlier.responses[0].desirable is mark for earlier in records) < MAX_OF_A_MARK


def join(records: Sequence[Record]) -> Record:
    """One record of the responses of all. The first one's facts are kept."""
    found = tuple(dict.fromkeys(response for record in records for response in record.responses))
    votes = tuple(
        ImportedVote(first, second, "a" if found[first].desirable else "b")
        for first in range(len(found))
        for second in range(first + 1, len(found))
        if found[first].desirable is not found[second].desirable and found[first].text != found[second].text
    )
    return replace(records[0], responses=found, votes=votes)


KTO = Layout(
    name="kto",
    required=("prompt", "completion", "label"),
    optional=("model",),
    read=_completions,
)
KTO_MESSAGES = Layout(
    name="kto_messages",
    required=("messages",),
    one_of=MARKS,
    optional=("model", "system"),
    read=_messages,
)
