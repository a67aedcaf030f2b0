"""A frozen backbone: conversations to token rows, token rows to states, each computed once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import TINY_BASES, EmbeddingConfig
from ..errors import ConfigError, CorruptModelError, NotFiniteError, Stopped
from ..folder import is_trusted
from ..transformer.batches import Rectangle, lay_out
from ..transformer.build import build_model, build_tokenizer, locate, pick_device, position_limit
from ..transformer.packed import backbone_of, layout_of, read_rows, use_trees
from ..transformer.plan import plan_rows
from ..transformer.pooling import has_decoder_head, last_real_token, own_layer, state_width
from ..transformer.template import ConversationEncoder, Encoded, load_encoder
from ..types import Callbacks, FloatArray, Message, Pair
from .cache import EmbeddingCache

log = logging.getLogger(__name__)
KEEP_EVERY = 256  # rows computed between two writes to the cache
# Of a model's settings, those that change no state.
_OTHER_SETTINGS = {
    "_name_or_path", "architectures", "dtype", "id2label", "label2id", "num_labels", "pad_token_id", "problem_type",
    "torch_dtype", "transformers_version", "use_cache",
}  # fmt: skip


@dataclass(slots=True)
class Backbone:
    """A frozen model and how it reads. ``model`` is a sequence classifier whose own head is not used; ``identity``
    is a hash of its weights and settings."""

    model: Any
    encoder: ConversationEncoder
    pool: str
    identity: str
    budget: int
    padded_because: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    _known: dict[tuple[tuple[Message, ...], str], Encoded] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """H of the states."""
        return state_width(self.model)

    @property
    def is_classifier(self) -> bool:
        """Whether a linear head on these states is what transformers' own classifier computes."""
        return self.pool == ("last" if has_decoder_head(self.model) else "pooler")

    @property
    def space(self) -> tuple[str, str, str]:
        """What decides a state besides the token ids."""
        return self.identity, self.encoder.template_hash, self.pool

    def read(self, messages: tuple[Message, ...], response: str) -> Encoded:
        """Token ids of one conversation. A text in many pairs is encoded once."""
        key = (messages, response)
        if key not in self._known:
            self._known[key] = self.encoder.encode(messages, response)
        return self._known[key]

    def states(
        self, rows: Sequence[Encoded], cache: EmbeddingCache | None, *, callbacks: Callbacks | None = None
    ) -> FloatArray:
        """States (N, H) of rows, from the cache where it has them; the others are computed and put into it.

        ``counts`` say afterwards how many distinct rows were ``cached`` and ``embedded``. Raises ``Stopped`` between
        batches (what was computed is kept) and ``NotFiniteError`` for states that are NaN or infinite.
        """
        told = callbacks or Callbacks()
        distinct = {row.ids: row for row in rows}
        found = cache.get([*distinct]) if cache else {}
        found = {ids: state for ids, state in found.items() if state.shape == (self.width,)}
        missing = [row for ids, row in distinct.items() if ids not in found]
        self.counts = {"cached": len(found), "embedded": len(missing)}
        fresh: dict[tuple[int, ...], FloatArray] = {}
        try:
            for batch in plan_rows(missing, self.budget, layout_of(self.model)).batches:
                if told.should_stop():
                    raise Stopped(f"stopped after {len(found)} of {len(distinct)} rows")
                part = [missing[i] for i in batch]
                made = self._compute(part)
                if not np.isfinite(made).all():
                    raise NotFiniteError("the backbone gives states that are not finite")
                fresh |= {row.ids: state for row, state in zip(part, made, strict=True)}
                found |= {row.ids: fresh[row.ids] for row in part}
                told.progress(len(found), len(distinct), "embed")
                if cache and len(fresh) >= KEEP_EVERY:
                    cache.put(fresh)
                    fresh = {}
        finally:
            if cache and fresh:
                cache.put(fresh)
        return np.stack([found[row.ids] for row in rows]) if rows else np.zeros((0, self.width), np.float32)

    @torch.inference_mode()
    def _compute(self, rows: Sequence[Encoded]) -> FloatArray:
        """States (R, H) of one batch."""
        laid = lay_out(rows, layout_of(self.model), self.encoder.tokenizer.pad_token_id)
        laid = laid.to(next(self.model.parameters()).device)
        if self.is_classifier or not isinstance(laid, Rectangle):
            states = read_rows(self.model, laid)[1]
        else:
            states = _pooled(self.model, laid, self.pool)
        made: FloatArray = states.float().cpu().numpy()
        return made


def _pooled(model: Any, rows: Rectangle, pool: str) -> Tensor:
    """States (R, H) of padded rows by ``last``, ``first`` or ``mean`` over the real tokens."""
    mask = rows.attention_mask
    options = {}
    if has_decoder_head(model):
        options = {"position_ids": (mask.cumsum(dim=1) - 1).clamp(min=0), "use_cache": False}
    hidden: Tensor = backbone_of(model)(input_ids=rows.input_ids, attention_mask=mask, **options)[0].float()
    if pool == "last":
        return last_real_token(hidden, mask)
    if pool == "first":
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.argmax(dim=1)]
    weight = mask[:, :, None].to(hidden.dtype)
    total: Tensor = (hidden * weight).sum(dim=1) / weight.sum(dim=1)
    return total


def resolve_pool(model: Any, config: EmbeddingConfig) -> str:
    """The settings' pooling for this model. Raises ``ConfigError`` for one that would read nothing of use."""
    decoder = has_decoder_head(model)
    if config.pool == "auto":
        return "last" if decoder else "mean"
    if decoder and config.pool in ("first", "pooler"):
        why = (
            "a decoder's first token has seen nothing"
            if config.pool == "first"
            else "a decoder has no pooler"
        )
        raise ConfigError(f"embedding: pool {config.pool}: {why}; choose last or mean")
    if config.pool == "pooler" and config.base not in TINY_BASES:
        own = {id(p) for p in own_layer(model).parameters()}
        lacking = {name for name, p in model.named_parameters() if id(p) not in own} & model.new_weights
        if lacking:
            raise ConfigError(
                f"embedding: pool pooler: the base has no weights for it ({', '.join(sorted(lacking)[:3])}); "
                "choose mean or first"
            )
    return config.pool


def identity_of(model: Any, pool: str) -> str:
    """Hash of the weights and settings that decide a state: the backbone's, and a pooler's where that is read."""
    config = {k: v for k, v in model.config.to_dict().items() if k not in _OTHER_SETTINGS}
    digest = hashlib.sha256(json.dumps([type(model).__name__, config], sort_keys=True, default=str).encode())
    own = {id(p) for p in own_layer(model).parameters()}
    part = model if pool == "pooler" else backbone_of(model)
    for name, value in (*part.named_parameters(), *part.named_buffers()):
        if id(value) not in own:
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def find_backbone(config: EmbeddingConfig, pairs: Sequence[Pair]) -> Backbone:
    """The backbone that the settings name; ``tiny`` ones are built of the training pairs' text."""
    settings = config.backbone()
    texts = [pair for pair in pairs if pair.split == "train"]
    tokenizer = build_tokenizer(settings, locate(settings, weights=False), texts)
    source = locate(settings)  # a template that cannot be used was refused by now
    model: Any = build_model(settings, source, tokenizer).to(pick_device(config.device)).eval()
    model.requires_grad_(False)
    encoder = ConversationEncoder(tokenizer, position_limit(model.config, config.max_length))
    pool = resolve_pool(model, config)
    return _laid_out(Backbone(model, encoder, pool, identity_of(model, pool), config.batch_tokens))


def open_backbone(folder: Path, card: dict[str, Any]) -> Backbone:
    """The backbone of a verified model folder; raises ``CorruptModelError`` when its parts do not fit."""
    from transformers import AutoModelForSequenceClassification

    encoder = load_encoder(folder, card)
    try:
        pool, identity = str(card["pool"]), str(card["backbone"])
        settings = EmbeddingConfig(
            dtype=card["config"]["dtype"],
            batch_tokens=card["config"]["batch_tokens"],
        )  # on whatever device is here: the one of the training is no property of the model
        model, info = AutoModelForSequenceClassification.from_pretrained(
            str(folder),
            num_labels=1,
            dtype=getattr(torch, settings.dtype),
            use_safetensors=True,
            trust_remote_code=is_trusted(str(card.get("base", ""))),
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ConfigError) as error:
        raise CorruptModelError(f"the model cannot be read: {error}") from error
    prefix = "" if card.get("is_classifier") else f"{model.base_model_prefix}."
    lacking = sorted(name for name in info["missing_keys"] if name.startswith(prefix))
    if lacking:
        raise CorruptModelError(f"not a whole model: {lacking} missing")
    model = model.to(pick_device(settings.device)).eval()
    return _laid_out(Backbone(model, encoder, pool, identity, settings.batch_tokens))


def _laid_out(backbone: Backbone) -> Backbone:
    """Packed trees where the last token's state is all that is read and the model takes them."""
    if backbone.pool == "last":
        backbone.padded_because = use_trees(backbone.model, backbone.encoder.max_length)
    else:
        backbone.padded_because = f"pool {backbone.pool} reads more than the last token"
    log.info("rows are laid out as %s", backbone.padded_because or "trees")
    return backbone
