"""Which prompts a model has seen: hashes sealed in its folder, so that it is not evaluated on what it was trained on.

``seen_prompts.hashes`` holds the first eight bytes of each prompt's SHA-256 (``Pair.prompt_key``), sorted, one after
another and nothing else: 8 MB for a million prompts, no text. Two prompts share a hash by chance once in 10¹⁹ pairs of
them. A folder without the file was written before there was one: of such a model it cannot be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .errors import CorruptModelError
from .folder import MODEL_CARD
from .types import Pair

SEEN = "seen_prompts.hashes"
BYTES = 8


def prompts_of(pairs: Iterable[Pair]) -> set[str]:
    """Keys of the prompts of training and validation pairs; test pairs teach nothing."""
    return {pair.prompt_key for pair in pairs if pair.split != "test"}


def write_seen(folder: Path, prompts: Iterable[str], *, base: str = "") -> None:
    """Write the hashes into a folder that is about to be sealed, with those that the model ``base`` (a folder, or the
    name of one elsewhere) had seen; nothing where it is a trained model of which that cannot be told."""
    before: set[str] | None = set()
    if base and (Path(base) / MODEL_CARD).is_file():
        before = read_seen(Path(base))
    if before is not None:
        found = sorted(before | set(prompts))
        (folder / SEEN).write_bytes(b"".join(bytes.fromhex(key) for key in found))


def read_seen(folder: Path) -> set[str] | None:
    """Keys of the prompts that a model has seen, None where its folder does not say. Raises ``CorruptModelError``."""
    path = folder / SEEN
    if not path.is_file():
        return None
    text = path.read_bytes().hex()
    width = 2 * BYTES
    if len(text) % width:
        raise CorruptModelError(f"{SEEN} holds no whole number of hashes")
    return {text[i : i + width] for i in range(0, len(text), width)}


def unseen(pairs: Sequence[Pair], seen: Iterable[set[str] | None]) -> list[Pair]:
    """The pairs whose prompts none of the models has seen; None, of which it cannot be told, leaves out nothing."""
    known = set().union(*(one for one in seen if one))
    return [pair for pair in pairs if pair.prompt_key not in known]
