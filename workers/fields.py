"""Form fields of a model's settings: defaults and limits are the library's, words are ours."""

from __future__ import annotations

from typing import Any

from django import forms

from workers.models import ModelKind
from workers.reward.config import LIMITS as TRAINED_LIMITS
from workers.reward.scorers import SCORER_KINDS, settings_from_dict, settings_to_dict
from workers.reward.scorers.spec import LIMITS as SCORER_LIMITS

# Which settings people choose on a page; the rest are for REST and the command line.
NAMES: dict[str, tuple[str, ...]] = {
    ModelKind.STARTER: ("margin_scale", "heads", "seed"),
    ModelKind.EMBEDDING: (
        *("base", "hub", "revision", "chat_template", "max_length", "pool"),
        *("dtype", "margin_scale", "heads", "seed"),
    ),
    ModelKind.TRANSFORMER: (
        *("base", "hub", "revision", "chat_template", "max_length"),
        *("ranking", "epochs", "learning_rate", "batch_tokens"),
        *("lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "quantize"),
        *("dtype", "gradient_checkpointing", "torch_compile"),
        *("weight_decay", "warmup_share", "clip_norm", "accumulate", "dropout", "patience"),
        *("margin_scale", "label_smoothing", "focal", "centering", "barrier", "aspects", "heads", "seed"),
    ),
    ModelKind.DPO: ("model", "reference", "beta", "reduction"),
    ModelKind.PERPLEXITY: ("model",),
    ModelKind.PAIR: ("model", "architecture", "template"),
    ModelKind.GENERATIVE: ("judge",),
    ModelKind.LONGEST: (),
    ModelKind.RANDOM: ("seed",),
}
SETTINGS = frozenset(name for names in NAMES.values() for name in names)
# What stands in the form's folded group.
ADVANCED = (
    *("revision", "chat_template"),
    *("lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "quantize"),
    *("dtype", "gradient_checkpointing", "torch_compile"),
    *("weight_decay", "warmup_share", "clip_norm", "accumulate", "dropout", "patience"),
    *("margin_scale", "label_smoothing", "focal", "centering", "barrier", "aspects"),
)


def _defaults(kind: str) -> dict[str, Any]:
    # Scorers share their defaults; only some can do without a model.
    return settings_to_dict(settings_from_dict("longest" if kind in SCORER_KINDS else kind, {}))


DEFAULTS: dict[str, dict[str, Any]] = {kind: _defaults(kind) for kind in NAMES}


def shared_default(name: str) -> Any:
    """The default of a setting where all kinds that have it agree; None where the field's help must say how not."""
    found = [DEFAULTS[kind][name] for kind, names in NAMES.items() if name in names]
    return found[0] if all(value == found[0] for value in found) else None


def written(default: Any) -> str:
    """A default as an empty field shows it; nothing where it is no number and no text."""
    if isinstance(default, float):
        return f"{default:g}"
    return str(default) if isinstance(default, int | str) and not isinstance(default, bool) else ""


def number(name: str, **words: Any) -> forms.Field:
    """A field for a number in the library's limits, the widest of the kinds that have it: the library looks closer."""
    kinds = [kind for kind, names in NAMES.items() if name in names]
    limits = [(TRAINED_LIMITS.get(kind) or SCORER_LIMITS)[name] for kind in kinds]
    low, high = min(low for low, _high in limits), max(high for _low, high in limits)
    if isinstance(DEFAULTS[kinds[0]][name], int):
        return forms.IntegerField(required=False, min_value=int(low), max_value=int(high), **words)
    return forms.FloatField(required=False, min_value=low, max_value=high, **words)


class TemplateField(forms.CharField):
    """A text in which every blank counts. Browsers send lines that end in CR LF; what is saved ends them in LF."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        text = str(super().to_python(value) or "").replace("\r\n", "\n")
        return text if text.strip() else ""


class NamesField(forms.CharField):
    """A list of names, written with commas or blanks between them."""

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        return str(super().to_python(value) or "").replace(",", " ").split()

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list | tuple) else value
