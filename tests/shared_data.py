"""The public data sets that lie beside the repository on some machines, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_file(name: str) -> Path:
    """A file or folder of the public data sets; skips the test, saying so, where it is not there."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"the public data sets are not beside the project: {path}")
    return path
