"""Training and scoring a reward model beside TRL's RewardTrainer and transformers' pipeline (`make bench-reward`).

Usage: python -m benchmarks.reward_training [--quick] [--rounds N] [--seconds S] [--sizes 4M,34M] [--cases NAMES]
[--tasks training,scoring] [--device cuda]

Same untrained Qwen2, token ids, AdamW, learning rate and (nearly) pairs in a step for both; float32 on the CPU; every
method in a process of its own; methods take turns within each round, and each round has its own order of the data.
TRL runs as it comes (batch 8, gradient checkpointing; float32 here, which is faster on a CPU than its bf16 default) and
at its best: grouped by length, no checkpointing, the best of four batch sizes, chosen in a round of its own with the
small model (4 with ``--quick``). The pipeline runs at the best of three batch sizes. Prints medians and spread; rows go
to ``$BENCH_OUT`` (default var/bench/reward_training.json).

A rate is tokens read a second, each row by itself and without padding, over those of the case's mean pair or response:
a method is given as many pairs as fit its time, and a few pairs are longer or shorter than others.

With ``--device cuda`` the model has a Qwen2-0.5B's shape, its weights are bfloat16 for all, and TRL autocasts as it
comes but not at its best. Our AdamW keeps what rounding takes from bfloat16 weights (two bytes each), TRL's does not.
The share of the peak, there MFU, is that of the matrices' operations in the machine's measured matrix products of the
same dtype. Peak memory is all that tensors took. Rows go to reward_training_cuda.json.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.reward.cases import CASES, SIZES, Prepared, prepare  # noqa: E402
from benchmarks.reward.machines import MACHINES, Machine, peak_gflops  # noqa: E402

LEAST_OF_DEFAULT = {"arguments": 2.5, "multi-turn": 6.0, "ranked": 8.0}
LEAST = {"training": {"arguments": 1.5, "multi-turn": 2.2, "ranked": 3.5},
         "scoring": {"arguments": 2.0, "multi-turn": 4.0, "ranked": 5.0}}  # fmt: skip
MOST_MEMORY = 0.5  # of TRL's, in training


class Child:
    """A process that measures one method, and sleeps while another has its turn."""

    def __init__(self, machine: Machine) -> None:
        self.device = machine.device
        env = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_VERBOSITY": "error",
            "TOKENIZERS_PARALLELISM": "false",
            **machine.environment,
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
        self.process.stdin.write(json.dumps(wanted | {"device": self.device}, default=str) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"{wanted}\n{self.errors.read()[-3000:]}")
        found: dict[str, float] = json.loads(line)
        return found


@dataclass(slots=True)
class Series:
    """One method's figures, a value for each round."""

    rates: list[float]
    tokens: list[float]
    memory: list[float]

    def add(self, found: dict[str, float]) -> None:
        """Raises RuntimeError for a round that there was no memory for."""
        if not found["rate"]:
            raise RuntimeError("out of memory")
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
    """How long is measured: ``rounds`` of about ``seconds``, ``slow_rounds`` of what is slowest. ``best`` are the
    rivals' batch sizes by task and case, found with the small model and kept for the large one; 4 where none was
    sought."""

    rounds: int
    slow_rounds: int
    seconds: float
    seeks: bool
    best: dict[tuple[str, str], int] = field(default_factory=dict)

    def batch(self, task: str, case: str, sizes: Sequence[int], rate: Callable[[int], float]) -> int:
        """The best of ``sizes`` by the ``rate`` that each reaches, 0 where memory does not do."""
        if self.seeks and (task, case) not in self.best:
            self.best[task, case] = max(sizes, key=rate)
        return self.best.get((task, case), 4)


@dataclass(slots=True)
class Paced:
    """One method of training, given as many pairs a round as take ``seconds``."""

    child: Child
    machine: Machine
    seconds: float
    wanted: dict[str, Any]
    rate: float = 0.0

    def round(self, seed: int) -> dict[str, float]:
        """A measurement on pairs of this round's own."""
        most = self.machine.first_pairs
        if not self.rate:
            found = self.child.measure(**self.wanted, seed=seed, pairs=most)
            self.rate = found["rate"]
            if not self.rate or (found["seconds"] >= self.seconds and not self.machine.compiles):
                return found
        return self.child.measure(
            **self.wanted, seed=seed, pairs=min(1000, max(most, round(self.rate * self.seconds)))
        )


def training(machine: Machine, case: str, size: str, made: Prepared, effort: Effort) -> dict[str, Series]:
    shared = {"case": case, "base": made.base}
    budget, accumulate = machine.step_of(size, case)
    with Child(machine) as first, Child(machine) as second, Child(machine) as third:

        def paced(child: Child, method: str, **more: Any) -> Paced:
            return Paced(child, machine, effort.seconds, {"method": method, **shared, **more})

        ours = paced(first, "ours-training", budget=budget, accumulate=accumulate)
        step = max(1, round(ours.round(99)["step"]))

        def trl(child: Child, batch: int, *, best: bool) -> Paced:
            return paced(child, "trl-training", step=step, batch=batch, best=best)

        def tried(batch: int) -> float:
            return trl(second, batch, best=True).round(99)["rate"]

        batch = effort.batch("training", case, machine.batches, tried)
        best, default = trl(second, batch, best=True), trl(third, 8, best=False)
        names = ["ours", f"TRL at its best (batch {batch})", "TRL as it comes"]
        series = {name: Series([], [], []) for name in names}
        for seed in range(effort.rounds):
            series[names[0]].add(ours.round(seed))
            series[names[1]].add(best.round(seed))
            if seed < effort.slow_rounds:
                series[names[2]].add(default.round(seed))
    return series


def scoring(machine: Machine, case: str, _size: str, made: Prepared, effort: Effort) -> dict[str, Series]:
    shared = {"case": case, "model": made.model}
    with Child(machine) as ours, Child(machine) as pipeline:
        rival = {"method": "pipeline-scoring", **shared}

        def tried(batch: int) -> float:
            return pipeline.measure(**rival, seed=99, seconds=effort.seconds / 2, batch=batch)["rate"]

        batch = effort.batch("scoring", case, machine.pipeline_batches, tried)
        names = ["ours", f"pipeline (batch {batch})"]
        series = {name: Series([], [], []) for name in names}
        for seed in range(effort.rounds):
            timed = {"seed": seed, "seconds": effort.seconds}
            series[names[0]].add(ours.measure(method="ours-scoring", **shared, **timed))
            series[names[1]].add(pipeline.measure(**rival, **timed, batch=batch))
    return series


def operations_a_token(task: str, name: str, size: str) -> float:
    """Floating point operations of the matrices for each token: forward two for each parameter; in training backward
    four more, and forward again under checkpointing. Our last layer makes keys and values of all tokens, and the rest
    of answers' ends alone."""
    parameters = SIZES[size].matrices - (SIZES[size].last_layer if name == "ours" else 0)
    if task == "scoring":
        return 2.0 * parameters
    return (8.0 if "as it comes" in name else 6.0) * parameters


def gflops(task: str, name: str, size: str, found: Series) -> float:
    """GFLOP/s that a method reached, its median round."""
    return statistics.median(found.tokens) * operations_a_token(task, name, size) / 1e9


def verdict(is_met: bool) -> str:
    return "met" if is_met else "NOT met"


def report(task: str, case: str, size: str, series: dict[str, Series], peak: float) -> list[dict[str, Any]]:
    """Print one case's lines; returns its rows."""
    ours, rows = series["ours"], []
    unit = "pairs/s" if task == "training" else "responses/s"
    our_speed = gflops(task, "ours", size, ours)
    for name, found in series.items():
        used = gflops(task, name, size, found)
        print(
            f"{task:9} {case:11} {size:4} {name:26} {found} {unit}  {used:5.1f} GFLOP/s ({used / peak:.0%})",
            flush=True,
        )
        if found is ours:
            continue
        times, low, high = ratio(ours, found)
        memory = statistics.median(ours.memory) / max(statistics.median(found.memory), 1.0)
        least = LEAST_OF_DEFAULT[case] if "as it comes" in name else LEAST[task][case]
        line = f"{times:.2f} x [{low:.2f}, {high:.2f}] (asked: {least}, {verdict(times >= least)})"
        line += f", memory {memory:.2f} of it"
        if task == "training":
            line += f" (asked: at most {MOST_MEMORY}, {verdict(memory <= MOST_MEMORY)})"
        print(f"{'':27}{line}", flush=True)
        rows.append({
            "case": f"{task} {case} {size}", "metric": unit, "ours": statistics.median(ours.rates),
            "rival": statistics.median(found.rates), "rival_name": name, "ratio": times, "low": low, "high": high,
            "memory_ratio": memory, "gflops": used, "our_gflops": our_speed, "peak_gflops": peak,
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of the small model, in five minutes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--sizes", help=f"of {', '.join(SIZES)}; the device's own without it")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--tasks", default="training,scoring")
    parser.add_argument("--device", choices=MACHINES, default="cpu")
    wanted = parser.parse_args()
    machine = MACHINES[wanted.device]
    if not machine.is_there():
        parser.error(f"this machine has no {machine.device} device")
    small = machine.sizes[0]
    sizes = wanted.sizes.split(",") if wanted.sizes else machine.sizes
    if wanted.quick:
        wanted.rounds, wanted.seconds, sizes = 1, 4.0, (small,)
    best: dict[tuple[str, str], int] = {}
    folder = ROOT / "var" / "bench" / "reward"
    shutil.rmtree(folder, ignore_errors=True)  # models of another version would not open
    folder.mkdir(parents=True)
    peak = peak_gflops(machine)
    print(f"{machine.dtype} matrix products on this machine: {peak:.0f} GFLOP/s", flush=True)
    rows: list[dict[str, Any]] = []
    for size in sizes:
        made = prepare(folder, size, machine)
        large = size != small
        rounds = min(wanted.rounds, 2) if large else wanted.rounds
        seconds = wanted.seconds * (2 if large else 1)
        effort = Effort(rounds, 1 if large else min(rounds, 2), seconds, not wanted.quick, best)
        for case in wanted.cases.split(","):
            for task in wanted.tasks.split(","):
                measure = training if task == "training" else scoring
                series = measure(machine, case, size, made, effort)
                rows += report(task, case, size, series, peak)
    out = Path(os.environ.get("BENCH_OUT", ROOT / "var" / "bench" / machine.rows))
    out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(f"rows: {out}")


if __name__ == "__main__":
    main()
