"""Live figures as TensorBoard events, for those who watch several runs side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .types import Callbacks

# What a figure is filed under; the rest is ``train``.
GROUPS = {
    "validation_": "validation",
    "loss_": "terms",
    "score_": "scores",
    "pairs": "speed",
    "tokens": "speed",
    "padding_avoided": "speed",
    "memory_mb": "speed",
}


class TensorBoard(Callbacks):
    """Writes every figure into event files in ``folder`` and passes everything on to ``told``.

    A run that goes on after a kill replaces the steps that it repeats. Needs the package ``tensorboard`` (extra
    ``tensorboard``); raises ``ConfigError`` at once where it is missing.
    """

    def __init__(self, folder: Path | str, told: Callbacks | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError("TensorBoard events need the package: pip install tensorboard") from error
        self.folder, self.told = Path(folder), told or Callbacks()
        self._open: Callable[..., Any] = SummaryWriter
        self._writer: Any = None

    def metric(self, step: int, values: dict[str, float]) -> None:
        if self._writer is None:
            self._writer = self._open(str(self.folder), purge_step=step)
        for name, value in values.items():
            group = next((group for start, group in GROUPS.items() if name.startswith(start)), "train")
            self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()
        self.told.metric(step, values)

    def progress(self, done: int, total: int, message: str) -> None:
        self.told.progress(done, total, message)

    def checkpointed(self) -> None:
        self.told.checkpointed()

    def should_stop(self) -> bool:
        return self.told.should_stop()
