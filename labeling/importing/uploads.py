"""Uploaded files on disk, under names that the server makes."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from django.conf import settings

COPY_BYTES = 1024 * 1024
SWEEP_AFTER_S = 24 * 3600


class UploadTooLargeError(Exception):
    """The file is over CHOSEN_UPLOAD_MAX_MB."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class StoredFile:
    name: str
    size_bytes: int
    sha256: str


def upload_folder() -> Path:
    folder = Path(settings.DATA_DIR) / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def upload_path(name: str) -> Path:
    """Where a stored file lies. Only the last part of the name counts, so that no name leaves the folder."""
    return upload_folder() / Path(name).name


def upload_store(chunks: Iterable[bytes]) -> StoredFile:
    """Writes the bytes to a new file and hashes them on the way; nothing is left behind when that fails.

    Raises UploadTooLargeError.
    """
    name = f"{uuid.uuid4()}.upload"
    path = upload_path(name)
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as out:
            for chunk in chunks:
                size += len(chunk)
                if size > settings.UPLOAD_MAX_BYTES:
                    raise UploadTooLargeError
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return StoredFile(name, size, digest.hexdigest())


def upload_remove(name: str) -> None:
    with suppress(OSError):
        upload_path(name).unlink()


def uploads_sweep(kept: Collection[str]) -> int:
    """Removes stored files that no import needs and that are older than a day; returns how many."""
    removed = 0
    for path in upload_folder().glob("*.upload"):
        with suppress(OSError):
            if path.name not in kept and time.time() - path.stat().st_mtime > SWEEP_AFTER_S:
                path.unlink()
                removed += 1
    return removed


def upload_digest(name: str) -> str:
    """SHA-256 of a stored file; "" when it is gone."""
    try:
        with upload_path(name).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def read_chunks(stream: Readable | BinaryIO) -> Iterator[bytes]:
    """Chunks of anything that reads."""
    while chunk := stream.read(COPY_BYTES):
        yield chunk
