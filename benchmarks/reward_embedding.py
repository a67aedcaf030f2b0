"""What keeping a frozen backbone's states is worth: seconds of a first training, of the same one again, of
one with a new debate, and of one with another seed (docs/experiments.md).

Usage: python benchmarks/reward_embedding.py [--data FILE] [--hidden N] [--layers N] [--pool last|mean]

The backbone is a randomly initialised Qwen2, so accuracy says nothing of what a pretrained one would give.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.reward_starter import DATA, debates_in_order, make_pairs  # noqa: E402
from workers.reward import (  # noqa: E402
    EmbeddingConfig,
    Item,
    Pair,
    TransformerConfig,
    evaluate,
    open_reward_model,
    train,
)


def make_base(folder: Path, pairs: list[Pair], hidden: int, layers: int) -> None:
    """A random backbone with a tokenizer of the pairs' text, as a folder."""
    from workers.reward.transformer.build import build_model, build_tokenizer

    config = TransformerConfig(tiny_hidden=hidden, tiny_layers=layers)
    tokenizer = build_tokenizer(config, config.base, pairs)
    model = build_model(config, config.base, tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters", flush=True)
    model.base_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def measure(name: str, pairs: list[Pair], config: EmbeddingConfig, work: Path) -> None:
    """Train, score the test debates' distinct answers, print a line."""
    result = train("embedding", pairs, config, work / name, cache_dir=work / "cache")
    scorer = open_reward_model(work / name, cache_dir=work / "cache")
    test = [p for p in pairs if p.split == "test"]
    keys = list(dict.fromkeys((p.messages, text) for p in test for text in (p.chosen, p.rejected)))
    began = time.monotonic()
    value = scorer.score([Item(str(i), *key) for i, key in enumerate(keys)]).value
    scored = time.monotonic() - began
    found = dict(zip(keys, value, strict=True))
    chosen, rejected = (
        [found[p.messages, getattr(p, side)] for p in test] for side in ("chosen", "rejected")
    )
    figures = evaluate(chosen, rejected, test, temperature=scorer.temperature, cluster_by="prompt")
    print(
        f"{name:22} {result.counts['train']:5d} pairs, {result.counts['cached']:4d} cached, "
        f"{result.counts['embedded']:4d} embedded: {result.seconds:6.2f} s; {len(keys)} answers scored in "
        f"{scored:5.2f} s; accuracy {figures.accuracy.value:.3f} (longest {figures.longest.value:.3f}), "
        f"C {result.metrics['c']:g}, ECE {figures.ece:.3f}",
        flush=True,
    )


def main() -> None:
    """Four trainings on one cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--pool", default="last")
    options = parser.parse_args()
    with gzip.open(options.data, "rt", encoding="utf-8") as handle:
        rows = [json.loads(text) for text in handle]
    debates = debates_in_order(rows)
    test, validation, late = {debates[0], debates[5]}, {debates[1]}, debates[2]
    pairs = make_pairs(rows, test, validation)
    early = [p for p in pairs if p.group != late]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_base(work / "base", [p for p in pairs if p.split == "train"], options.hidden, options.layers)
        config = EmbeddingConfig(base=str(work / "base"), pool=options.pool)
        measure("first", early, config, work)
        measure("again", early, config, work)
        measure("with a new debate", pairs, config, work)
        measure("another seed", pairs, EmbeddingConfig(base=config.base, pool=options.pool, seed=1), work)


if __name__ == "__main__":
    main()
