"""What is measured on, and what suits it: sizes of models, of batches and of steps, and how memory is read."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One of our steps: tokens in a batch, batches in the step. The rivals' hold about as many pairs."""

    budget: int
    accumulate: int = 1


class HostMeter:
    """A CPU: peak memory of this process above what it held at the start. Work is over when its call returns."""

    def __init__(self) -> None:
        self.before = 0.0

    def start(self) -> None:
        """Forget the peak so far."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was freed is given back, and not counted as there before
        Path("/proc/self/clear_refs").write_text("5")
        self.before = _memory_mib("VmRSS")

    def wait(self) -> None:
        """Until all work is done."""

    def peak(self) -> float:
        """MiB."""
        return _memory_mib("VmHWM") - self.before

    def release(self) -> None:
        """Give what is free to others."""


def _memory_mib(name: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"this kernel does not tell {name}")


class CudaMeter(HostMeter):
    """A GPU: the most memory that tensors took, the model among them. Work goes on after its call returns."""

    def start(self) -> None:
        """Forget the peak so far."""
        import torch

        self.wait()
        self.release()
        torch.cuda.reset_peak_memory_stats()

    def wait(self) -> None:
        """Until all work is done."""
        import torch

        torch.cuda.synchronize()

    def peak(self) -> float:
        """MiB."""
        import torch

        return torch.cuda.max_memory_allocated() / 2**20

    def release(self) -> None:
        """Give what is free to others: methods that sleep share the device with one that is measured."""
        import torch

        gc.collect()
        torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class Machine:
    """``sizes`` of models, the first of which the rivals' batch sizes are found with. ``steps``: ours by size and case;
    a size that is not named has the first one's. ``batches`` and ``pipeline_batches`` are those that the rivals may
    choose among; ``trl`` are TRL's settings, ``trl_best`` more of them at its best. ``first_pairs`` are trained on to
    see how many a round can have; they are a round themselves where they took its time, unless the device ``compiles``
    kernels on the way. A first scoring of ``warm_up_ours`` and ``warm_up_pipeline`` responses is not counted. The peak
    is sought in products of ``matrices``; ``rows`` names the file; ``environment`` is what a method's process gets."""

    device: str
    dtype: str
    sizes: tuple[str, ...]
    steps: Mapping[str, Mapping[str, Step]]
    batches: tuple[int, ...]
    pipeline_batches: tuple[int, ...]
    matrices: tuple[int, ...]
    meter: type[HostMeter]
    rows: str
    first_pairs: int
    compiles: bool
    warm_up_ours: int
    warm_up_pipeline: int
    environment: Mapping[str, str] = field(default_factory=dict)
    trl: Mapping[str, Any] = field(default_factory=dict)
    trl_best: Mapping[str, Any] = field(default_factory=dict)

    def is_there(self) -> bool:
        """Whether this machine has the device."""
        import torch

        return torch.device(self.device).type == "cpu" or torch.cuda.is_available()

    def step_of(self, size: str, case: str) -> Step:
        """Of ours."""
        return self.steps.get(size, self.steps[self.sizes[0]])[case]


MACHINES = {
    "cpu": Machine(
        device="cpu",
        dtype="float32",
        sizes=("4M", "34M"),
        # What fits this machine's caches; larger rankings want their trees whole. The larger model takes small steps: a
        # step of the rival as it comes would last minutes.
        steps={
            "4M": {"arguments": Step(2048), "multi-turn": Step(1024, 4), "ranked": Step(4096)},
            "34M": {"arguments": Step(2048), "multi-turn": Step(1024, 2), "ranked": Step(2048)},
        },
        batches=(1, 2, 4, 8),
        pipeline_batches=(1, 4, 16),
        matrices=(512, 1024, 2048),
        meter=HostMeter,
        rows="reward_training.json",
        first_pairs=8,
        compiles=False,
        warm_up_ours=20,
        warm_up_pipeline=4,
        environment={"CUDA_VISIBLE_DEVICES": ""},
        trl={"bf16": False, "use_cpu": True},
    ),
    "cuda": Machine(
        device="cuda",
        dtype="bfloat16",
        sizes=("0.5B",),
        # What keeps a GPU busy, and fits one of 40 GB; the rivals' largest batches need 80.
        steps={"0.5B": dict.fromkeys(("arguments", "multi-turn", "ranked"), Step(16_384))},
        batches=(4, 8, 16, 32),
        pipeline_batches=(8, 32, 128),
        matrices=(4096, 8192, 16_384),
        meter=CudaMeter,
        rows="reward_training_cuda.json",
        first_pairs=256,
        compiles=True,
        warm_up_ours=256,
        warm_up_pipeline=256,
        trl_best={"bf16": False},  # no autocasting: the weights are bfloat16 already
    ),
}


def peak_gflops(machine: Machine, seconds: float = 2.0) -> float:
    """Matrix products of this machine in its dtype, GFLOP/s: the best of a few sizes."""
    import torch

    best, meter = 0.0, machine.meter()
    options: dict[str, Any] = {"device": machine.device, "dtype": getattr(torch, machine.dtype)}
    for size in machine.matrices:
        a, b = torch.randn(size, size, **options), torch.randn(size, size, **options)
        a @ b
        meter.wait()
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds / 3:
            a @ b
            meter.wait()
            count += 1
        best = max(best, 2 * size**3 * count / (time.perf_counter() - began) / 1e9)
    del a, b
    meter.release()
    return best
