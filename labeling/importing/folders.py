"""A folder of files as the one archive that an import keeps."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

MADE_AT = (1980, 1, 1, 0, 0, 0)


@contextmanager
def packed_folder(folder: Path) -> Iterator[BinaryIO]:
    """The folder's files in an archive, stored as they are, which is gone after the block.

    The same files give the same bytes, so that the same data set is known again. Hidden files and folders, where
    downloads keep their own notes, are left out.
    """
    with tempfile.TemporaryFile() as target:
        with zipfile.ZipFile(target, "w") as archive:
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder)
                if path.is_file() and not any(part.startswith(".") for part in name.parts):
                    info = zipfile.ZipInfo(name.as_posix(), MADE_AT)
                    info.file_size = path.stat().st_size
                    with path.open("rb") as source, archive.open(info, "w") as stream:
                        while chunk := source.read(1024 * 1024):
                            stream.write(chunk)
        target.seek(0)
        yield cast(BinaryIO, target)
