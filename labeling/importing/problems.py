"""What can be wrong with a file, as data.

A problem names where it is (line and column, both from 1; column 0 when the whole line is meant) and what
it is (a code and the values its sentence needs). The sentences, in the reader's language, are in `texts.py`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

PLACES_KEPT = 5


@dataclass(frozen=True)
class ImportProblem:
    """One thing wrong with the file. A fatal one means that nothing after it could be read."""

    line: int
    column: int
    code: str
    params: dict[str, Any] = field(default_factory=dict)
    fatal: bool = False
    row: int = 0  # number of the record from 1, where one is known: the way around in a file of one long line
    member: str = ""  # the file in an archive

    def at(self, *, line: int, row: int = 0) -> "ImportProblem":
        """The same problem, placed."""
        return replace(self, line=line, row=row)

    @property
    def sentence_key(self) -> tuple[str, bytes]:
        """Equal for problems of one file that read the same."""
        return self.code, orjson.dumps([self.member, self.params], option=orjson.OPT_SORT_KEYS)

    @property
    def message(self) -> str:
        """What happened, in the active language."""
        from labeling.importing.texts import problem_message

        return problem_message(self)

    @property
    def hint(self) -> str:
        """The way out, in the active language; empty where the message says it all."""
        from labeling.importing.texts import problem_hint

        return problem_hint(self)

    def as_json(self) -> dict[str, Any]:
        """What is stored: code and values, so that it can be shown in any language later."""
        return {
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "params": self.params,
            "fatal": self.fatal,
            "row": self.row,
            "member": self.member,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ImportProblem":
        names = ("line", "column", "code", "params", "fatal", "row")
        return cls(**{name: value[name] for name in names} | {"member": value.get("member", "")})


@dataclass
class ProblemGroup:
    """Problems of which the same sentence is true: the first one, how many there are, where the first few stand."""

    first: ImportProblem
    count: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)  # (line, row)

    def add(self, problem: ImportProblem) -> None:
        self.count += 1
        if len(self.places) < PLACES_KEPT:
            self.places.append((problem.line, problem.row))

    @property
    def where(self) -> str:
        """The first lines and how many more, in the active language."""
        from labeling.importing.texts import problem_places

        return problem_places(self)

    def as_json(self) -> dict[str, Any]:
        return self.first.as_json() | {"count": self.count, "places": self.places}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ProblemGroup":
        """Also of a problem that was stored by itself."""
        first = ImportProblem.from_json(value)
        places = [(line, row) for line, row in value.get("places", [(first.line, first.row)])]
        return cls(first, value.get("count", 1), places)


class ProblemError(Exception):
    """Carries a problem out of a parser; caught by the reader and the scan, which know the line."""

    def __init__(
        self, code: str, *, line: int = 0, column: int = 0, fatal: bool = False, **params: Any
    ) -> None:
        super().__init__(f"{code} {params}")
        self.problem = ImportProblem(line, column, code, params, fatal)
