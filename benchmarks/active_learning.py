"""Accuracy against number of labels for every acquisition function beside random (docs/experiments.md).

Usage: python -m benchmarks.active_learning [--data FILE] [--seeds N] [--strategy NAME ...] [--json FILE]

Prints one table and writes rows ``{"case", "metric", "ours", "rival", "rival_name", "ratio"}`` to ``$BENCH_OUT``
(default var/bench/active_learning.json): the labels that each function needs for the accuracy that random sampling
has at 2,000, which is the rival. ``--json`` keeps every accuracy of every seed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.reward_starter import DATA, make_pairs  # noqa: E402
from workers.reward.simulate import SimulationConfig, simulate  # noqa: E402
from workers.reward.strategies import STRATEGIES  # noqa: E402


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--strategy", action="append", choices=list(STRATEGIES), default=[])
    parser.add_argument("--json", type=Path, help="write every accuracy to this file")
    options = parser.parse_args()
    with gzip.open(options.data, "rt", encoding="utf-8") as handle:
        pairs = make_pairs([json.loads(text) for text in handle], set(), set())
    started = time.monotonic()
    seeds = tuple(range(options.first_seed, options.first_seed + options.seeds))
    found = simulate(pairs, SimulationConfig(seeds=seeds, strategies=tuple(options.strategy)))
    print(found.table())
    print(f"{time.monotonic() - started:.0f} s, C {sorted(set(found.c))}, test pairs {found.tested}")
    if options.json:
        options.json.write_text(json.dumps(found.as_dict(), indent=1) + "\n", encoding="utf-8")
    out = []
    for name in found.names:
        needs, _stays = found.needs(name)
        row = {"case": name, "metric": "labels for the accuracy of random at 2,000", "ours": needs}
        ratio = found.reference / needs if needs else None
        out.append({**row, "rival": found.reference, "rival_name": "random", "ratio": ratio})
    target = Path(os.environ.get("BENCH_OUT", ROOT / "var" / "bench" / "active_learning.json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
