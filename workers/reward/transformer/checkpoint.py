"""Checkpoints of a run: tensors in safetensors, the rest in JSON, nothing pickled.

A run's work folder holds ``base/`` (tokenizer and first weights), ``step-000050/`` ... and ``best-000040/``.
Each is written by ``atomic_folder``; one that does not verify is skipped for the one before it. What a run leaves
as its base has it (all but adapters and head under LoRA) is not written: ``base_mark`` tells whether that changed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import CorruptModelError
from ..folder import atomic_folder, read_json, verify, write_json
from .optimizer import CompensatedAdamW
from .pooling import HEAD_NAMES
from .sharding import like, local, whole

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


def _frozen(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that no step changes. A head is none: the mean of several is written though it has no gradient."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and not set(HEAD_NAMES) & set(name.split("."))
    }


def base_mark(model: nn.Module) -> str:
    """Hash of up to 4,096 numbers of each frozen weight; empty where all are trained."""
    digest = hashlib.sha256()
    frozen = _frozen(model)
    for name, parameter in frozen.items():
        sample = parameter.detach().flatten()[:: max(1, parameter.numel() // 4096)]
        digest.update(name.encode() + sample.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16] if frozen else ""


def _distinct(model: nn.Module, *, keep: bool = True) -> dict[str, Tensor]:
    """Parameters and buffers that training changes, shared ones once: safetensors refuses shared memory. Sharded
    ones are put together on every process, and kept on those that ``keep`` them."""
    out: dict[str, Tensor] = {}
    seen: set[int] = set()
    frozen = _frozen(model)
    # A 4-bit weight has more entries than one, named after it.
    beside = tuple(f"{name}." for name in frozen)
    for name, value in model.state_dict().items():
        if name in frozen or name.startswith(beside):
            continue
        entire, here = whole(value), local(value)
        if keep and (here.data_ptr() not in seen or here.numel() == 0):
            seen.add(here.data_ptr())
            out[name] = entire.detach().cpu().contiguous()
    return out


def save_weights(model: nn.Module, folder: Path, *, write: bool = True) -> None:
    """Model weights alone, as ``folder`` (atomic). Where they are sharded all processes take part, one may
    ``write``."""
    weights = _distinct(model, keep=write)
    if write:
        with atomic_folder(folder) as temporary:
            save_file(weights, temporary / MODEL)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Weights from a verified folder into the model; raises ``CorruptModelError``."""
    verify(folder)
    there, found = model.state_dict(), load_file(folder / MODEL)
    found = {name: like(value, there[name]) if name in there else value for name, value in found.items()}
    missing, unexpected = model.load_state_dict(found, strict=False)
    if unexpected or (missing and set(missing) - (set(there) - set(_distinct(model)))):
        raise CorruptModelError(f"{folder.name} holds another model's weights")


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    *,
    write: bool = True,
) -> None:
    """All a run needs to go on as if it had never stopped: weights, moments, random states, position. Nothing in it
    tells over how many processes the model was sharded; all take part, one may ``write``."""
    tensors: dict[str, Tensor] = {"rng.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    for parameter, weight in model.named_parameters():
        for name, value in optimizer.state.get(weight, {}).items():
            entire = whole(torch.as_tensor(value)).detach()
            if write:
                tensors[f"{parameter}:{name}"] = entire.cpu().contiguous()
    weights = _distinct(model, keep=write)
    if not write:
        return
    with atomic_folder(folder) as temporary:
        save_file(weights, temporary / MODEL)
        save_file(tensors, temporary / OPTIMIZER)
        state = asdict(progress)
        state["best_loss"] = None if progress.best_loss == float("inf") else progress.best_loss
        write_json(temporary / STATE, state)


def _restore_optimizer(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: dict[str, Tensor],
    saved: Callable[[str], Tensor],
) -> None:
    """``saved`` gives the checkpoint's weights. What ``CompensatedAdamW`` keeps beside a bfloat16 weight stands in
    the float32 weights of a sharded run: it is taken out of them, or put back, where a run goes on the other way."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        parameter, _, name = key.partition(":")
        if name:  # not a random state
            found.setdefault(parameter, {})[name] = value
    weights, keeps_rest = dict(model.named_parameters()), isinstance(optimizer, CompensatedAdamW)
    for parameter, state in found.items():
        weight = weights[parameter]
        if keeps_rest and "rest" not in state:
            exact = saved(parameter).float()
            state["rest"] = exact - exact.to(weight.dtype).float()
        elif not keeps_rest and "rest" in state:
            exact = saved(parameter).float() + state.pop("rest").float()
            weight.detach().copy_(like(exact, weight))
        found[parameter] = {
            name: like(value, weight) if value.ndim else value for name, value in state.items()
        }
    ordered = [weight for group in optimizer.param_groups for weight in group["params"]]
    numbers = {id(weight): number for number, weight in enumerate(ordered)}
    by_number = {numbers[id(weights[parameter])]: state for parameter, state in found.items()}
    optimizer.load_state_dict({"state": by_number, "param_groups": optimizer.state_dict()["param_groups"]})


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
        with safe_open(folder / MODEL, "pt") as saved:
            _restore_optimizer(model, optimizer, tensors, saved.get_tensor)
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
