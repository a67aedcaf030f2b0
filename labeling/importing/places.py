"""Where in the text of a row a key path stands, so that an error names line and column and not the row
alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from labeling.importing.reader import Row

_STEP = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")


def place_of(row: Row, path: str = "") -> tuple[int, int]:
    """Line and column of the last key of the path that can be found, from 1; the row's own start without one.

    The text is searched, not parsed: inside a list of objects the n-th occurrence of the key is taken, which
    is exact when all objects before it have the key once; of `[-1]` the last occurrence is taken.
    """
    position = 0
    for key, occurrence in _keys(path):
        pattern = re.compile(rb'"' + re.escape(key.encode()) + rb'"[ \t\r\n]*:')
        matches = list(islice(pattern.finditer(row.raw, position), occurrence + 1 or None))
        found = matches[occurrence] if occurrence < len(matches) and matches else None
        if found is None:
            break
        position = found.start()
    newlines = row.raw.count(b"\n", 0, position)
    before = row.raw[row.raw.rfind(b"\n", 0, position) + 1 : position].decode("utf-8", "replace")
    return row.line + newlines, len(before) + (1 if newlines else row.column)


def _keys(path: str) -> Iterator[tuple[str, int]]:
    """The keys of a path with the index that stood before each: `votes[2].value` → ("votes", 0), ("value",
    2).
    """
    index = 0
    for key, number in _STEP.findall(path):
        if number:
            index = int(number)
        else:
            yield key, index
            index = 0
