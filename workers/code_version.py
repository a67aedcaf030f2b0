"""Which code trained a model: the release, and a hash over the sources of the reward library."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

RELEASE = "0.1.0"


@cache
def code_version() -> str:
    """For example `0.1.0+3f9c1a0b7d42`; changes when any source file of `workers/reward` changes."""
    root = Path(__file__).parent / "reward"
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{RELEASE}+{digest.hexdigest()[:12]}"
