"""The embedded broker: kombu's filesystem transport, with messages that appear whole.

The stock transport makes a message's file first and fills it then. A worker that looks between the two takes an
empty message, and ends with the error of reading it. Here the file is filled under a name that no queue has.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        name = f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg"  # the order and the names of `_get`
        partial = folder / f"{name}.partial"
        try:
            partial.write_text(dumps(payload), encoding="utf-8")
            partial.rename(folder / name)
        except OSError as error:
            raise ChannelError(f"cannot write a message to {folder}: {error}") from error


class Transport(filesystem.Transport):
    Channel = Channel
