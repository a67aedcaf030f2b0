"""Files of scores: numbered parts while a run is under way, one Parquet or JSON lines file at its end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConfigError, DataError
from ..folder import atomic_file
from ..types import Scores
from .source import Answer

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz")
ERRORS = b"errors"


def schema(*, placed: bool = False) -> pa.Schema:
    """Columns of a score file; those of a part have the ``place`` in the window, too."""
    import pyarrow as pa

    return pa.schema(
        [
            ("row", pa.int64()),
            ("response", pa.string()),
            ("id", pa.string()),
            ("score", pa.float32()),
            ("std", pa.float32()),
            ("heads", pa.list_(pa.float32())),
            ("n_tokens", pa.int64()),
            ("truncated", pa.bool_()),
            ("aspects", pa.map_(pa.string(), pa.float32())),
            ("model", pa.string()),
            ("version", pa.string()),
            ("template_hash", pa.string()),
            *([("place", pa.int64())] if placed else []),
        ]
    )


@dataclass(slots=True)
class Part:
    """Rows of one chunk, and what was said of responses that could not be scored."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(
        self, places: Sequence[int], answers: Sequence[Answer], scores: Scores, named: Mapping[str, str]
    ) -> None:
        """Scores of ``answers``, which stand at ``places`` of their window; ``named`` is said of every row."""
        std = scores.heads.std(axis=1)
        for i, (place, answer) in enumerate(zip(places, answers, strict=True)):
            self.rows.append(
                {
                    "row": answer.row,
                    "response": answer.response,
                    "id": answer.item.item_id,
                    "score": float(scores.value[i]),
                    "std": float(std[i]),
                    "heads": scores.heads[i].tolist(),
                    "n_tokens": int(scores.n_tokens[i]),
                    "truncated": bool(scores.truncated[i]),
                    "aspects": {name: float(values[i]) for name, values in scores.aspects.items()},
                    "place": place,
                    **named,
                }
            )

    def write(self, path: Path) -> None:
        """The part, whole or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(self.rows, schema=schema(placed=True))
        with atomic_file(path) as temporary:
            pq.write_table(table.replace_schema_metadata({ERRORS: json.dumps(self.errors)}), temporary)


def part_path(work: Path, window: int, chunk: int) -> Path:
    """Where a chunk's scores stand."""
    return work / f"part-{window:06d}-{chunk:06d}.parquet"


def read_window(paths: Iterable[Path]) -> tuple[pa.Table, list[str]]:
    """Scores of a window's parts in the source's order, and their errors. Raises ``DataError``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables, errors = [], []
    for path in paths:
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be read ({error}); delete it and call again") from error
        errors += json.loads((table.schema.metadata or {}).get(ERRORS, b"[]"))
        tables.append(table.replace_schema_metadata(None))
    return pa.concat_tables(tables).sort_by("place").drop_columns(["place"]), errors


class Sink(Protocol):
    """Where the final rows go."""

    def write(self, table: pa.Table) -> None:
        """Append a window's rows."""
        ...


@dataclass(slots=True)
class _Lines:
    out: Any

    def write(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            line = json.dumps(row | {"aspects": dict(row["aspects"])}, ensure_ascii=False)
            self.out.write(line.encode() + b"\n")


def check_suffix(target: Path) -> None:
    """Raises ``ConfigError`` for a name that says no known format."""
    if not target.name.endswith(SUFFIXES):
        raise ConfigError(f"{target.name}: scores are written as {', '.join(SUFFIXES)}")


@contextmanager
def final_file(target: Path, work: Path) -> Iterator[Sink]:
    """The score file, made in ``work``, whole or not at all. The same rows give the same bytes."""
    import pyarrow.parquet as pq

    with atomic_file(target, within=work) as temporary:
        if target.suffix == ".parquet":
            with pq.ParquetWriter(temporary, schema(), compression="zstd") as table:
                yield _Tables(table)
        elif target.suffix == ".gz":
            with temporary.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as out:
                yield _Lines(out)
        else:
            with temporary.open("wb") as out:
                yield _Lines(out)


@dataclass(slots=True)
class _Tables:
    out: Any

    def write(self, table: pa.Table) -> None:
        self.out.write_table(table)
