"""Texts in a CSV file that a spreadsheet would run as formulas: how our export writes them, and how import reads them.

A text that begins like a formula, whatever ' stands before that, gets one ' more, and the file's header says so: of its
names the first alone is quoted, which no other program does. Any reader of CSV sees the same names, and in a file
without the mark nothing is taken off.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def protected(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def unprotected(text: str) -> str:
    """The text of which `protected` made this one."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def marked_header(names: Sequence[str], delimiter: str = ",") -> str:
    """The first line of a file with protected texts."""
    line = io.StringIO(newline="")
    csv.writer(line, delimiter=delimiter).writerow(names[1:])
    first = names[0].replace('"', '""')
    return f'"{first}"{delimiter if names[1:] else ""}{line.getvalue()}'


def is_marked(header: bytes, delimiter: bytes) -> bool:
    """Whether this first line says that the texts below are protected."""
    return re.match(rb'"[^"]*"' + re.escape(delimiter) + rb'[^"]*$', header.rstrip(b"\r\n")) is not None
