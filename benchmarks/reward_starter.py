"""How good the starter is on debates it never saw, how fast, in how much memory (docs/experiments.md).

Usage: python benchmarks/reward_starter.py [--data FILE] [--transformer] [--folds N]

Every fold holds out whole debates by hash (by default one at a time); C and the temperature are chosen on the others
alone. Prints a table and writes rows ``{"case", "metric", "ours", "rival", "rival_name", "ratio"}`` to ``$BENCH_OUT``
(default var/bench/reward_starter.json); the rival is longest-wins on the same pairs.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from workers.reward import (  # noqa: E402
    Evaluation,
    Item,
    Message,
    Pair,
    StarterConfig,
    TransformerConfig,
    evaluate,
    open_reward_model,
    train,
)

DATA = ROOT.parent / "shared" / "data" / "convincing-arguments" / "pairs.jsonl.gz"


def debates_in_order(rows: list[dict[str, str]]) -> list[str]:
    """Debates sorted by hash, so that a fold is no choice of ours."""
    return sorted({r["debate"] for r in rows}, key=lambda d: hashlib.sha256(d.encode()).hexdigest())


def make_pairs(rows: list[dict[str, str]], test: set[str], validation: set[str]) -> list[Pair]:
    """Rows as pairs, split by debate."""

    def split(debate: str) -> str:
        return "test" if debate in test else "validation" if debate in validation else "train"

    return [
        Pair(
            r["id"],
            (Message("user", r["prompt"]),),
            r["chosen"],
            r["rejected"],
            group=r["debate"],
            split=split(r["debate"]),
        )
        for r in rows
    ]


def measure(kind: str, pairs: list[Pair]) -> tuple[Evaluation, float, float]:
    """Train, open, score distinct test answers once, evaluate; and the seconds of training, by the clock and of
    processors."""
    spent = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        config = StarterConfig() if kind == "starter" else TransformerConfig()
        result = train(kind, pairs, config, Path(folder) / "model")
        spent = time.process_time() - spent
        model = open_reward_model(result.path)
        test = [p for p in pairs if p.split == "test"]
        keys = list(dict.fromkeys((p.messages, t) for p in test for t in (p.chosen, p.rejected)))
        value = model.score([Item(str(i), messages, text) for i, (messages, text) in enumerate(keys)]).value
        found = dict(zip(keys, value, strict=True))
        chosen = [found[p.messages, p.chosen] for p in test]
        rejected = [found[p.messages, p.rejected] for p in test]
    figures = evaluate(chosen, rejected, test, temperature=model.temperature, cluster_by="prompt")
    return figures, result.seconds, spent


def line(name: str, figures: Evaluation, seconds: float, spent: float) -> str:
    """One row of the table."""
    a, b = figures.accuracy, figures.longest
    return (
        f"{name:24} {figures.n:5d}  {a.value:.3f} [{a.low:.3f}, {a.high:.3f}]  {b.value:.3f}  "
        f"{figures.random.value:.3f}  {figures.log_loss:.3f}  {figures.ece:.3f}  {seconds:6.1f}  {spent:6.1f}"
    )


def main() -> None:
    """Run every fold, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--transformer", action="store_true", help="also train the small transformer on fold 1"
    )
    parser.add_argument("--folds", type=int, default=11)
    options = parser.parse_args()
    with gzip.open(options.data, "rt", encoding="utf-8") as handle:
        rows = [json.loads(text) for text in handle]
    debates = debates_in_order(rows)
    print(f"{'fold':24} pairs  accuracy [95 %]        longest random log-loss ECE   seconds  of CPU")
    out, right, longest, total = [], 0.0, 0.0, 0
    for fold in range(options.folds):
        test = set(debates[fold :: options.folds])
        validation = {next(d for d in debates[fold + 1 :] + debates if d not in test)}
        kinds = ["starter", "transformer"] if options.transformer and fold == 0 else ["starter"]
        for kind in kinds:
            pairs = make_pairs(rows, test, validation if kind == "transformer" else set())
            figures, seconds, spent = measure(kind, pairs)
            print(line(f"{kind} {fold + 1}", figures, seconds, spent), flush=True)
            ours, rival = figures.accuracy.value, figures.longest.value
            row = {"case": f"{kind}, fold {fold + 1}", "metric": "accuracy", "ours": ours, "rival": rival}
            out.append({**row, "rival_name": "longest-wins", "ratio": ours / rival})
            if kind == "starter":
                right, longest = right + ours * figures.n, longest + rival * figures.n
                total += figures.n
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"all folds: starter {right / total:.4f}, longest-wins {longest / total:.4f}, peak {memory:.0f} MB")
    row = {
        "case": "starter, all folds",
        "metric": "accuracy",
        "ours": right / total,
        "rival": longest / total,
    }
    out.append({**row, "rival_name": "longest-wins", "ratio": right / longest})
    target = Path(os.environ.get("BENCH_OUT", ROOT / "var" / "bench" / "reward_starter.json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
