"""A dataset folder as a zip, streamed: a Parquet file for each split that has rows, a manifest and a card.

Unpacked, it is what `datasets.load_dataset(FOLDER)` opens and what a hub takes. Members are stored as they are (Parquet
is compressed already) and have no time of their own: same snapshot, same options, same bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import orjson

from labeling.exporting.card import CardFacts, card_text, read_facts
from labeling.exporting.facts import option_facts, snapshot_facts
from labeling.exporting.options import ExportOptions
from labeling.exporting.stream import VERSION, ExportStream
from labeling.exporting.writers import ByteSink
from labeling.models import Snapshot

NO_TIME = (1980, 1, 1, 0, 0, 0)


class DatasetStream:
    """As `ExportStream`: the bytes by iteration, once; afterwards counts, size and SHA-256 of the whole."""

    def __init__(self, snapshot: Snapshot, options: ExportOptions) -> None:
        self.snapshot = snapshot
        self.options = options
        self.size = 0
        self.is_complete = False
        self._digest = hashlib.sha256()
        # All are opened now, so that a damaged file is an error before the first byte and not after it.
        self._streams = {
            split: ExportStream(snapshot, replace(options, format="parquet", splits=(split,)))
            for split in options.splits
        }

    @property
    def sha256(self) -> str:
        assert self.is_complete, "the hash is known once all bytes have been read"
        return self._digest.hexdigest()

    @property
    def read(self) -> int:
        return sum(stream.read for stream in self._streams.values())

    @property
    def written(self) -> int:
        return sum(stream.written for stream in self._streams.values())

    @property
    def dropped(self) -> Counter[str]:
        return sum((stream.dropped for stream in self._streams.values()), Counter[str]())

    @property
    def splits(self) -> Counter[str]:
        return sum((stream.splits for stream in self._streams.values()), Counter[str]())

    def preview(self, *, rows: int, looked_at: int) -> list[dict[str, Any]]:
        """The first rows of the first split that has any."""
        for stream in self._streams.values():
            found = stream.preview(rows=rows, looked_at=looked_at)
            if found:
                return found
        return []

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._members():
            if chunk:
                self._digest.update(chunk)
                self.size += len(chunk)
                yield chunk
        self.is_complete = True

    def _members(self) -> Iterator[bytes]:
        members = ZipMembers()
        for split, stream in self._streams.items():
            chunks = begun(stream)
            if chunks is not None:
                yield from members.add(f"data/{split}-00000-of-00001.parquet", chunks)
        manifest = self._manifest()
        yield from members.add("manifest.json", [orjson.dumps(manifest, option=orjson.OPT_INDENT_2)])
        facts = read_facts(self.snapshot, self.options)
        yield from members.add("README.md", [self._card(facts).encode()])
        yield members.end()

    def _manifest(self) -> dict[str, Any]:
        return {
            "manifest": "chosen.dataset/1",
            "project": self.snapshot.project.slug,
            "snapshot": snapshot_facts(self.snapshot),
            "options": option_facts(self.options),
            "made_with": VERSION,
            "rows": {
                "read": self.read,
                "written": self.written,
                "left_out": dict(sorted(self.dropped.items())),
            },
            "files": {
                f"data/{split}-00000-of-00001.parquet": {
                    "rows": stream.written,
                    "bytes": stream.size,
                    "sha256": stream.sha256,
                }
                for split, stream in self._streams.items()
                if stream.written
            },
        }

    def _card(self, facts: CardFacts) -> str:
        rows = {split: stream.written for split, stream in self._streams.items() if stream.written}
        return card_text(
            self.snapshot, self.options, facts, rows=rows, left_out=dict(sorted(self.dropped.items()))
        )


def begun(stream: ExportStream) -> Iterator[bytes] | None:
    """The stream's bytes, read as far as its first row; None where it has no row: `datasets` refuses an empty split."""
    chunks, held = iter(stream), list[bytes]()
    while not stream.written:
        chunk = next(chunks, None)
        if chunk is None:
            return None
        held.append(chunk)
    return chain(held, chunks)


class ZipMembers:
    """A zip written from its start to its end into nothing: each member's bytes come out as they go in."""

    def __init__(self) -> None:
        self._sink = ByteSink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)

    def add(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        member = zipfile.ZipInfo(name, NO_TIME)
        member.create_system = 3  # the same bytes whatever system this runs on
        member.external_attr = 0o644 << 16
        with self._zip.open(member, "w", force_zip64=True) as file:
            for chunk in chunks:
                file.write(chunk)
                yield self._sink.take()
        yield self._sink.take()

    def end(self) -> bytes:
        self._zip.close()
        return self._sink.take()
