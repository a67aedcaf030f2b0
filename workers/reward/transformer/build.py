"""Find, check and build the base: tokenizer, model, one-output head."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..config import TINY_BASES, TransformerConfig
from ..errors import ConfigError, ModelUnavailableError
from ..folder import is_trusted
from ..hub import find_base
from ..types import Pair
from .adapters import add_adapters, quantised
from .pooling import head_of, in_float32
from .preview import check_template
from .template import DECODER_TEMPLATE, ENCODER_TEMPLATE
from .tiny import distinct_texts, tiny_config, train_tokenizer

log = logging.getLogger(__name__)
LIKE_ROBERTA = ("camembert", "data2vec-text", "longformer", "mpnet", "xmod")
PAD_TOKEN = "<|pad|>"  # noqa: S105 - a vocabulary entry


def pick_device(name: str) -> torch.device:
    """``auto`` means the GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def locate(config: TransformerConfig, *, weights: bool = True) -> str:
    """The base's folder, fetched where a hub has it, without ``weights`` its settings and tokenizer alone; ``tiny``
    ones have none. Raises the errors of ``find_base``."""
    if config.base in TINY_BASES:
        return config.base
    return str(find_base(config.base, revision=config.revision, hub=config.hub, weights=weights))


def build_tokenizer(config: TransformerConfig, source: str, pairs: Sequence[Pair]) -> Any:
    """The base's tokenizer or one made of the pairs' text, with a padding token of its own and the settings' chat
    template, the base's, or a plain one. Raises ``ConfigError`` for settings whose template cannot be used."""
    if config.base in TINY_BASES:
        encoder = config.base == "tiny-encoder"
        tokenizer = train_tokenizer(distinct_texts(pairs), config.tiny_vocabulary, encoder=encoder)
    else:
        tokenizer = _load_tokenizer(config, source)
    if config.chat_template:
        tokenizer.chat_template = config.chat_template
        for line in check_template(tokenizer):
            log.warning("%s", line)
    return tokenizer


def _load_tokenizer(config: TransformerConfig, source: str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source, revision=config.revision, trust_remote_code=is_trusted(config.base)
        )
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"no tokenizer at {config.base}: {error}") from error
    if tokenizer.chat_template is None:
        tokenizer.chat_template = DECODER_TEMPLATE if tokenizer.cls_token is None else ENCODER_TEMPLATE
    # Where padding and end share an id, whoever looks for "the last token that is no padding" (transformers,
    # vLLM) pools the wrong one. An own padding token makes every reader agree.
    shared = tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id
    if shared:
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
    return tokenizer


def position_limit(config: Any, wanted: int) -> int:
    """``wanted`` tokens, or what the positions of a model of this transformers ``config`` allow. Encoders of the
    RoBERTa kind start counting at 2."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None) or wanted
    kind = str(getattr(config, "model_type", ""))
    offset = 2 if "roberta" in kind or kind in LIKE_ROBERTA else 0
    return min(wanted, int(positions) - offset)


def check_device(config: TransformerConfig) -> torch.device:
    """The settings' device. Raises ``ConfigError`` for settings that it cannot follow."""
    device = pick_device(config.device)
    if config.torch_compile and device.type != "cuda":
        raise ConfigError(
            f"transformer: torch_compile pays on a CUDA device alone, and this run is on {device}"
        )
    quantised(config, device)
    return device


def _initialise_head(model: nn.Module, width: int, seed: int) -> None:
    """N(0, 1/(H+1)), biases 0, from the seed alone: whatever drew random numbers before changes nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in head_of(model).modules():
            if isinstance(module, nn.Linear):
                drawn = torch.randn(module.weight.shape, generator=generator) * (1.0 / (width + 1)) ** 0.5
                module.weight.copy_(drawn)
                if module.bias is not None:
                    module.bias.zero_()


def build_model(config: TransformerConfig, source: str, tokenizer: Any) -> nn.Module:
    """A sequence classifier with ``num_labels`` = 1, its head in float32, its adapters in place where the settings
    ask for them. Only a head that the base lacks is drawn anew; ``has_new_head`` says whether.

    Raises ``ConfigError`` for settings that this device or model cannot follow.
    """
    device = check_device(config)
    torch.manual_seed(config.seed)
    model, fresh = _load(config, source, tokenizer, device)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer))
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    model.new_weights = frozenset(fresh)
    model.has_new_head = bool(fresh & _head_names(model))
    if model.has_new_head:
        _initialise_head(model, model.config.get_text_config().hidden_size, config.seed)
    in_float32(head_of(model))
    if config.lora_rank:
        add_adapters(model, config, fresh)
    if config.gradient_checkpointing:
        _recompute_activations(model)
    built: nn.Module = model
    return built


def _recompute_activations(model: Any) -> None:
    try:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    except ValueError as error:
        raise ConfigError(f"transformer: gradient_checkpointing: {error}") from error
    model.disable_input_require_grads()  # what reentrant checkpointing would need


def compile_layers(model: nn.Module, *, backend: str = "inductor") -> None:
    """Compile each layer's forward pass in place: one graph serves all layers, and rows of any length."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.compile(dynamic=True, backend=backend)


def _load(
    config: TransformerConfig, source: str, tokenizer: Any, device: torch.device
) -> tuple[Any, set[str]]:
    """The model, and the names of the weights that the base lacks."""
    from transformers import AutoModelForSequenceClassification

    if config.base in TINY_BASES:
        model = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
            tiny_config(tokenizer, config), dtype=getattr(torch, config.dtype)
        )
        return model, {name for name, _ in model.named_parameters()}
    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source,
            revision=config.revision,
            num_labels=1,
            dtype=getattr(torch, config.dtype),
            use_safetensors=True,
            trust_remote_code=is_trusted(config.base),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **quantised(config, device),
        )
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"no usable model at {config.base}: {error}") from error
    mismatched = {entry[0] if isinstance(entry, tuple) else entry for entry in info["mismatched_keys"]}
    return model, {*info["missing_keys"]} | mismatched


def _head_names(model: nn.Module) -> set[str]:
    head = head_of(model)
    prefix = next(name for name, module in model.named_modules() if module is head)
    return {f"{prefix}.{name}" for name, _ in head.named_parameters()}
