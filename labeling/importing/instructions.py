"""Prompts that are given in parts: Alpaca's system, history, instruction and input; a system message apart."""

from collections.abc import Mapping
from typing import Any

from labeling.importing import fields
from labeling.importing.problems import ProblemError
from labeling.importing.records import ImportedMessage

INSTRUCTION_KEYS = ("instruction", "input", "history", "system")


def instruction_prompt(row: Mapping[str, Any]) -> tuple[ImportedMessage, ...]:
    """System, history turns, then the instruction with its input below it; either may stand alone. Raises
    ProblemError.
    """
    found: list[ImportedMessage] = []
    history = fields.items(row.get("history") or [], "history")
    for index, turn in enumerate(history):
        path = f"history[{index}]"
        pair = fields.items(turn, path)
        if len(pair) != 2:
            raise ProblemError("history_turn", path=path, found=len(pair))
        question, answer = fields.text(pair[0], f"{path}[0]"), fields.text(pair[1], f"{path}[1]")
        found += [ImportedMessage("user", question), ImportedMessage("assistant", answer)]
    instruction = fields.text(row["instruction"], "instruction")
    context = fields.text(row.get("input") or "", "input")
    if not instruction.strip():
        instruction, context = fields.filled_text(context, "instruction"), ""
    content = f"{instruction}\n{context}" if context else instruction
    return with_system(row, (*found, ImportedMessage("user", content)))


def with_system(row: Mapping[str, Any], prompt: tuple[ImportedMessage, ...]) -> tuple[ImportedMessage, ...]:
    """The prompt behind the row's own `system` text, where the row has one."""
    if not row.get("system"):
        return prompt
    return (ImportedMessage("system", fields.text(row["system"], "system")), *prompt)
