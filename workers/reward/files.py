"""Pairs from files: JSON lines (``.gz`` too) and Parquet in the layouts that trainers read.

A row of pairs has ``prompt``, ``chosen`` and ``rejected``. Each is a text or a list of messages (``role``,
``content``); where ``prompt`` is missing, or chosen and rejected repeat it, what both conversations begin with is the
prompt. Optional keys: ``id``, ``margin`` or ``strength``, ``p_chosen``, ``p_tie``, ``weight``, ``group``, ``split``,
``language``, ``topic``, ``subset``, ``slices``, ``votes``, ``ratings_chosen``, ``ratings_rejected``. Every complaint
names file, row and key.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import ConfigError, DataError
from .slices import derived_slices
from .types import Message, Pair

ROLES = ("system", "user", "assistant")
ANY_ROLE = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
PARQUET_ROWS = 1024
LINE_BYTES = 256 * 2**20
Complain = Callable[[DataError], None]
NAMES = (
    "prompt",
    "chosen",
    "rejected",
    "response",
    "messages",
    "id",
    "margin",
    "strength",
    "p_chosen",
    "p_tie",
)
RATINGS = ("ratings_chosen", "ratings_rejected")
SLICES = ("language", "topic", "subset")  # columns that are slices
KEYS = (*NAMES, "weight", "group", "split", *SLICES, "slices", "votes", *RATINGS)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file; ``number`` counts from 1 (lines, or rows of a table)."""

    path: Path
    number: int
    values: Mapping[str, Any]

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or ``default`` where it is missing or null."""
        value = self.values.get(key)
        return default if value is None else value

    def need(self, key: str) -> Any:
        """The value; raises ``DataError`` where it is missing or null."""
        value = self.get(key)
        if value is None:
            raise self.error(key, f"is missing; the row has {', '.join(sorted(self.values)) or 'no keys'}")
        return value

    def number_at(self, key: str) -> float | None:
        """A number, or None where there is none."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, f"must be a number, got {value!r}")
        return float(value)

    def error(self, key: str, what: str) -> DataError:
        """A complaint about one key."""
        return DataError(f"{self.path.name}, row {self.number}: {key} {what}")


def stop_at(error: DataError) -> None:
    """The usual answer to a row that cannot be used."""
    raise error


def read_rows(path: Path, *, bad: Complain = stop_at) -> Iterator[Row]:
    """Rows of a file, streamed. ``bad`` is told of each row that is no JSON object, and may raise; a file that cannot
    be read on, or of another kind, raises ``DataError``."""
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
    elif path.suffix == ".json":
        yield from _listed_rows(path, bad)
    elif path.name.endswith((".jsonl", ".jsonl.gz", ".json.gz", ".ndjson")):
        yield from _json_rows(path, bad)
    else:
        raise DataError(f"{path.name}: only .jsonl, .jsonl.gz, .json and .parquet are read")


def _listed_rows(path: Path, bad: Complain) -> Iterator[Row]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from error
    if not isinstance(found, list):
        raise DataError(f"{path.name}: a .json file holds one list of rows")
    for number, value in enumerate(found, start=1):
        if isinstance(value, dict):
            yield Row(path, number, value)
        else:
            bad(DataError(f"{path.name}, row {number}: is no JSON object"))


def _json_rows(path: Path, bad: Complain) -> Iterator[Row]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            while line := lines.readline(LINE_BYTES):
                number += 1
                if len(line) == LINE_BYTES:
                    raise DataError(f"{path.name}, row {number}: is longer than {LINE_BYTES:,} bytes")
                try:
                    value = json.loads(line.decode("utf-8-sig")) if line.strip() else None
                except (ValueError, RecursionError) as error:
                    bad(DataError(f"{path.name}, row {number}: cannot be read: {error}"))
                    continue
                if isinstance(value, dict):
                    yield Row(path, number, value)
                elif line.strip():
                    bad(DataError(f"{path.name}, row {number}: is no JSON object"))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}, row {number + 1}: cannot be read: {error}") from error


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise DataError(f"{path.name}: reading Parquet needs the package pyarrow") from error
    number = 0
    try:
        for batch in ParquetFile(path, pre_buffer=False).iter_batches(batch_size=PARQUET_ROWS):
            for value in batch.to_pylist():
                number += 1
                yield Row(path, number, value)
    except (OSError, ArrowException) as error:
        raise DataError(f"{path.name}, row {number + 1}: cannot be read: {error}") from error


def messages_of(value: Any, row: Row, key: str) -> tuple[Message, ...]:
    """A text (one user turn; none where it is empty) or a list of messages. ``from`` and ``value`` pass for ``role``
    and ``content``."""
    if isinstance(value, str):
        return (Message("user", value),) if value else ()
    if not isinstance(value, list):
        raise row.error(key, "is neither a text nor a list of messages")
    out = []
    for part in value:
        role = part.get("role", part.get("from")) if isinstance(part, Mapping) else None
        content = part.get("content", part.get("value")) if isinstance(part, Mapping) else None
        role, content = ANY_ROLE.get(str(role), role), _text_of(content)
        if role not in ROLES or not isinstance(content, str):
            raise row.error(key, f"holds a message without role ({', '.join(ROLES)}) and text: {part!r:.80}")
        out.append(Message(str(role), content))
    return tuple(out)


def _text_of(content: Any) -> Any:
    """The text of a message whose content is a list of parts, where all of them are text."""
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        texts = [
            part.get("text", part.get("value")) for part in content if part.get("type", "text") == "text"
        ]
        if len(texts) == len(content) and all(isinstance(text, str) for text in texts):
            return "".join(texts)
    return content


def response_of(value: Any, row: Row, key: str) -> str:
    """A text, or the content of the last of some messages, which must be the assistant's."""
    if isinstance(value, str):
        return value
    turns = messages_of([value] if isinstance(value, Mapping) else value, row, key)
    if not turns or turns[-1].role != "assistant":
        raise row.error(key, "does not end with a message of the assistant")
    return turns[-1].content


def _sides(row: Row) -> tuple[tuple[Message, ...], str, str]:
    """Prompt, chosen, rejected of explicit, implicit and full-conversation layouts."""
    chosen, rejected = row.need("chosen"), row.need("rejected")
    asked = row.get("prompt")
    head = messages_of(asked, row, "prompt") if asked is not None else ()
    texts = response_of(chosen, row, "chosen"), response_of(rejected, row, "rejected")
    before = [
        messages_of(side, row, key)[:-1] if isinstance(side, list) else ()
        for side, key in ((chosen, "chosen"), (rejected, "rejected"))
    ]
    if before[0] != before[1]:
        raise row.error("rejected", "goes on from another conversation than chosen")
    if not before[0]:
        if asked is None:
            raise row.error(
                "prompt", "is missing, and chosen and rejected bring no conversation of their own"
            )
        return head, *texts
    # Some layouts repeat the prompt inside both conversations.
    repeats = not head or before[0][: len(head)] == head
    return (before[0] if repeats else (*head, *before[0])), *texts


def _strength(row: Row, margin_scale: float) -> float | None:
    strength, margin = row.number_at("strength"), row.number_at("margin")
    if strength is not None or margin is None:
        return strength
    if not 0.0 <= margin <= margin_scale:
        raise row.error(
            "margin",
            f"{margin:g} lies outside 0..{margin_scale:g}; set margin_scale (--margin-scale) to the largest one",
        )
    return 1.0 + 3.0 * margin / margin_scale if margin_scale else 1.0


def _votes(row: Row) -> dict[str, str]:
    votes = row.get("votes", {})
    if not isinstance(votes, Mapping) or not set(votes.values()) <= {"chosen", "rejected", "tie", None}:
        raise row.error("votes", "must map annotators to chosen, rejected or tie")
    return {str(who): said for who, said in votes.items() if said is not None}


def _ratings(row: Row, key: str) -> dict[str, float]:
    """Numbers by aspect; null (a table's empty cell) is no rating."""
    ratings = row.get(key, {})
    if not isinstance(ratings, Mapping):
        raise row.error(key, f"must map aspects to numbers, got {ratings!r:.80}")
    given = {str(aspect): value for aspect, value in ratings.items() if value is not None}
    for aspect, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise row.error(f"{key}.{aspect}", f"must be a number, got {value!r:.80}")
    return {aspect: float(value) for aspect, value in given.items()}


def pair_of(row: Row, *, margin_scale: float = 1.0) -> Pair:
    """The pair of one row. ``margin`` in 0..``margin_scale`` becomes a strength of 1..4."""
    messages, chosen, rejected = _sides(row)
    slices = row.get("slices", {})
    if not isinstance(slices, Mapping):
        raise row.error("slices", "must be an object")
    named = {str(key): str(value) for key, value in slices.items() if value is not None}
    named |= {key: str(row.get(key)) for key in SLICES if row.get(key)}
    p_chosen, weight = row.number_at("p_chosen"), row.number_at("weight")
    values: dict[str, Any] = {
        "pair_id": str(row.get("id", f"{row.path.name}:{row.number}")),
        "messages": messages,
        "chosen": chosen,
        "rejected": rejected,
        "p_chosen": 1.0 if p_chosen is None else p_chosen,
        "p_tie": row.number_at("p_tie"),
        "strength": _strength(row, margin_scale),
        "weight": 1.0 if weight is None else weight,
        "group": str(row.get("group", "")),
        "split": str(row.get("split", "train")),
        "slices": named,
        "votes": _votes(row),
        **{key: _ratings(row, key) for key in RATINGS},
    }
    try:
        pair = Pair(**values)
    except DataError as error:
        raise DataError(f"{row.path.name}, row {row.number}: {error}") from None
    return replace(pair, slices=derived_slices(pair) | named)


def renamed(rows: Iterable[Row], keys: Mapping[str, str]) -> Iterator[Row]:
    """Rows whose columns have other names: ``keys`` maps our name to the file's. Raises ``ConfigError``."""
    if unknown := sorted(set(keys) - set(KEYS)):
        raise ConfigError(f"keys: {', '.join(unknown)} is none of {', '.join(KEYS)}")
    for row in rows:
        taken = {ours: row.values.get(theirs) for ours, theirs in keys.items()}
        yield Row(row.path, row.number, {**row.values, **taken})


def read_pairs(
    path: Path | str, *, keys: Mapping[str, str] | None = None, margin_scale: float = 1.0
) -> Iterator[Pair]:
    """Pairs of one file, streamed; raises ``DataError``."""
    for row in renamed(read_rows(Path(path)), keys or {}):
        yield pair_of(row, margin_scale=margin_scale)


def split_of(group_key: str, *, validation: float, test: float, seed: int = 0) -> str:
    """The split of a group by its hash: the same group always lies on the same side, whatever else is in the data."""
    text = f"{seed}:{group_key}".encode("utf-8", "replace")
    drawn = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64
    return "test" if drawn < test else "validation" if drawn < test + validation else "train"


def split_pairs(pairs: Iterable[Pair], *, validation: float, test: float, seed: int = 0) -> Iterator[Pair]:
    """Pairs with their split by group. Groups that share a prompt are one and go by the least of their keys, so that no
    prompt stands in two splits; all pairs are held until that is known.

    Raises ``ConfigError`` for shares outside [0, 1) or that leave nothing to train on.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ConfigError(
            f"split: validation {validation} and test {test} must be shares whose sum is below 1"
        )
    held = list(pairs)
    joined = _joined_groups(held)
    for pair in held:
        key = joined[pair.group_key]
        yield replace(pair, split=split_of(key, validation=validation, test=test, seed=seed))


def _joined_groups(pairs: Iterable[Pair]) -> dict[str, str]:
    """The least key of the groups that hang together by their prompts, for each group's key (union-find)."""
    above: dict[str, str] = {}
    first: dict[str, str] = {}  # a group that each prompt stands in

    def top(key: str) -> str:
        while above[key] != key:
            above[key] = above[above[key]]
            key = above[key]
        return key

    for pair in pairs:
        group = pair.group_key
        above.setdefault(group, group)
        one, other = sorted((top(group), top(first.setdefault(pair.prompt_key, group))))
        above[other] = one
    return {group: top(group) for group in above}
