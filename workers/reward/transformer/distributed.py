"""The processes of one run: who they are, what they agree on, and how the failure of one ends all.

``torchrun`` or ``accelerate launch`` start the same command several times; ``joined`` makes one ``World`` of them.
They stand in a grid, ``data`` x ``sequence``: processes of one row share every sequence (``sequence.py``), rows take
different pairs of one and the same plan. ``ALONE`` is the world of a process that nobody launched: nothing in it
talks to anybody.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import TCPStore  # type: ignore[attr-defined]

from ..config import TransformerConfig
from ..errors import ConfigError, NotFiniteError, PeerError, RewardError, ScoresExplodedError, Stopped
from .build import pick_device

log = logging.getLogger(__name__)
T = TypeVar("T")
# How long a process waits for another in a collective (one of them may be writing a checkpoint), how often it looks
# whether another has failed, and how long a failed one waits until all have seen it.
COLLECTIVE = timedelta(minutes=30)
LOOK_S, SEEN_S = 0.25, 10.0
# What all processes raise at the same step.
AGREED = (Stopped, NotFiniteError, ScoresExplodedError)


@dataclass(frozen=True)
class World:
    """``rank`` of ``size`` processes; ``mesh`` is their (data, sequence) grid, ``sequence`` its second side."""

    rank: int = 0
    size: int = 1
    sequence: int = 1
    mesh: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    @property
    def data_rank(self) -> int:
        """Which share of the pairs is this process's."""
        return self.rank // self.sequence

    @property
    def data_size(self) -> int:
        """How many shares there are."""
        return self.size // self.sequence

    def everyone(self, value: T) -> list[T]:
        """The values of all processes, in their order, on each of them."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def gather(self, value: T) -> list[T]:
        """The values of all shares, in their order, on every process."""
        return self.everyone(value)[:: self.sequence]

    def any(self, flag: bool) -> bool:
        """Whether it is true on any process."""
        return any(self.everyone(flag))

    def wait(self) -> None:
        """Until every process is here."""
        self.everyone(None)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process passes the block alone, and then all others do."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def even(self, batches: Sequence[T]) -> list[T]:
        """This process's part of batches of any order, as many as every other process has: some come twice."""
        rounds = -(-len(batches) // self.data_size)
        return [batches[min(i * self.data_size + self.data_rank, len(batches) - 1)] for i in range(rounds)]

    def seed(self, *numbers: int) -> None:
        """Draw from numbers of this share's own, so that a resumed step draws what it drew before. Processes that
        share a sequence drop the same states."""
        if self.size > 1:
            state = np.random.SeedSequence([*numbers, self.data_rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(state[0]) >> 1)


ALONE = World()


def deal(
    batches: Sequence[Sequence[int]],
    shares: int,
    prompt: Callable[[int], object] = lambda number: number,
    cost: Callable[[int], int] = lambda _number: 1,
) -> list[list[Sequence[int]]]:
    """A step's batches in rounds of one part for each of ``shares`` processes; every pair stands in one part.

    As long as there is a batch for each, a round is one batch each; every batch of the rest is cut into consecutive
    parts of about equal ``cost``, between two pairs of different ``prompt`` where there are enough of those. A part
    may be empty: its process passes over something else with loss 0, since all take part in every pass.
    """
    if shares == 1:
        return [[batch] for batch in batches]
    whole = len(batches) // shares * shares
    rounds = [list(batches[i : i + shares]) for i in range(0, whole, shares)]
    return rounds + [_cut(batch, shares, prompt, cost) for batch in batches[whole:]]


def _cut(
    batch: Sequence[int], shares: int, prompt: Callable[[int], object], cost: Callable[[int], int]
) -> list[Sequence[int]]:
    units = [list(same) for _, same in groupby(batch, key=prompt)]
    if len(units) < shares:
        units = [[number] for number in batch]
    costs = [sum(map(cost, unit)) for unit in units]
    parts: list[list[int]] = [[] for _ in range(shares)]
    passed = 0.0
    for unit, size in zip(units, costs, strict=True):
        parts[min(shares - 1, int((passed + size / 2) * shares / sum(costs)))] += unit
        passed += size
    return list(parts)


def is_launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def joined(config: TransformerConfig) -> Iterator[tuple[World, torch.device]]:
    """Join the processes that the launcher started, or be alone. Also gives this process's device.

    Whatever ends the block on one process ends it on all: the others raise ``PeerError`` with its words. Raises
    ``ConfigError`` for a number of processes that does not fit the settings or the machine.
    """
    device = pick_device(config.device)
    if not is_launched():
        if config.sequence_parallel > 1:
            raise ConfigError(
                f"sequence_parallel {config.sequence_parallel} needs as many processes: start the command "
                f"with torchrun --nproc-per-node {config.sequence_parallel}"
            )
        yield ALONE, device
        return
    size, device = int(os.environ["WORLD_SIZE"]), _own_device(device)
    if size % config.sequence_parallel:
        raise ConfigError(
            f"{size} processes cannot be grouped by sequence_parallel {config.sequence_parallel}"
        )
    if not dist.is_initialized():  # once in a process: a second start over the same store may wait for ever
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=COLLECTIVE)
        atexit.register(_leave)
    alarm = _Alarm(dist.get_rank(), size)
    try:
        mesh = dist.device_mesh.init_device_mesh(
            device.type,
            (size // config.sequence_parallel, config.sequence_parallel),
            mesh_dim_names=("data", "sequence"),
        )
        yield World(dist.get_rank(), size, config.sequence_parallel, mesh), device
    except BaseException as error:
        if (raised := alarm.raised(error)) is error:
            raise
        raise raised from error
    finally:
        alarm.close()


def _leave() -> None:
    with suppress(RuntimeError, ValueError, AssertionError):  # a group that was broken off has nothing to end
        dist.destroy_process_group()


def _own_device(device: torch.device) -> torch.device:
    """The GPU of this process's number on its machine."""
    if device.type != "cuda":
        return device
    here = int(os.environ.get("LOCAL_RANK", "0"))
    if here >= torch.cuda.device_count():
        raise ConfigError(
            f"process {here} of this machine has no GPU of its own: start at most {torch.cuda.device_count()}"
        )
    torch.cuda.set_device(here)
    return torch.device("cuda", here)


class _Alarm:
    """Carries the words of the first failure to every process, over a connection of its own, so that nobody waits in
    a collective for one that has left."""

    _runs = 0  # several runs of one launch do not hear each other's

    def __init__(self, rank: int, size: int) -> None:
        _Alarm._runs += 1
        self.rank, self.size, self.words = rank, size, ""
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        line = TCPStore(host, port, is_master=False)
        self.store = PrefixStore(f"alarm {again} {_Alarm._runs}", line)
        self.lock, self.closed = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.closed.wait(LOOK_S):
            if words := self._heard():
                log.error("the run ends here, too: %s", words)
                if torch.cuda.is_available():  # NCCL would wait for the one that failed
                    with suppress(RuntimeError):
                        dist.distributed_c10d._abort_process_group()
                return

    def _heard(self) -> str:
        """The words of the process that failed first, or nothing; that they were seen is noted once."""
        with self.lock:
            try:
                if not self.words and self.store.check(["words"]):
                    self.words = self.store.get("words").decode()
                    self.store.add("seen", 1)
            except (RuntimeError, ValueError):  # the first process, which may hold the store, is gone
                self.words = self.words or "another process ended without a word"
            return self.words

    def raised(self, error: BaseException) -> BaseException:
        """What this process raises for ``error``: itself where it was the first, else ``PeerError``. Comes back when
        all have seen it, or after a while."""
        self.closed.set()
        if isinstance(error, AGREED):
            return error
        if words := self._heard():
            return error if isinstance(error, RewardError) else PeerError(words)
        if isinstance(error, RuntimeError) and "onnection" in str(error):
            time.sleep(4 * LOOK_S)  # a neighbour broke off: what did it say?
            return PeerError(self._heard() or "another process ended without a word; look into its log")
        said = f"process {self.rank} of {self.size}: {type(error).__name__}: {error}"
        try:
            with self.lock:
                self.words = self.store.compare_set("words", "", said).decode()
                self.store.add("seen", 1)
            until = time.monotonic() + SEEN_S
            while self.store.add("seen", 0) < self.size and time.monotonic() < until:
                time.sleep(LOOK_S / 5)
        except RuntimeError:
            log.warning("the other processes could not be told")
        return error

    def close(self) -> None:
        self.closed.set()
        self.thread.join()
