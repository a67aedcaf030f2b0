"""Settings of both kinds of model, checked when they are made; the resolved ones are saved with the model."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import ConfigError

Kind = Literal["starter", "transformer"]
KINDS: tuple[str, ...] = ("starter", "transformer")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class StarterConfig:
    """The linear Bradley-Terry model.

    ``regularisation`` are the candidate values of C in ``C·Σ loss + ½‖w‖²``; the best by grouped
    cross-validation is used, ``default_c`` where there are too few pairs or groups for that. ``margin_scale``
    is the margin at strength 4 (strength 1 gives 0). ``hash_bits`` sets the columns of each of the two n-gram
    channels.
    """

    seed: int = 0
    heads: int = 8
    folds: int = 5
    regularisation: tuple[float, ...] = (3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    default_c: float = 3e-4
    margin_scale: float = 1.0
    hash_bits: int = 18
    max_chars: int = 20_000

    def __post_init__(self) -> None:
        _require(1 <= self.heads <= 64, f"heads must lie in 1..64, got {self.heads}")
        _require(2 <= self.folds <= 20, f"folds must lie in 2..20, got {self.folds}")
        _require(bool(self.regularisation), "regularisation needs at least one value")
        _require(all(c > 0 for c in self.regularisation), "every value of regularisation must be positive")
        _require(self.default_c > 0, f"default_c must be positive, got {self.default_c}")
        _require(self.margin_scale >= 0, f"margin_scale must not be negative, got {self.margin_scale}")
        _require(10 <= self.hash_bits <= 22, f"hash_bits must lie in 10..22, got {self.hash_bits}")
        _require(self.max_chars >= 100, f"max_chars must be at least 100, got {self.max_chars}")


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """A sequence classifier with one output.

    ``base`` is a local folder, a hub id, or ``tiny`` / ``tiny-encoder``: a small Qwen2 / BERT built from the
    pairs' own text. ``max_length`` and ``batch_tokens`` are tokens; a step is ``accumulate`` batches of at
    most ``batch_tokens`` padded tokens (a single longer pair still makes a batch). ``margin_scale`` is the
    margin at strength 4. ``patience`` counts evaluations without a better validation loss.
    ``checkpoint_every`` and ``evaluate_every`` count steps, 0 means once an epoch.
    """

    base: str = "tiny"
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    revision: str | None = None
    seed: int = 0
    epochs: float = 2.0
    max_steps: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_share: float = 0.06
    clip_norm: float = 1.0
    batch_tokens: int = 4096
    accumulate: int = 1
    max_length: int = 512
    margin_scale: float = 1.0
    centering: float = 0.01
    dropout: float = 0.1
    patience: int = 3
    evaluate_every: int = 100
    checkpoint_every: int = 100
    keep_checkpoints: int = 2
    score_tokens: int = 8192
    log_every: int = 5
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"
    tiny_vocabulary: int = 4096
    tiny_hidden: int = 128
    tiny_layers: int = 2
    tiny_heads: int = 4

    def __post_init__(self) -> None:
        self._check_optimiser()
        _require(bool(self.base.strip()), "base must name a folder, a hub id, tiny or tiny-encoder")
        _require(
            self.hub in ("huggingface", "modelscope"), f"hub must be huggingface or modelscope: {self.hub}"
        )
        _require(self.dtype in ("float32", "bfloat16"), f"dtype must be float32 or bfloat16: {self.dtype}")
        for name in ("batch_tokens", "score_tokens", "max_length"):
            _require(getattr(self, name) >= 8, f"{name} must be at least 8, got {getattr(self, name)}")
        for name in ("accumulate", "log_every", "patience", "keep_checkpoints", "tiny_layers", "tiny_heads"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("max_steps", "evaluate_every", "checkpoint_every"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative, got {getattr(self, name)}")
        _require(self.tiny_vocabulary >= 300, f"tiny_vocabulary must be at least 300: {self.tiny_vocabulary}")
        _require(self.tiny_hidden % (2 * self.tiny_heads) == 0, "tiny_hidden must divide by twice tiny_heads")

    def _check_optimiser(self) -> None:
        _require(0 < self.epochs <= 1000, f"epochs must lie in (0, 1000], got {self.epochs}")
        _require(0 < self.learning_rate < 1, f"learning_rate must lie in (0, 1), got {self.learning_rate}")
        _require(0 <= self.weight_decay < 1, f"weight_decay must lie in [0, 1), got {self.weight_decay}")
        _require(0 <= self.warmup_share < 1, f"warmup_share must lie in [0, 1), got {self.warmup_share}")
        _require(self.clip_norm > 0, f"clip_norm must be positive, got {self.clip_norm}")
        _require(self.margin_scale >= 0, f"margin_scale must not be negative, got {self.margin_scale}")
        _require(self.centering >= 0, f"centering must not be negative, got {self.centering}")
        _require(0 <= self.dropout < 1, f"dropout must lie in [0, 1), got {self.dropout}")


Config = StarterConfig | TransformerConfig


def _matches(value: object, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_matches(value, part) for part in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(_matches(v, typing.get_args(hint)[0]) for v in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def config_from_dict(kind: str, values: Mapping[str, Any]) -> Config:
    """Make the settings of ``kind`` from plain JSON values; raises ``ConfigError`` naming the wrong key."""
    if kind not in KINDS:
        raise ConfigError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    cls: type[StarterConfig] | type[TransformerConfig]
    cls = StarterConfig if kind == "starter" else TransformerConfig
    hints = typing.get_type_hints(cls)
    if unknown := sorted(set(values) - set(hints)):
        raise ConfigError(f"unknown setting for {kind}: {', '.join(unknown)}")
    resolved = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    for key, value in resolved.items():
        if not _matches(value, hints[key]):
            raise ConfigError(f"{key} has the wrong type: {value!r}")
    return cls(**typing.cast(dict[str, Any], resolved))


def config_to_dict(config: Config) -> dict[str, Any]:
    """Plain JSON values; ``config_from_dict`` gives the same settings back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}
