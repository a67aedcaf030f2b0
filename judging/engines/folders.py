"""Which local model folders may be loaded: plain Hugging Face folders with safetensors and no code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from django.utils.translation import gettext_noop

from judging.engines.base import EngineError
from webapp.jobs.messages import message

_CODE_SUFFIXES = {".py", ".pyc", ".so", ".dll"}


def checked_model_folder(folder: Path, roots: Iterable[Path]) -> Path:
    """The resolved folder, when it lies under one of `roots` and holds nothing but data.

    Raises EngineError for a folder elsewhere (links followed), without safetensors weights, with code in it,
    or whose configuration asks for remote code (`auto_map`).
    """
    resolved = folder.resolve()
    if not any(resolved.is_relative_to(root.resolve()) for root in roots):
        raise EngineError(
            message(gettext_noop("the model folder is not under a folder that the operator allows"))
        )
    if not (resolved / "config.json").is_file():
        raise EngineError(message(gettext_noop("the model folder has no config.json")))
    if not any(resolved.glob("*.safetensors")):
        raise EngineError(
            message(
                gettext_noop("the model folder has no .safetensors weights; other formats are not loaded")
            )
        )
    if any(path.suffix in _CODE_SUFFIXES for path in resolved.iterdir()):
        raise EngineError(message(gettext_noop("the model folder contains code")))
    for name in ("config.json", "tokenizer_config.json", "processor_config.json"):
        if _asks_for_code(resolved / name):
            raise EngineError(
                message(gettext_noop("%(file)s asks for remote code (auto_map), which is not run"), file=name)
            )
    return resolved


def _asks_for_code(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(message(gettext_noop("%(file)s cannot be read"), file=path.name)) from error
    return "auto_map" in json.dumps(data)
