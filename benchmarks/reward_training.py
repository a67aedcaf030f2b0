"""Training and scoring a reward model beside TRL's RewardTrainer and transformers' pipeline (`make bench-reward`).

Usage: python -m benchmarks.reward_training [--quick] [--rounds N] [--seconds S] [--sizes 4M,34M] [--cases NAMES]
[--tasks training,scoring]

Same untrained Qwen2, token ids, AdamW, learning rate and (nearly) pairs in a step for both; float32 on the CPU; every
method in a process of its own; methods take turns within each round, and each round has its own order of the data.
TRL runs as it comes (batch 8, gradient checkpointing; float32 here, which is faster on a CPU than its bf16 default) and
at its best: grouped by length, no checkpointing, the best of four batch sizes, chosen in a round of its own with the
small model (4 with ``--quick``). The pipeline runs at the best of three batch sizes. Prints medians and spread; rows go
to ``$BENCH_OUT`` (default var/bench/reward_training.json).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.reward.cases import CASES, SIZES, Prepared, prepare  # noqa: E402

BATCHES = (1, 2, 4, 8)
PIPELINE_BATCHES = (1, 4, 16)
# Tokens in one of our batches: what fits this machine's caches; larger rankings want their trees whole.
BUDGETS = {"arguments": 2048, "multi-turn": 1024, "ranked": 4096}
# Batches in a step. The larger model takes small steps: a step of the rival as it comes would last minutes.
ACCUMULATE = {
    "4M": {"arguments": 1, "multi-turn": 8, "ranked": 1},
    "34M": {"arguments": 1, "multi-turn": 2, "ranked": 1},
}
LEAST_OF_DEFAULT = {"arguments": 2.5, "multi-turn": 6.0, "ranked": 8.0}
LEAST = {"training": {"arguments": 1.5, "multi-turn": 2.2, "ranked": 3.5},
         "scoring": {"arguments": 2.0, "multi-turn": 4.0, "ranked": 5.0}}  # fmt: skip


class Child:
    """A process that measures one method, and sleeps while another has its turn."""

    def __init__(self) -> None:
        env = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_VERBOSITY": "error",
            "TOKENIZERS_PARALLELISM": "false",
        }
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reward.measure"],
            cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def measure(self, **wanted: Any) -> dict[str, float]:
        """One measurement. Raises RuntimeError with the process's last lines where it fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(wanted, default=str) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"{wanted}\n{self.errors.read()[-3000:]}")
        found: dict[str, float] = json.loads(line)
        return found


def peak_gflops(seconds: float = 2.0) -> float:
    """float32 matrix products of this machine, GFLOP/s: the best of a few sizes."""
    import torch

    best = 0.0
    for size in (512, 1024, 2048):
        a, b = torch.randn(size, size), torch.randn(size, size)
        a @ b
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds / 3:
            a @ b
            count += 1
        best = max(best, 2 * size**3 * count / (time.perf_counter() - began) / 1e9)
    return best


@dataclass(slots=True)
class Series:
    """One method's figures, a value for each round."""

    rates: list[float]
    tokens: list[float]
    memory: list[float]

    def add(self, found: dict[str, float]) -> None:
        self.rates.append(found["rate"])
        self.tokens.append(found["tokens"])
        self.memory.append(found["memory"])

    def __str__(self) -> str:
        rate = statistics.median(self.rates)
        return f"{rate:8.2f} [{min(self.rates):.2f}, {max(self.rates):.2f}]  {statistics.median(self.memory):7.0f} MiB"


def ratio(ours: Series, rival: Series) -> tuple[float, float, float]:
    """Median, least and greatest of the rounds' ratios."""
    ratios = [a / b for a, b in zip(ours.rates, rival.rates, strict=False)]  # of the rounds that both had
    return statistics.median(ratios), min(ratios), max(ratios)


@dataclass(slots=True)
class Effort:
    """How long is measured: ``rounds`` of ``seconds``, ``slow_rounds`` of what is slowest. ``best`` are the rivals'
    batch sizes by task and case, found with the small model and kept for the large one; 4 where none was sought."""

    rounds: int
    slow_rounds: int
    seconds: float
    seeks: bool
    best: dict[tuple[str, str], int] = field(default_factory=dict)

    def batch(self, task: str, case: str, sizes: Sequence[int], rate: Callable[[int], float]) -> int:
        """The best of ``sizes`` by the ``rate`` that each reaches."""
        if self.seeks and (task, case) not in self.best:
            self.best[task, case] = max(sizes, key=rate)
        return self.best.get((task, case), 4)


def training(case: str, size: str, made: Prepared, effort: Effort) -> dict[str, Series]:
    shared = {"case": case, "base": made.base}
    with Child() as ours, Child() as best, Child() as default:

        def our_round(seed: int) -> dict[str, float]:
            return ours.measure(
                method="ours-training", **shared, seed=seed, seconds=effort.seconds,
                budget=BUDGETS[case], accumulate=ACCUMULATE[size][case],
            )  # fmt: skip

        first = our_round(0)
        rival = {"method": "trl-training", **shared, "step": max(1, round(first["step"]))}

        def tried(batch: int) -> float:
            return best.measure(**rival, seed=99, seconds=effort.seconds / 2, batch=batch, best=True)["rate"]

        batch = effort.batch("training", case, BATCHES, tried)
        names = ["ours", f"TRL at its best (batch {batch})", "TRL as it comes"]
        series = {name: Series([], [], []) for name in names}
        for seed in range(effort.rounds):
            timed = {**rival, "seed": seed, "seconds": effort.seconds}
            series[names[0]].add(first if seed == 0 else our_round(seed))
            series[names[1]].add(best.measure(**timed, batch=batch, best=True))
            if seed < effort.slow_rounds:
                series[names[2]].add(default.measure(**timed, batch=8, best=False))
    return series


def scoring(case: str, _size: str, made: Prepared, effort: Effort) -> dict[str, Series]:
    shared = {"case": case, "model": made.model}
    with Child() as ours, Child() as pipeline:
        rival = {"method": "pipeline-scoring", **shared}

        def tried(batch: int) -> float:
            return pipeline.measure(**rival, seed=99, seconds=effort.seconds / 2, batch=batch)["rate"]

        batch = effort.batch("scoring", case, PIPELINE_BATCHES, tried)
        names = ["ours", f"pipeline (batch {batch})"]
        series = {name: Series([], [], []) for name in names}
        for seed in range(effort.rounds):
            timed = {"seed": seed, "seconds": effort.seconds}
            series[names[0]].add(ours.measure(method="ours-scoring", **shared, **timed))
            series[names[1]].add(pipeline.measure(**rival, **timed, batch=batch))
    return series


def operations_a_token(name: str, size: str) -> float:
    """Floating point operations of the matrices for each token of training: forward two, backward four for each
    parameter, forward again under checkpointing. Our last layer makes keys and values of all tokens, and
    the rest of answers' ends alone."""
    layers, width, _heads, inner = SIZES[size]
    parameters = layers * (4 * width * width + 3 * width * inner)
    if name == "ours":
        return 6.0 * (parameters - 3 * width * inner - 2 * width * width)
    return (8.0 if "as it comes" in name else 6.0) * parameters


def report(task: str, case: str, size: str, series: dict[str, Series], peak: float) -> list[dict[str, Any]]:
    """Print one case's lines; returns its rows."""
    ours, rows = series["ours"], []
    unit = "pairs/s" if task == "training" else "responses/s"
    for name, found in series.items():
        used = statistics.median(found.tokens) * operations_a_token(name, size) / 1e9
        speed = f"  {used:5.1f} GFLOP/s ({used / peak:.0%})" if used else ""
        print(f"{task:9} {case:11} {size:4} {name:26} {found} {unit}{speed}", flush=True)
        if found is ours:
            continue
        times, low, high = ratio(ours, found)
        memory = statistics.median(ours.memory) / max(statistics.median(found.memory), 1.0)
        least = LEAST_OF_DEFAULT[case] if "as it comes" in name else LEAST[task][case]
        met = "met" if times >= least else "NOT met"
        print(
            f"{'':27}{times:.2f} x [{low:.2f}, {high:.2f}] (asked: {least}, {met}), memory {memory:.2f} of it"
        )
        rows.append({
            "case": f"{task} {case} {size}", "metric": unit, "ours": statistics.median(ours.rates),
            "rival": statistics.median(found.rates), "rival_name": name, "ratio": times, "low": low, "high": high,
            "memory_ratio": memory, "gflops": used, "peak_gflops": peak,
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of the small model, in five minutes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--sizes", default="4M,34M")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--tasks", default="training,scoring")
    wanted = parser.parse_args()
    if wanted.quick:
        wanted.rounds, wanted.seconds, wanted.sizes = 1, 4.0, "4M"
    best: dict[tuple[str, str], int] = {}
    folder = ROOT / "var" / "bench" / "reward"
    shutil.rmtree(folder, ignore_errors=True)  # models of another version would not open
    folder.mkdir(parents=True)
    peak = peak_gflops()
    print(f"float32 matrix products on this machine: {peak:.0f} GFLOP/s", flush=True)
    rows: list[dict[str, Any]] = []
    for size in wanted.sizes.split(","):
        made = prepare(folder, size)
        large = size != "4M"
        rounds = min(wanted.rounds, 2) if large else wanted.rounds
        effort = Effort(rounds, 1 if large else rounds, wanted.seconds, not wanted.quick, best)
        for case in wanted.cases.split(","):
            for task in wanted.tasks.split(","):
                measure = training if task == "training" else scoring
                series = measure(case, size, made, effort)
                rows += report(task, case, size, series, peak)
    out = Path(os.environ.get("BENCH_OUT", ROOT / "var" / "bench" / "reward_training.json"))
    out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(f"rows: {out}")


if __name__ == "__main__":
    main()
