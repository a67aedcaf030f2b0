"""A layout made of data: which key of the file is what, where no layout knows the keys.

A mapping is JSON: `{"columns": {"prompt": "question", "winner": "label", …}, "winner_values": {"a": ["1"], …}}`.
`columns` gives the file's key for a target; `winner_values` what the winner's key says for each outcome. The prompt may
be left out where both responses are whole conversations: then it is what they share at their start.
"""

from __future__ import annotations

from collections.abc import Mapping as Readable
from dataclasses import dataclass, field
from typing import Any

from labeling.importing import fields
from labeling.importing.cells import cell_number, messages_or_text
from labeling.importing.layout import Layout, Parsed
from labeling.importing.layout_pairs import completion, conversation_pair
from labeling.importing.layout_votes import OUTCOMES
from labeling.importing.problems import ProblemError
from labeling.importing.records import ImportedMessage, ImportedResponse, ImportedVote, Outcome, Record

NAME = "mapped"
PAIRS = (("chosen", "rejected"), ("response_a", "response_b"))
FACTS = ("id", "group", "language", "topic")
MODELS = ("model_a", "model_b")
VOTE = ("winner", "strength", "annotator", "rationale")
TARGETS = ("prompt", "system", *PAIRS[0], *PAIRS[1], *VOTE, *MODELS, *FACTS)
MAX_KEY = 200
MAX_VALUES = 20
# What files say for each outcome, in lower letters.
USUAL_VALUES: dict[str, tuple[str, ...]] = {
    "a": ("a", "1", "model_a", "response_a", "left", "first"),
    "b": ("b", "2", "model_b", "response_b", "right", "second"),
    "tie": ("tie", "0", "equal", "same", "draw"),
    "both_bad": ("both_bad", "both bad", "bothbad", "tie (bothbad)", "neither"),
}


class MappingError(ValueError):
    """The mapping is none: `target` names the part that is wrong, the message says why, in words for a person."""

    def __init__(self, code: str, target: str, **params: Any) -> None:
        super().__init__(f"{code} at {target}: {params}")
        self.code, self.target, self.params = code, target, params


@dataclass(frozen=True)
class Mapping:
    """Keys of the file by target, and values of the winner's key by outcome."""

    columns: dict[str, str]
    winner_values: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: object) -> Mapping:
        """Raises MappingError for anything that is no mapping of a pair."""
        if not isinstance(value, dict) or not isinstance(value.get("columns"), dict):
            raise MappingError("not_a_mapping", "columns")
        columns = {name: key for name, key in value["columns"].items() if key not in ("", None)}
        for name, key in columns.items():
            if name not in TARGETS:
                raise MappingError("unknown_target", str(name)[:40], expected=list(TARGETS))
            if not isinstance(key, str) or len(key) > MAX_KEY:
                raise MappingError("bad_key", name, limit=MAX_KEY)
        values = _values(value.get("winner_values") or {})
        _check_sides(columns)
        return cls(columns, values if "winner" in columns else {})

    def as_json(self) -> dict[str, Any]:
        values = {outcome: list(words) for outcome, words in self.winner_values.items()}
        return {"columns": self.columns, "winner_values": values}

    @property
    def sides(self) -> tuple[str, str]:
        """The targets of its two responses."""
        return PAIRS[0] if "chosen" in self.columns else PAIRS[1]

    def layout(self) -> MappedLayout:
        """Rows need the prompt's key and those of both responses; the others may be missing in a row."""
        needed = [self.columns[name] for name in ("prompt", *self.sides) if name in self.columns]
        return MappedLayout(name=NAME, required=tuple(needed), read=self._read, mapping=self)

    def _read(self, row: Readable[str, Any]) -> Parsed:
        prompt, responses = self._texts(row)
        return Parsed(prompt, responses, self._votes(row))

    def _texts(
        self, row: Readable[str, Any]
    ) -> tuple[tuple[ImportedMessage, ...], tuple[ImportedResponse, ...]]:
        keys = (self.columns[self.sides[0]], self.columns[self.sides[1]])
        values = [messages_or_text(row[key]) for key in keys]
        if "prompt" in self.columns:
            key = self.columns["prompt"]
            prompt = fields.prompt(messages_or_text(row[key]), key)
            texts = [completion(value, key, prompt) for value, key in zip(values, keys, strict=True)]
        else:
            found = [fields.messages(value, key) for value, key in zip(values, keys, strict=True)]
            parsed = conversation_pair({}, keys, found[0], found[1])
            prompt, texts = parsed.messages, [response.text for response in parsed.responses]
        models = [self._fact(row, name) for name in MODELS]
        if texts[0] == texts[1]:
            raise ProblemError("identical_responses", paths=list(keys))
        return self._with_system(row, prompt), tuple(map(ImportedResponse, texts, models))

    def _with_system(
        self, row: Readable[str, Any], prompt: tuple[ImportedMessage, ...]
    ) -> tuple[ImportedMessage, ...]:
        key = self.columns.get("system", "")
        if not row.get(key):
            return prompt
        return (ImportedMessage("system", fields.text(row[key], key)), *prompt)

    def _fact(self, row: Readable[str, Any], target: str) -> str:
        key = self.columns.get(target, "")
        limit = (
            fields.MAX_MODEL if target in MODELS else fields.MAX_LABEL.get(target, fields.MAX_LABEL_DEFAULT)
        )
        return fields.short_text(row.get(key), key, limit)

    def _votes(self, row: Readable[str, Any]) -> tuple[ImportedVote, ...]:
        """The row's vote; none where the winner's key is empty, or not named for responses A and B."""
        outcome = self._outcome(row)
        if outcome is None:
            return ()
        reason = row.get(self.columns.get("rationale", ""))
        vote = ImportedVote(
            0,
            1,
            outcome,
            labeler=self._fact(row, "annotator").strip() or None,
            margin=self._strength(row) if outcome in ("a", "b") else None,
            rationale="" if reason is None else fields.text(reason, self.columns["rationale"]),
        )
        return (vote,)

    def _outcome(self, row: Readable[str, Any]) -> Outcome | None:
        if "winner" not in self.columns:
            return "a" if "chosen" in self.columns else None
        key = self.columns["winner"]
        said = value_word(row.get(key))
        if not said:
            return None
        for outcome, words in self.winner_values.items():
            if said in words:
                return OUTCOMES[outcome]
        expected = [word for words in self.winner_values.values() for word in words]
        raise ProblemError("unknown_outcome", path=key, found=said[:40], expected=expected)

    def _strength(self, row: Readable[str, Any]) -> float | None:
        key = self.columns.get("strength", "")
        value = row.get(key)
        if value is None or value == "":
            return None
        margin = fields.number(cell_number(value), key)
        if margin < 0:
            raise ProblemError("negative_margin", path=key, found=margin)
        return margin


@dataclass(frozen=True)
class MappedLayout(Layout):
    """The layout of a mapping: facts are read from the keys that it names, every other key is kept."""

    mapping: Mapping = field(default_factory=lambda: Mapping({}))

    def parse(self, row: Readable[str, Any], line: int) -> Record:
        parsed, mapping = self.read(row), self.mapping
        own = row.get("metadata")
        used = {*mapping.columns.values()}
        rest = {key: value for key, value in row.items() if key not in used}
        if isinstance(own, dict) and "metadata" in rest:
            rest = own | {key: value for key, value in rest.items() if key != "metadata"}
        name, group, language, topic = (mapping._fact(row, target) for target in FACTS)
        return Record(
            line=line,
            messages=parsed.messages,
            responses=parsed.responses,
            votes=parsed.votes,
            external_id=name,
            group=group,
            language=language,
            topic=topic,
            metadata=rest,
        )


def value_word(value: object) -> str:
    """How a winner's value is written in a mapping: lower letters; 1.0 is 1; "" for none."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().lower()


def _values(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise MappingError("not_a_mapping", "winner_values")
    found: dict[str, tuple[str, ...]] = {}
    for outcome, words in value.items():
        if outcome not in OUTCOMES:
            raise MappingError("unknown_outcome", str(outcome)[:40], expected=list(OUTCOMES))
        listed = words if isinstance(words, list | tuple) else [words]
        found[outcome] = tuple(filter(None, map(value_word, listed)))[:MAX_VALUES]
    every = [word for words in found.values() for word in words]
    twice = next((word for index, word in enumerate(every) if word in every[:index]), None)
    if twice is not None:
        raise MappingError("value_twice", "winner_values", found=twice)
    return found


def _check_sides(columns: dict[str, str]) -> None:
    """Both of one pair of responses and none of the other, each under a key of its own."""
    named = [pair for pair in PAIRS if any(name in columns for name in pair)]
    if not named:
        raise MappingError("no_responses", "response_a")
    if len(named) == 2:
        raise MappingError("two_pairs", "chosen")
    for name in named[0]:
        if name not in columns:
            raise MappingError("one_response", name)
    if named[0] == PAIRS[0] and "winner" in columns:
        raise MappingError("winner_of_chosen", "winner")
    texts = [columns[name] for name in ("prompt", *named[0]) if name in columns]
    if len(set(texts)) < len(texts):
        raise MappingError("key_twice", named[0][1])
