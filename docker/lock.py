"""Write requirements/*.txt from what is installed, each file holding only what the one below it lacks.

Run in an environment made from requirements/dev.in. torch stays `torch==2.13.*`, so that pip may take a CPU build.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

FOLDER = Path(__file__).resolve().parent.parent / "requirements"
LAYERS = ("web", "worker", "dev")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _roots(path: Path) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def _closure(roots: list[Requirement]) -> dict[str, Distribution]:
    """Every installed distribution that the roots need, by normal name."""
    found: dict[str, Distribution] = {}
    waiting = [(root.name, root.extras) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        key = (_normal(name), frozenset(extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            continue  # needed on another platform only
        found[key[0]] = dist
        for line in dist.requires or []:
            need = Requirement(line)
            markers = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if need.marker is None or any(need.marker.evaluate(marker) for marker in markers):
                waiting.append((need.name, need.extras))
    return found


def main() -> int:
    below: set[str] = set()
    previous = ""
    for layer in LAYERS:
        found = _closure(_roots(FOLDER / f"{layer}.in"))
        lines = ["# Locked versions, installed by plain pip. Made by `make lock`; do not edit by hand."]
        if previous:
            lines.append(f"-r {previous}.txt")
        for name in sorted(set(found) - below):
            version = "2.13.*" if name == "torch" else found[name].version
            lines.append(f"{found[name].metadata['Name']}=={version}")
        (FOLDER / f"{layer}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        below |= set(found)
        previous = layer
    return 0


if __name__ == "__main__":
    sys.exit(main())
