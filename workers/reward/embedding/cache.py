"""States of token rows on disk, found again by what they were made of.

One SQLite file: its transactions make writes atomic, and its locks let any number of processes share it. A row's key
is a hash of the space (backbone, template, pooling) and the row's token ids, so nothing in it ever goes stale; what
was not asked for longest is dropped when the file outgrows its bound. Losing the file costs time alone, so one that
is damaged is begun anew, and one that cannot be used is done without.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from ..types import FloatArray

log = logging.getLogger(__name__)
FILE = "embeddings.sqlite3"
# Raise it whenever equal keys could mean other numbers.
VERSION = 1
MAX_BYTES = 4 * 2**30
KEPT_SHARE = 0.8
WAIT_S = 60.0
_CHUNK = 500
_DAY_S = 86_400


def default_folder() -> Path:
    """``CHOSEN_EMBEDDING_CACHE``, or ``chosen/embeddings`` where this user's programs keep what they can do without."""
    named = os.environ.get("CHOSEN_EMBEDDING_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chosen" / "embeddings"


class EmbeddingCache:
    """Float32 vectors (H,) of token rows, for one ``space``: whatever else decides them."""

    def __init__(self, folder: Path, space: Sequence[str], *, max_bytes: int = MAX_BYTES) -> None:
        self.path, self.max_bytes = folder / FILE, max_bytes
        self.space = json.dumps([VERSION, *space]).encode()

    def get(self, rows: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], FloatArray]:
        """The vectors of those rows that are known, read-only."""
        today = int(time.time()) // _DAY_S
        found: dict[tuple[int, ...], FloatArray] = {}

        def read(database: sqlite3.Connection) -> None:
            for start in range(0, len(rows), _CHUNK):
                keys = {self._key(row): row for row in rows[start : start + _CHUNK]}
                marks = ",".join("?" * len(keys))
                known = database.execute(
                    f"SELECT key, value, used FROM embeddings WHERE key IN ({marks})",  # noqa: S608
                    [*keys],
                ).fetchall()
                found.update({keys[key]: np.frombuffer(value, "<f4") for key, value, _ in known})
                seen = [(today, key) for key, _, used in known if used < today]
                database.executemany("UPDATE embeddings SET used = ? WHERE key = ?", seen)

        self._transact(read)
        return found

    def put(self, vectors: Mapping[tuple[int, ...], FloatArray]) -> None:
        """Add vectors in one transaction; rows that another process has added meanwhile stay as they are."""
        today = int(time.time()) // _DAY_S
        rows = [
            (self._key(row), np.ascontiguousarray(vector, "<f4").tobytes(), today)
            for row, vector in vectors.items()
        ]
        self._transact(
            lambda database: database.executemany("INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?)", rows)
        )

    def shrink(self) -> None:
        """Bring a file that is larger than ``max_bytes`` down to four fifths of that, least lately used rows first."""

        def drop(database: sqlite3.Connection) -> None:
            size = _size(database)
            if size > self.max_bytes:
                count = database.execute("SELECT count(*) FROM embeddings").fetchone()[0]
                surplus = int(np.ceil(count * (1.0 - KEPT_SHARE * self.max_bytes / size)))
                database.execute(
                    "DELETE FROM embeddings WHERE rowid IN "
                    "(SELECT rowid FROM embeddings ORDER BY used, rowid LIMIT ?)",
                    [surplus],
                )
                database.commit()
                database.executescript("PRAGMA incremental_vacuum")  # execute would free one page

        self._transact(drop)

    def clear(self) -> None:
        """Delete the file, for every space."""
        for name in (FILE, f"{FILE}-journal"):
            self.path.with_name(name).unlink(missing_ok=True)

    def _key(self, row: tuple[int, ...]) -> bytes:
        ids = np.asarray(row, dtype="<i8").tobytes()
        return hashlib.sha256(self.space + b"\0" + ids).digest()

    def _transact(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do ``work`` in one transaction. What the database refuses is logged and left undone: it saves time only."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=WAIT_S)) as database, database:
                database.execute("PRAGMA auto_vacuum = INCREMENTAL")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS embeddings "
                    "(key BLOB PRIMARY KEY, value BLOB NOT NULL, used INT NOT NULL)"
                )
                work(database)
        except (
            sqlite3.OperationalError
        ) as error:  # locked for too long, a full disk, a folder that is not ours
            log.warning("embeddings are not cached: %s: %s", self.path, error)
        except sqlite3.DatabaseError as error:
            log.warning("the cache of embeddings is damaged and begun anew: %s: %s", self.path, error)
            with suppress(OSError):
                self.clear()
        except OSError as error:
            log.warning("embeddings are not cached: %s", error)


def _size(database: sqlite3.Connection) -> int:
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
