"""Run every benchmark of this folder, one after the other; each prints its table and writes its rows.

Usage: python -m benchmarks.run [NAME ...]. Rows go to $BENCH_OUT's folder, by default var/bench/NAME.json.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main(names: list[str]) -> int:
    scripts = sorted(path for path in FOLDER.glob("*.py") if path.stem not in {"__init__", "run"})
    unknown = set(names) - {path.stem for path in scripts}
    if unknown:
        sys.exit(
            f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(path.stem for path in scripts)}"
        )
    failed = []
    for script in scripts:
        if names and script.stem not in names:
            continue
        print(f"== {script.stem}", flush=True)
        if subprocess.run([sys.executable, str(script)], check=False).returncode:
            failed.append(script.stem)
    if failed:
        print("failed:", *failed)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
