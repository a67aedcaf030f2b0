"""What a layout is, and what all layouts share: the facts a row may carry beside its texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from labeling.importing import fields
from labeling.importing.records import (
    ImportedGold,
    ImportedMessage,
    ImportedResponse,
    ImportedSettlement,
    ImportedVote,
    Record,
)

EXTRAS = ("id", "group", "language", "topic", "metadata")


@dataclass(frozen=True)
class Layout:
    """One shape of row, told by its keys: all of `required`, one of `one_of` where given, none of
    `excluded`. `last_has` are keys of the last element of the list under the first required key.
    """

    name: str
    required: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], "Parsed"]
    optional: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    last_has: tuple[str, ...] = ()

    def matches(self, row: Mapping[str, Any]) -> bool:
        return not self.missing(row) and not any(key in row for key in self.excluded)

    def missing(self, row: Mapping[str, Any]) -> list[str]:
        """Keys that the row would need; of `one_of` the first stands for all."""
        missing = [key for key in self.required if key not in row]
        if self.one_of and not any(key in row for key in self.one_of):
            missing.append(self.one_of[0])
        if self.last_has and not missing:
            last = _last(row[self.required[0]])
            missing += [self._in_last(key) for key in self.last_has if key not in last]
        return missing

    @property
    def expected(self) -> list[str]:
        """The keys that tell the layout, as shown to people."""
        chosen = [" / ".join(self.one_of)] if self.one_of else []
        return chosen + list(self.required) + [self._in_last(key) for key in self.last_has]

    @cached_property
    def _own_keys(self) -> frozenset[str]:
        return frozenset((*self.required, *self.one_of, *self.optional, *EXTRAS))

    def _in_last(self, key: str) -> str:
        return f"{self.required[0]}[-1].{key}"

    def parse(self, row: Mapping[str, Any], line: int) -> Record:
        """The row's record; raises ProblemError. Keys that nobody reads are kept in the metadata."""
        parsed = self.read(row)
        metadata = (
            dict(fields.mapping(row["metadata"], "metadata")) if row.get("metadata") is not None else {}
        )
        spare = row.keys() - self._own_keys - set(parsed.also_read) | set(parsed.kept)
        metadata |= {key: value for key, value in row.items() if key in spare}
        return Record(
            line=line,
            messages=parsed.messages,
            responses=parsed.responses,
            votes=parsed.votes,
            gold=parsed.gold,
            settled=parsed.settled,
            ranked=parsed.ranked,
            external_id=fields.label(row, "id"),
            language=fields.label(row, "language"),
            topic=fields.label(row, "topic") or parsed.topic,
            group=fields.label(row, "group"),
            metadata=metadata,
        )


def _last(value: object) -> Mapping[str, Any]:
    """The last element of a list of objects; nothing where there is none."""
    last = value[-1] if isinstance(value, list) and value else None
    return last if isinstance(last, dict) else {}


@dataclass(frozen=True)
class Parsed:
    """What a layout's own keys say. `topic` counts where the row has none of its own. `kept` names keys that
    are read and also stay in the metadata, `also_read` those that were read beside the layout's own.
    """

    messages: tuple[ImportedMessage, ...]
    responses: tuple[ImportedResponse, ...]
    votes: tuple[ImportedVote, ...] = ()
    gold: ImportedGold | None = None
    settled: ImportedSettlement | None = None
    ranked: bool = False
    topic: str = ""
    kept: tuple[str, ...] = ()
    also_read: tuple[str, ...] = ()
