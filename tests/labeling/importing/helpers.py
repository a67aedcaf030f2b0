"""Files made for import tests: rows of every layout, and bytes in every wrapping."""

import gzip
import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from labeling.importing.problems import ImportProblem
from labeling.importing.records import Record
from labeling.importing.scan import ScannedRecord, scan

SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def shared_file(name: str) -> Path:
    """A file of the public sample data; skips the test, saying so, where the data is not there."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"sample data is missing: {path}")
    return path


def explicit_row(number: int) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "prompt": f"Question {number}?",
        "chosen": f"A careful answer {number}.",
        "rejected": f"No {number}.",
        "debate": f"d{number % 3}",
    }


def implicit_row(number: int) -> dict[str, Any]:
    prompt = {"role": "user", "content": f"问题 {number}？"}
    return {
        "chosen": [prompt, {"role": "assistant", "content": f"好的回答 {number}"}],
        "rejected": [prompt, {"role": "assistant", "content": f"差 {number}"}],
        "debate": f"d{number % 3}",
    }


def message_pairs_row(number: int) -> dict[str, Any]:
    def said(role: str, text: str) -> dict[str, Any]:
        weight = float(role == "assistant")
        return {"role": role, "content": [{"type": "text", "value": text}], "loss_weight": weight}

    start = [said("system", "Be brief."), said("user", f"Ask {number}")]
    return {
        "chosen_messages": [*start, said("assistant", f"Clear answer {number}")],
        "rejected_messages": [*start, said("assistant", f"Vague {number}")],
        "debate": f"d{number % 3}",
    }


def responses_row(number: int) -> dict[str, Any]:
    return {
        "prompt": f"Prompt {number}",
        "responses": [{"text": f"one {number}", "model": "m1"}, f"two {number}", f"three {number}"],
        "debate": f"d{number % 3}",
    }


def ranked_row(number: int) -> dict[str, Any]:
    return {
        "instruction": f"解释 {number}",
        "input": "",
        "history": [["你好", "您好"]],
        "output": [f"最好 {number}", f"中 {number}", f"最差 {number}"],
        "debate": f"d{number % 3}",
    }


def votes_row(number: int) -> dict[str, Any]:
    return {
        "id": f"v{number}",
        "prompt": f"Which {number}?",
        "response_a": f"left {number}",
        "response_b": f"right {number}",
        "votes": [
            {"annotator": "w1", "value": "a", "reason": "clear", "seconds": 12.5},
            {"annotator": "w2", "value": "tie", "reason": "", "seconds": 3},
            {"annotator": "w3", "value": "a", "strength": 4},
        ],
        "gold": "a",
        "debate": f"d{number % 3}",
    }


# One maker of rows for each layout, with a key whose removal makes the row unknown.
FAMILIES = {
    "trl_explicit": (explicit_row, "chosen"),
    "trl_implicit": (implicit_row, "chosen"),
    "message_pairs": (message_pairs_row, "chosen_messages"),
    "responses": (responses_row, "responses"),
    "ranked": (ranked_row, "output"),
    "votes": (votes_row, "response_a"),
}


def rows_of(layout: str, count: int) -> list[dict[str, Any]]:
    make, _key = FAMILIES[layout]
    return [make(number) for number in range(count)]


def jsonl(rows: list[Any]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def json_array(rows: list[Any], *, indent: bool = True) -> bytes:
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2 if indent else 0)


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def scan_bytes(data: bytes, **options: Any) -> tuple[list[Record], list[ImportProblem]]:
    """Everything a scan says of a file's bytes: its records, its problems."""
    events = list(scan(io.BytesIO(data), **options))
    records = [event.record for event in events if isinstance(event, ScannedRecord)]
    return records, [event for event in events if isinstance(event, ImportProblem)]
