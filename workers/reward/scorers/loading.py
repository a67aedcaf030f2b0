"""Tokenizers and models of other people's folders: safetensors only, no code of theirs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from ..errors import CorruptModelError, ModelUnavailableError
from ..folder import hash_file, is_trusted
from ..hub import find_base
from ..transformer.build import pick_device
from ..transformer.template import DECODER_TEMPLATE
from .spec import ScorerSpec

READ = (".safetensors", ".json", ".txt", ".model", ".jinja")


def load_tokenizer(name: str, spec: ScorerSpec) -> Any:
    """A tokenizer with a chat template, its own or ours. Raises the errors of ``find_base``."""
    from transformers import AutoTokenizer

    folder = find_base(name, revision=revision_of(name, spec), weights=False)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=is_trusted(name))
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"no tokenizer at {name}: {error}") from error
    if tokenizer.chat_template is None:
        tokenizer.chat_template = DECODER_TEMPLATE
    return tokenizer


def load_model(auto_class: Any, name: str, spec: ScorerSpec, *, need_all: bool = True) -> Any:
    """A model in evaluation mode on the spec's device.

    Raises the errors of ``find_base``, and ``CorruptModelError`` where it lacks weights (a head that would be drawn
    at random, say).
    """
    folder = find_base(name, revision=revision_of(name, spec))
    try:
        model, info = auto_class.from_pretrained(
            str(folder),
            dtype=getattr(torch, spec.dtype),
            use_safetensors=True,
            trust_remote_code=is_trusted(name),
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelUnavailableError(f"no usable model at {name}: {error}") from error
    if need_all and info["missing_keys"]:
        raise CorruptModelError(f"{name} lacks weights: {', '.join(sorted(info['missing_keys'])[:5])}")
    return model.to(pick_device(spec.device)).eval().requires_grad_(False)


def revision_of(name: str, spec: ScorerSpec) -> str | None:
    """The revision is the model's; a reference is read at its newest."""
    return spec.revision if name == spec.model else None


def fingerprint(name: str) -> str | None:
    """Hash of a local folder's weights, settings and tokenizer; None for a hub id."""
    folder = Path(name)
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in READ):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()
