"""Checkpoints of a run: tensors in safetensors, the rest in JSON, nothing pickled.

A run's work folder holds ``base/`` (tokenizer and first weights), ``step-000050/`` ... and ``best-000040/``.
Each is written by ``atomic_folder``; one that does not verify is skipped for the one before it.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import CorruptModelError
from ..folder import atomic_folder, read_json, verify, write_json

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


@dataclass(slots=True)
class Progress:
    """Where a run stands. ``step`` is finished steps, ``batch`` finished batches of ``epoch``; ``bad`` counts
    evaluations since the best. ``fingerprint`` ties it to its settings and data."""

    fingerprint: str
    step: int = 0
    epoch: int = 0
    batch: int = 0
    best_step: int = 0
    best_loss: float = float("inf")
    best_accuracy: float = 0.0
    bad: int = 0
    seconds: float = 0.0


def _distinct(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers without shared ones twice: safetensors refuses shared memory."""
    out: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in model.state_dict().items():
        if value.data_ptr() not in seen or value.numel() == 0:
            seen.add(value.data_ptr())
            out[name] = value.detach().cpu().contiguous()
    return out


def save_weights(model: nn.Module, folder: Path) -> None:
    """Model weights alone, as ``folder`` (atomic)."""
    with atomic_folder(folder) as temporary:
        save_file(_distinct(model), temporary / MODEL)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Weights from a verified folder into the model; raises ``CorruptModelError``."""
    verify(folder)
    missing, unexpected = model.load_state_dict(load_file(folder / MODEL), strict=False)
    if unexpected or set(missing) - (set(model.state_dict()) - set(_distinct(model))):
        raise CorruptModelError(f"{folder.name} holds another model's weights")


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """All a run needs to go on as if it had never stopped: weights, moments, random states, position."""
    tensors: dict[str, Tensor] = {"rng.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            tensors[f"{index}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    with atomic_folder(folder) as temporary:
        save_file(_distinct(model), temporary / MODEL)
        save_file(tensors, temporary / OPTIMIZER)
        state = asdict(progress)
        state["best_loss"] = None if progress.best_loss == float("inf") else progress.best_loss
        write_json(temporary / STATE, state)


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        if index != "rng":
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def read_progress(folder: Path) -> Progress:
    """The position written in a checkpoint; raises ``CorruptModelError``."""
    values: dict[str, Any] = read_json(folder / STATE)
    if set(values) != {f.name for f in fields(Progress)}:
        raise CorruptModelError(f"{STATE} has other fields than this version writes")
    values["best_loss"] = float("inf") if values["best_loss"] is None else values["best_loss"]
    return Progress(**values)


def checkpoints(work: Path) -> list[Path]:
    """Checkpoint folders, newest first, verified or not."""
    return sorted(work.glob("step-*"), reverse=True)


def load_latest(
    work: Path, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress | None, list[str]]:
    """Restore the newest whole checkpoint of this very run. Returns its position (None for a fresh start) and
    the names of those that had to be skipped."""
    skipped = []
    for folder in checkpoints(work):
        try:
            verify(folder)
            progress = read_progress(folder)
            if progress.fingerprint != fingerprint:
                raise CorruptModelError("it belongs to other settings or data")
            if progress.best_step:
                verify(best_folder(work, progress.best_step))
        except CorruptModelError as error:
            skipped.append(f"{folder.name}: {error}")
            continue
        load_weights(model, folder)
        tensors = load_file(folder / OPTIMIZER)
        _restore_optimizer(optimizer, tensors)
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        return progress, skipped
    return None, skipped


def step_folder(work: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` stands."""
    return work / f"step-{step:06d}"


def best_folder(work: Path, step: int) -> Path:
    """Where the weights of the best evaluation, at ``step``, stand."""
    return work / f"best-{step:06d}"


def prune(work: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints, and best weights that none of them names."""
    for folder in checkpoints(work)[keep:]:
        shutil.rmtree(folder, ignore_errors=True)
    named = set()
    for folder in checkpoints(work):
        try:
            named.add(best_folder(work, read_progress(folder).best_step))
        except CorruptModelError:
            continue
    for folder in work.glob("best-*"):
        if folder not in named:
            shutil.rmtree(folder, ignore_errors=True)
