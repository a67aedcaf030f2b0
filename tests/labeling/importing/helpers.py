"""Files made for import tests: rows of every layout, and bytes in every wrapping."""

import gzip
import io
from typing import Any

import orjson

from labeling.importing.problems import ImportProblem
from labeling.importing.records import Record
from labeling.importing.scan import ScannedRecord, scan


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


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def swift_row(number: int) -> dict[str, Any]:
    turns = [said("system", "Be kind."), said("user", f"Ask {number}"), said("assistant", f"Good {number}")]
    return {"messages": turns, "rejected_response": f"Bad {number}", "debate": f"d{number % 3}"}


def alpaca_row(number: int) -> dict[str, Any]:
    return {
        "instruction": f"Translate {number}",
        "input": "Guten Tag",
        "chosen": f"Good day {number}",
        "rejected": f"Bad day {number}",
        "debate": f"d{number % 3}",
    }


def sharegpt_row(number: int) -> dict[str, Any]:
    return {
        "conversations": [{"from": "human", "value": f"你好 {number}"}],
        "chosen": {"from": "gpt", "value": f"您好 {number}"},
        "rejected": {"from": "gpt", "value": f"嗯 {number}"},
        "debate": f"d{number % 3}",
    }


def cvalues_row(number: int) -> dict[str, Any]:
    return {
        "prompt": f"可以吗 {number}",
        "pos_resp": f"不建议 {number}",
        "neg_resp": f"随便 {number}",
        "debate": f"d{number % 3}",
    }


def rm_finetuning_row(number: int) -> dict[str, Any]:
    both = {"role": "assistant", "chosen_value": f"Yes {number}", "rejected_value": f"No {number}"}
    return {
        "messages": [{"role": "user", "value": f"Well {number}?"}, both],
        "debate": f"d{number % 3}",
    }


def rewardbench_row(number: int) -> dict[str, Any]:
    return explicit_row(number) | {
        "id": number,
        "subset": "mt-bench-easy",
        "chosen_model": "m1",
        "rejected_model": "m2",
    }


def rewardbench2_row(number: int) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "prompt": f"Name a colour, {number}",
        "chosen": [f"red {number}", f"blue {number}"],
        "rejected": [f"dog {number}", f"cat {number}", f"cow {number}"],
        "num_correct": 2,
        "subset": "Ties",
        "debate": f"d{number % 3}",
    }


def pandalm_row(number: int) -> dict[str, Any]:
    return {
        "idx": number,
        "cmp_key": "bloom-7b_llama-7b",
        "instruction": f"Shorten {number}",
        "input": "A long sentence.",
        "response1": f"Short {number}.",
        "response2": f"Shorter {number}.",
        "annotator1": 1,
        "annotator2": 2,
        "annotator3": 0,
        "debate": f"d{number % 3}",
    }


def kto_row(number: int) -> dict[str, Any]:
    return {
        "prompt": f"Sum {number}",
        "completion": f"It is {number}.",
        "label": number % 2 == 0,
        "debate": f"d{number % 3}",
    }


def kto_messages_row(number: int) -> dict[str, Any]:
    turns = [said("user", f"Sum {number}"), said("assistant", f"It is {number}.")]
    return {"messages": turns, "label": number % 2 == 0, "debate": f"d{number % 3}"}


# One maker of rows for each layout, with a key whose removal makes the row unknown.
FAMILIES = {
    "trl_explicit": (explicit_row, "chosen"),
    "trl_implicit": (implicit_row, "chosen"),
    "message_pairs": (message_pairs_row, "chosen_messages"),
    "ms_swift": (swift_row, "rejected_response"),
    "alpaca_pairs": (alpaca_row, "chosen"),
    "sharegpt_pairs": (sharegpt_row, "chosen"),
    "cvalues": (cvalues_row, "pos_resp"),
    "rm_finetuning": (rm_finetuning_row, "messages"),
    "rewardbench": (rewardbench_row, "chosen"),
    "rewardbench2": (rewardbench2_row, "chosen"),
    "responses": (responses_row, "responses"),
    "ranked": (ranked_row, "output"),
    "votes": (votes_row, "response_a"),
    "pandalm": (pandalm_row, "response1"),
    "kto": (kto_row, "completion"),
    "kto_messages": (kto_messages_row, "label"),
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
