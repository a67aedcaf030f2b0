"""Rows as files of every form and in every wrapping that import reads: the table of containers."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from labeling.exporting.writers import csv_cell
from labeling.spreadsheets import marked_header
from tests.labeling.importing.helpers import gz, jsonl, rows_of

Rows = list[dict[str, Any]]


def table(rows: Rows, delimiter: str = ",", **how: Any) -> bytes:
    """Rows as our own export writes them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    text.write(marked_header(names, delimiter))
    csv.writer(text, delimiter=delimiter, **how).writerows(
        [csv_cell(row.get(name)) for name in names] for row in rows
    )
    return text.getvalue().encode()


def tabs(rows: Rows) -> bytes:
    return table(rows, "\t")


def array(rows: Rows) -> bytes:
    """A JSON array with each row on a line of its own."""
    return b"[\n" + b",\n".join(map(orjson.dumps, rows)) + b"\n]\n"


def parquet(rows: Rows, **how: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **how)
    return sink.getvalue()


def bare_parquet(rows: Rows) -> bytes:
    """Its texts stand in the file as they are, so that a test can spoil them."""
    return parquet(rows, compression="none", use_dictionary=False)


def arrow(rows: Rows, *, indexed: bool = False) -> bytes:
    """Rows as `datasets` saves them to disk, or as the kind of Arrow file that has an index."""
    sink, values = io.BytesIO(), pa.Table.from_pylist(rows)
    make = pa.ipc.new_file if indexed else pa.ipc.new_stream
    with make(sink, values.schema) as writer:
        writer.write_table(values, max_chunksize=2)
    return sink.getvalue()


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these files, by name."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


def plain_rows(layout: str, count: int) -> Rows:
    """Rows of the layout in which every list holds values of one type, as Parquet asks for."""
    rows = rows_of(layout, count)
    if layout == "responses":
        for row in rows:
            row["responses"] = [
                item if isinstance(item, dict) else {"text": item, "model": ""} for item in row["responses"]
            ]
    return rows


@dataclass(frozen=True)
class Form:
    """How rows are written. `first_line` is the line of the first row; `ending` is what such a file is called by."""

    write: Callable[[Rows], bytes]
    ending: str
    first_line: int = 1
    is_text: bool = True

    def without_rows(self, rows: Rows) -> bytes:
        """A file of columns with the columns of these rows, and no row."""
        sink, none = io.BytesIO(), pa.Table.from_pylist(rows).slice(0, 0)
        if self.ending == "parquet":
            pq.write_table(none, sink)
        else:
            with pa.ipc.new_stream(sink, none.schema) as writer:
                writer.write_table(none)
        return sink.getvalue()


FORMS = {
    "jsonl": Form(jsonl, "jsonl"),
    "array": Form(array, "json", first_line=2),
    "csv": Form(table, "csv", first_line=2),
    "tsv": Form(tabs, "tsv", first_line=2),
    "parquet": Form(bare_parquet, "parquet", is_text=False),
    "arrow": Form(arrow, "arrow", is_text=False),
}


def folder(files: dict[str, bytes]) -> bytes:
    """A data set's folder with a card that names the files, as a zip."""
    paths = "".join(f"  - split: train{n}\n    path: {name}\n" for n, name in enumerate(files))
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{paths}---\n# A data set\n"
    return packed({"README.md": card.encode(), **files, "spare.jsonl": b"{not read"})


@dataclass(frozen=True)
class Container:
    """A form in a wrapping. `members`: it holds several files, each with a name that problems tell."""

    form: Form
    wrap: Callable[[list[bytes]], bytes]
    members: tuple[str, str] | None = None
    is_gzip: bool = False


def _only(files: list[bytes]) -> bytes:
    [data] = files
    return data


def _containers() -> dict[str, Container]:
    found = {name: Container(form, _only) for name, form in FORMS.items()}
    for name, form in FORMS.items():
        if form.is_text:
            found[f"{name}.gz"] = Container(form, lambda files: gz(_only(files)), is_gzip=True)
        for kind, pack in (("zip", packed), ("folder", folder)):
            names = (f"data/a.{form.ending}", f"data/b.{form.ending}")

            def wrap(
                files: list[bytes],
                pack: Callable[[dict[str, bytes]], bytes] = pack,
                names: tuple[str, str] = names,
            ) -> bytes:
                return pack(dict(zip(names, files, strict=False)))

            found[f"{kind} of {name}"] = Container(form, wrap, names)
    return found


CONTAINERS = _containers()
