"""Bytes of an uploaded file, decompressed as a stream, with caps.

Compression is told by the first bytes, never by the name. A gzip file is checked to its last byte: a cut
one, a broken checksum or bytes after the end are fatal problems, so that half a file is never taken for a
whole one. Cost: about 1 MiB of memory whatever the file's size.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from labeling.importing.problems import ProblemError

CHUNK_BYTES = 256 * 1024
GZIP_MAGIC = b"\x1f\x8b"
UTF8_BOM = b"\xef\xbb\xbf"

# First bytes of files that people bring by mistake, with the name to show.
FOREIGN_MAGICS = (
    (b"PK\x03\x04", "gzipped or nested ZIP"),
    (b"PAR1", "gzipped Parquet"),
    (b"ARROW1", "gzipped Arrow"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "XZ"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"%PDF", "PDF"),
)
UTF16_MAGICS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Limits:
    """Caps on what one file may ask for. Sizes are bytes after decompression."""

    max_line_bytes: int = 16 * 1024 * 1024
    max_depth: int = 64
    max_total_bytes: int = 64 * 1024**3
    # Text packs at most about 30 times; a bomb packs about 1,000 times. Small files may repeat themselves
    # freely.
    max_ratio: int = 200
    ratio_free_bytes: int = 64 * 1024 * 1024


class ByteSource:
    """One file, readable from any offset of its decompressed bytes."""

    def __init__(self, handle: BinaryIO, limits: Limits) -> None:
        self.handle = handle
        self.limits = limits
        handle.seek(0)
        self.compressed = handle.read(2) == GZIP_MAGIC

    def head(self, size: int = 64) -> bytes:
        """The first decompressed bytes, or as many as can be read; raises ProblemError when none can."""
        head = b""
        try:
            for chunk in self.chunks():
                head += chunk
                if len(head) >= size:
                    break
        except ProblemError:
            if not head:
                raise
        return head[:size]

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Decompressed bytes from offset `start`. Raises ProblemError (fatal) when the file is not whole."""
        if not self.compressed:
            yield from self._plain(start)
            return
        position = 0
        for chunk in self._gunzip():
            position += len(chunk)
            if position <= start:
                continue
            yield chunk[max(0, start - (position - len(chunk))) :]

    def _plain(self, start: int) -> Iterator[bytes]:
        self.handle.seek(start)
        total = start
        while chunk := self.handle.read(CHUNK_BYTES):
            total += len(chunk)
            if total > self.limits.max_total_bytes:
                raise ProblemError("too_large", fatal=True, limit_bytes=self.limits.max_total_bytes)
            yield chunk

    def _gunzip(self) -> Iterator[bytes]:
        """All members of the file, one after another, checksums verified by zlib at each member's end."""
        self.handle.seek(0)
        member = zlib.decompressobj(wbits=31)
        total = consumed = 0
        data = b""
        while True:
            if not data:
                data = self.handle.read(CHUNK_BYTES)
                consumed += len(data)
                if not data:
                    break
            if member.eof:
                data = data.lstrip(b"\0")  # tape padding between members is legal
                if not data:
                    continue
                member = zlib.decompressobj(wbits=31)
            try:
                out = member.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise ProblemError("gzip_corrupt", fatal=True, reason=str(error)) from error
            data = member.unused_data if member.eof else member.unconsumed_tail
            total += len(out)
            self._check_expansion(total, consumed)
            if out:
                yield out
        yield from self._finish(member)

    def _finish(self, member: "zlib._Decompress") -> Iterator[bytes]:
        """What zlib still holds at the end of the input; a member without its end is a cut file."""
        if not member.eof:
            rest = member.flush()
            if not member.eof:
                raise ProblemError("gzip_truncated", fatal=True)
            yield rest

    def _check_expansion(self, total: int, consumed: int) -> None:
        if total > self.limits.max_total_bytes:
            raise ProblemError("too_large", fatal=True, limit_bytes=self.limits.max_total_bytes)
        if total > self.limits.ratio_free_bytes and total > consumed * self.limits.max_ratio:
            raise ProblemError("expands_too_much", fatal=True, limit_ratio=self.limits.max_ratio)


def refuse_foreign(head: bytes) -> None:
    """Raises ProblemError when the first bytes are those of another kind of file."""
    for magic, name in FOREIGN_MAGICS:
        if head.startswith(magic):
            raise ProblemError("foreign_format", line=1, column=1, fatal=True, format=name)
    if head.startswith(UTF16_MAGICS):
        raise ProblemError("utf16", line=1, column=1, fatal=True)
    if head.startswith(GZIP_MAGIC):
        raise ProblemError("foreign_format", line=1, column=1, fatal=True, format="gzip in gzip")
