"""Responses to score from the rows of a file, in windows of bounded size.

A row has a prompt (``prompt``, a text or messages, or ``messages``) and what answers it: ``response``, a list of
``responses``, or ``chosen`` and ``rejected``, each one answer or a list of them. An answer is a text or messages that
end with the assistant's, in ``responses`` also an object with a ``text``. Messages that do not begin with the
assistant's are a whole conversation, and replace the prompt. Rows with ``messages`` alone answer with their last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import Row, messages_of, read_rows, response_of
from ..types import Item, Message

KEYS = ("response", "responses", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Answer:
    """One response of a file: ``row`` counts from 1, ``response`` says which of the row's it is (``response``,
    ``chosen``, ``responses.0`` and so on)."""

    row: int
    response: str
    item: Item

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.item.response) + sum(len(m.content) for m in self.item.messages)


def answers_of(row: Row) -> list[Answer]:
    """Every response of a row; raises ``DataError`` with file, row and key."""
    name = str(row.get("id", row.number)).encode("utf-8", "replace").decode()
    key = "messages" if row.get("messages") is not None else "prompt"
    head = messages_of(row.get(key), row, key) if row.get(key) is not None else None
    found = [(k, value) for k in KEYS for k, value in _several(k, row.get(k))]
    if not found and key == "messages" and head:
        found, head = [("messages", row.get(key))], None
    if not found:
        raise row.error("response", f"is missing; none of {', '.join(KEYS)} is there")
    out = []
    for which, value in found:
        turns = _conversation(head, value, row, which)
        out.append(Answer(row.number, which, Item(name, turns, response_of(value, row, which))))
    return out


def _several(key: str, value: Any) -> list[tuple[str, Any]]:
    """One answer, or each of a list of them under a name of its own."""
    if value is None:
        return []
    if isinstance(value, list) and (key == "responses" or not any(isinstance(part, dict) for part in value)):
        return [(f"{key}.{i}", _text(part)) for i, part in enumerate(value)]
    return [(key, value)]


def _text(value: Any) -> Any:
    """The text of an answer that says more of itself (``{"text": …, "model": …}``)."""
    return value["text"] if isinstance(value, dict) and "text" in value else value


def _conversation(head: tuple[Message, ...] | None, value: Any, row: Row, key: str) -> tuple[Message, ...]:
    before = messages_of(value, row, key)[:-1] if isinstance(value, list) else ()
    if before and before[0].role != "assistant":
        return before
    if head is None:
        raise row.error("prompt", f"is missing, and {key} brings no conversation of its own")
    return (*head, *before)


def windows(
    source: Path, most: int, characters: int, bad: Callable[[DataError], None], *, whole: bool = False
) -> Iterator[list[Answer]]:
    """Successive runs of the file's responses, at most ``most`` of them; one ends early when its text passes
    ``characters``. ``whole`` ones end between prompts alone, and are longer where a prompt's answers are. ``bad`` is
    told of each row that cannot be used, and may raise."""
    out: list[Answer] = []
    size = 0
    for row in read_rows(source, bad=bad):
        try:
            found = answers_of(row)
        except DataError as error:
            bad(error)
            continue
        for answer in found:
            is_full = len(out) >= most or size >= characters
            if is_full and not (whole and answer.item.messages == out[-1].item.messages):
                yield out
                out, size = [], 0
            out.append(answer)
            size += answer.size
    if out:
        yield out


def reading_order(answers: list[Answer]) -> list[int]:
    """Their places, such that answers to one prompt lie beside each other, and prompts of alike long texts, too."""
    prompts: dict[tuple[Message, ...], list[int]] = {}
    for place, answer in enumerate(answers):
        prompts.setdefault(answer.item.messages, []).append(place)

    def mean_size(places: list[int]) -> float:
        return sum(answers[place].size for place in places) / len(places)

    by_length = sorted(prompts.values(), key=mean_size)
    return [p for places in by_length for p in sorted(places, key=lambda p: answers[p].size)]


def chunks_of(answers: list[Answer], most: int, *, whole: bool = False) -> list[list[int]]:
    """Their places in reading order, at most ``most`` at once. ``whole``: in the file's order, with neighbouring
    answers to one prompt in one chunk however many, and no other answers to that prompt beside them."""
    if not whole:
        order = reading_order(answers)
        return [order[start : start + most] for start in range(0, len(order), most)]
    out: list[list[int]] = []
    there: set[tuple[Message, ...]] = set()
    for messages, neighbours in groupby(range(len(answers)), key=lambda place: answers[place].item.messages):
        places = list(neighbours)
        if not out or messages in there or len(out[-1]) + len(places) > most:
            out.append([])
            there.clear()
        out[-1] += places
        there.add(messages)
    return out
