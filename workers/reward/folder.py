"""Model folders on disk: written beside their place, synced, hashed last, renamed into place.

A folder is whole if and only if ``manifest.json`` stands in it and every file it names has the size and the
SHA-256 it says. ``chosen_model.json`` says what kind of model lies there.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import CorruptModelError, UntrustedModelError

MANIFEST = "manifest.json"
MODEL_CARD = "chosen_model.json"
FORMAT = 1
TAG = 12  # hex digits in the names of what is being written
# Pickle-based weights run code when they are loaded.
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".h5")


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON with sorted keys. A lone surrogate, which UTF-8 has no bytes for, becomes ?."""
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8", errors="replace")


def seal(folder: Path) -> None:
    """Sync every file to disk, then write the manifest last."""
    names = {}
    for path in _files(folder):
        _sync(path)
        names[path.relative_to(folder).as_posix()] = {"sha256": hash_file(path), "bytes": path.stat().st_size}
    write_json(folder / MANIFEST, {"format": FORMAT, "files": names})
    _sync(folder / MANIFEST)
    _sync(folder)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``target``; on success seal it and rename it into place.

    An older folder at ``target`` is moved aside first and removed after, so a kill leaves the old one, the
    new one, or (between two renames) neither, but never a mixture; ``put_back`` makes it the old one.
    """
    put_back(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    tag = uuid.uuid4().hex[:TAG]
    temporary = target.parent / f".{target.name}.{tag}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        seal(temporary)
        if target.exists():
            aside = target.parent / f".{target.name}.{tag}.old"
            target.rename(aside)
            temporary.rename(target)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            temporary.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_back(target: Path) -> None:
    """After a kill within ``atomic_folder``: what stood at ``target`` stands there again, and halves are deleted.
    Call only while nobody else writes there; the processes of one run may, all at their start."""
    parts = (glob.escape(target.name), "[0-9a-f]" * TAG)
    for aside in target.parent.glob(".{}.{}.old".format(*parts)):
        if not target.exists():
            with suppress(FileNotFoundError):  # another process of the run was first
                aside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    for half in target.parent.glob(".{}.{}.tmp".format(*parts)):
        shutil.rmtree(half, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Delete what a killed run left in ``parent``. Call only while nobody else writes there."""
    if parent.is_dir():
        for pattern in (".*.tmp", ".*.old"):
            for path in parent.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises ``CorruptModelError`` when it is missing or malformed."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptModelError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise CorruptModelError(f"{path.name} is not a JSON object")
    return value


def verify(folder: Path) -> None:
    """Check every file against the manifest; raises ``CorruptModelError`` at the first difference."""
    files = read_json(folder / MANIFEST).get("files")
    if not isinstance(files, dict) or not files:
        raise CorruptModelError("the manifest names no files")
    present = {p.relative_to(folder).as_posix() for p in _files(folder)}
    if extra := present - set(files):
        raise CorruptModelError(f"files that the manifest does not name: {', '.join(sorted(extra))}")
    for name, entry in files.items():
        path = folder / name
        if name not in present:
            raise CorruptModelError(f"{name} is missing")
        if path.stat().st_size != entry.get("bytes") or hash_file(path) != entry.get("sha256"):
            raise CorruptModelError(f"{name} differs from its manifest")


def is_trusted(name: str) -> bool:
    """Whether ``CHOSEN_TRUST_REMOTE_CODE`` (model names, comma-separated) allows this model's code."""
    allowed = os.environ.get("CHOSEN_TRUST_REMOTE_CODE", "")
    return name in {part.strip() for part in allowed.split(",") if part.strip()}


def refuse_unsafe(folder: Path, *, trusted: bool = False) -> None:
    """Raise ``UntrustedModelError`` when the folder holds pickled weights, Python code or an ``auto_map``."""
    for path in folder.rglob("*"):
        if path.suffix.lower() in UNSAFE_SUFFIXES:
            raise UntrustedModelError(f"{path.name}: only safetensors weights are loaded")
        if path.suffix == ".py" and not trusted:
            raise UntrustedModelError(f"{path.name}: the folder brings its own code")
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if path.exists() and not trusted and "auto_map" in read_json(path):
            raise UntrustedModelError(f"{name} names its own code (auto_map)")


@contextmanager
def atomic_file(target: Path, *, within: Path | None = None) -> Iterator[Path]:
    """Yield a temporary sibling of ``target``, or one in the folder ``within`` of the same file system; on success
    sync it and rename it into place."""
    temporary = (within or target.parent) / f".{target.name}.{uuid.uuid4().hex[:12]}.tmp"
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def manifest_hash(folder: Path) -> str:
    """SHA-256 of the manifest, which itself names the hash of every file: the identity of a model."""
    return hash_file(folder / MANIFEST)
