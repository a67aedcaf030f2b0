"""Low-rank adapters: LoRA (arXiv 2106.09685), over a base in 4 bits QLoRA (arXiv 2305.14314), by PEFT.

They are put into the model in place, so that it stays of its class and packing, pooling and heads see what they
always see. The head is an ordinary part of the model, trained in full; so is whatever else the base had no weights
for (the pooler of an encoder that was a language model), since nobody could find those numbers again. What is saved
is a merged model, and beside it the adapter in PEFT's own format, its head among its tensors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..config import TransformerConfig
from ..errors import ConfigError
from .pooling import HEAD_NAMES, head_of, in_float32

# In a folder of its own: transformers and vLLM would take it for the model's own weights.
ADAPTER = Path("adapter")
ADAPTER_SETTINGS = "adapter_config.json"
_NAME = "default"  # PEFT's name for the only adapter
_PREFIX = "base_model.model."  # where PEFT's wrapper holds the model


@dataclass(frozen=True, slots=True)
class Adapter:
    """A trained adapter: PEFT's settings, and its tensors under PEFT's names."""

    settings: Any
    tensors: dict[str, Tensor]

    def save(self, folder: Path) -> None:
        """Write ``folder/adapter`` as ``PeftModel.from_pretrained`` reads it."""
        path = folder / ADAPTER
        path.mkdir()
        self.settings.save_pretrained(str(path))
        save_file(self.tensors, path / "adapter_model.safetensors", metadata={"format": "pt"})


def quantised(config: TransformerConfig, device: torch.device) -> dict[str, Any]:
    """What ``from_pretrained`` is told so that the base's linear layers are read in 4-bit NormalFloat, the constants
    of their blocks in 8 bits; nothing without ``quantize``. Heads stay whole.

    Raises ``ConfigError`` where this machine cannot do it.
    """
    if config.quantize == "none":
        return {}
    if device.type != "cuda":
        raise ConfigError(
            f"transformer: quantize {config.quantize} needs a CUDA device, and this run is on {device}; "
            "leave it at none, or train where there is a GPU"
        )
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"transformer: quantize {config.quantize} needs bitsandbytes: pip install -r requirements/gpu.txt"
        )
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type=config.quantize,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, config.dtype),
        llm_int8_skip_modules=[*HEAD_NAMES, ".*pooler"],
    )
    return {"quantization_config": settings, "device_map": {"": device}}


def add_adapters(model: Any, config: TransformerConfig, fresh: Iterable[str] = ()) -> None:
    """Freeze the model, give its linear layers float32 adapters and leave the head trainable.

    ``fresh`` names the weights that the base lacks. A new adapter adds nothing: scores stay as they were. Adapters
    are drawn from the settings' seed alone. Raises ``ConfigError`` for a target that names no linear layer.
    """
    from peft import LoraConfig, inject_adapter_in_model

    whole = _whole_modules(model, fresh)
    settings = LoraConfig(
        task_type="SEQ_CLS",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=_targets(model, config.lora_targets, whole),
        init_lora_weights=True,
    )
    torch.manual_seed(config.seed)
    inject_adapter_in_model(settings, model, _NAME)
    for weight in model.parameters():
        if weight.requires_grad:  # an adapter's, so far: it takes its layer's dtype
            weight.data = weight.data.float()
    # Named only now: PEFT would wrap these modules, and the head would no longer be one.
    settings.modules_to_save = whole
    for name in whole:
        module = model.get_submodule(name)
        if any(not p.is_floating_point() for p in module.parameters()):
            raise ConfigError(
                f"transformer: the base has no weights for {name}, and 4-bit ones cannot be trained"
            )
        in_float32(module)
        module.requires_grad_(True)


def _whole_modules(model: nn.Module, fresh: Iterable[str]) -> list[str]:
    """Names of the modules to train in full, none within another."""
    head = next(name for name, module in model.named_modules() if module is head_of(model))
    names = {head, *(weight.rpartition(".")[0] for weight in fresh)}
    return sorted(name for name in names if not any(name.startswith(f"{other}.") for other in names))


def _targets(model: Any, wanted: tuple[str, ...], whole: list[str]) -> list[str]:
    """Full names of the linear layers under the head that end in one of ``wanted``; all of them without one."""
    from transformers.pytorch_utils import Conv1D

    prefix = f"{model.base_model_prefix}."
    layers = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and name.startswith(prefix)
        and not any(f"{name}.".startswith(f"{other}.") for other in whole)
    ]
    for target in wanted:
        if not any(_ends_in(name, target) for name in layers):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
            raise ConfigError(
                f"transformer: lora_targets: no linear layer is named {target}; there are {known}"
            )
    return [name for name in layers if not wanted or any(_ends_in(name, target) for target in wanted)]


def _ends_in(name: str, target: str) -> bool:
    return f".{name}".endswith(f".{target}")


def is_adapted(model: Any) -> bool:
    """Whether adapters are in the model."""
    return hasattr(model, "peft_config")


def read_adapter(model: Any, base: str) -> Adapter:
    """The adapter and everything trained in full, on the CPU, as it is now; ``base`` is the model it goes with."""
    settings = model.peft_config[_NAME]
    settings.base_model_name_or_path = base
    settings.inference_mode = True
    tensors = {
        _PREFIX + name.replace(f".{_NAME}.", "."): value.detach().cpu().contiguous().clone()
        for name, value in model.named_parameters()
        if f".{_NAME}." in name or any(name.startswith(f"{whole}.") for whole in settings.modules_to_save)
    }
    return Adapter(settings, tensors)


@torch.no_grad()
def merge_adapters(model: Any) -> None:
    """Add every adapter to its layer's weights, in float32 and rounded once, and leave a plain model.

    A 4-bit base is first turned into what its 4 bits stand for, in the settings' dtype: the merged model scores as
    the trained one did, which one merged into the base's original weights would not.
    """
    from peft.tuners.lora import LoraLayer

    if getattr(model, "hf_quantizer", None) is not None:
        model.dequantize()
    adapted: list[tuple[str, Any]] = [(n, m) for n, m in model.named_modules() if isinstance(m, LoraLayer)]
    for name, layer in adapted:
        plain = layer.get_base_layer()
        plain.weight.copy_(plain.weight.float() + layer.get_delta_weight(_NAME).float())
        model.set_submodule(name, plain)
    del model.peft_config
