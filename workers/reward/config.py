"""Settings of each kind of model, checked when they are made; the resolved ones are saved with the model."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .checks import check_limits, matches, require
from .errors import ConfigError

Kind = Literal["starter", "embedding", "transformer"]
KINDS: tuple[str, ...] = ("starter", "embedding", "transformer")


# Least and greatest value of every number, both allowed. A setting may come from anybody with a project's token:
# what would hold a worker for weeks, fill its disk or take all its memory is refused before anything is queued.
SEEDS = (0, 2**31 - 1)
STARTER_LIMITS: dict[str, tuple[float, float]] = {
    "seed": SEEDS,
    "heads": (1, 64),
    "folds": (2, 20),
    "default_c": (1e-9, 1e6),
    "margin_scale": (0, 100),
    "hash_bits": (10, 22),
    "max_chars": (100, 1_000_000),
}
EMBEDDING_LIMITS: dict[str, tuple[float, float]] = {
    "seed": SEEDS,
    "heads": (1, 64),
    "folds": (2, 20),
    "default_c": (1e-9, 1e6),
    "margin_scale": (0, 100),
    "max_length": (8, 32_768),
    "batch_tokens": (8, 262_144),
}
TRANSFORMER_LIMITS: dict[str, tuple[float, float]] = {
    "seed": SEEDS,
    "heads": (1, 64),
    "epochs": (0.001, 100),
    "max_steps": (0, 1_000_000),
    "learning_rate": (1e-12, 1),
    "weight_decay": (0, 0.99),
    "warmup_share": (0, 0.99),
    "clip_norm": (1e-9, 1e9),
    "batch_tokens": (8, 262_144),
    "accumulate": (1, 1024),
    "max_length": (8, 32_768),
    "margin_scale": (0, 100),
    "focal": (0, 10),
    "label_smoothing": (0, 0.5),
    "centering": (0, 10),
    "barrier": (0, 10),
    "barrier_limit": (1, 1000),
    "aspect_weight": (0, 100),
    "dropout": (0, 0.9),
    "score_limit": (1, 1e6),
    "sequence_parallel": (1, 1024),
    "lora_rank": (0, 1024),
    "lora_alpha": (1, 4096),
    "lora_dropout": (0, 0.9),
    "patience": (1, 10_000),
    "evaluate_every": (0, 1_000_000),
    "checkpoint_every": (0, 1_000_000),
    "keep_checkpoints": (1, 20),
    "score_tokens": (8, 262_144),
    "log_every": (1, 100_000),
    "tiny_vocabulary": (300, 65_536),
    "tiny_hidden": (8, 2048),
    "tiny_layers": (1, 32),
    "tiny_heads": (1, 64),
}
LIMITS: dict[str, Mapping[str, tuple[float, float]]] = {
    "starter": STARTER_LIMITS,
    "embedding": EMBEDDING_LIMITS,
    "transformer": TRANSFORMER_LIMITS,
}
TINY_BASES = ("tiny", "tiny-encoder")
MOST_REGULARISATIONS = 32
MOST_ASPECTS = 32
LONGEST_NAME = 300
LONGEST_ASPECT = 60
MOST_TARGETS = 64
LONGEST_TEMPLATE = 20_000


def _check_regularisation(
    kind: str, values: tuple[float, ...], limits: Mapping[str, tuple[float, float]]
) -> None:
    require(
        1 <= len(values) <= MOST_REGULARISATIONS,
        f"{kind}: regularisation must have 1..{MOST_REGULARISATIONS} values, got {len(values)}",
        "regularisation",
    )
    low, high = limits["default_c"]
    for c in values:
        require(
            low <= c <= high,
            f"{kind}: every regularisation must lie in {low:,}..{high:,}, got {c!r}",
            "regularisation",
        )


@dataclass(frozen=True, slots=True)
class StarterConfig:
    """The linear Bradley-Terry model.

    ``regularisation`` are the candidate values of C in ``C·Σ loss + ½‖w‖²``; the best by grouped
    cross-validation is used, ``default_c`` where there are too few pairs or groups for that. ``margin_scale``
    is the margin at strength 4 (strength 1 gives 0). ``hash_bits`` sets the columns of each of the three n-gram
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
        check_limits("starter", self, STARTER_LIMITS)
        _check_regularisation("starter", self.regularisation, STARTER_LIMITS)


@dataclass(frozen=True, slots=True)
class EmbeddingConfig:
    """A linear Bradley-Terry head on the states of a frozen backbone, which are kept between trainings.

    ``base`` is a local folder, a hub id, or ``tiny`` / ``tiny-encoder`` (random weights: for trying things out).
    ``pool`` says which state stands for a conversation: that of the ``last`` or ``first`` token, the ``mean`` over
    all, or what an encoder's own ``pooler`` makes; ``auto`` is ``last`` for decoders and ``mean`` for encoders.
    The rest is as for the starter, in columns scaled so that a response has about length 1.
    """

    base: str = "tiny"
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    revision: str | None = None
    pool: Literal["auto", "last", "mean", "first", "pooler"] = "auto"
    chat_template: str = ""
    seed: int = 0
    heads: int = 8
    folds: int = 5
    regularisation: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
    default_c: float = 0.1
    margin_scale: float = 1.0
    max_length: int = 512
    batch_tokens: int = 8192
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        check_limits("embedding", self, EMBEDDING_LIMITS)
        _check_regularisation("embedding", self.regularisation, EMBEDDING_LIMITS)
        require(
            self.pool in ("auto", "last", "mean", "first", "pooler"),
            f"embedding: pool must be auto, last, mean, first or pooler, got {self.pool!r}",
            "pool",
        )
        self.backbone()

    def backbone(self) -> TransformerConfig:
        """The settings that find and build the backbone."""
        try:
            return TransformerConfig(
                base=self.base,
                hub=self.hub,
                revision=self.revision,
                chat_template=self.chat_template,
                seed=self.seed,
                max_length=self.max_length,
                dtype=self.dtype,
                device=self.device,
            )
        except ConfigError as error:
            said = str(error).replace("transformer:", "embedding:", 1)
            raise ConfigError(said, error.setting) from error


FULL_RATE = 1e-4  # all weights of a pretrained base forget what they know at higher ones


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """A sequence classifier with one output.

    ``base`` is a local folder, a hub id, or ``tiny`` / ``tiny-encoder``: a small Qwen2 / BERT built from the
    pairs' own text. ``max_length`` and ``batch_tokens`` are tokens; a step is ``accumulate`` batches of at
    most ``batch_tokens`` tokens as computed: of packed trees, where a prompt counts once, or with padding, where rows
    are padded (a single longer pair still makes a batch). ``learning_rate`` suits a tiny base or adapters: for all
    weights of a pretrained one 1e-5 does, and beyond ``FULL_RATE`` a run warns. ``margin_scale`` is the
    margin at strength 4. ``patience`` counts evaluations without a better validation loss.
    ``checkpoint_every`` and ``evaluate_every`` count steps, 0 means once an epoch; ``max_steps`` 0 means no cap.
    The ranges stand in ``TRANSFORMER_LIMITS``.

    ``heads`` > 1 trains that many linear heads on one forward pass, each on its own bootstrap draw of the groups; the
    loss is their mean, the model's score the mean of theirs (``transformer.heads``).

    A run stops when the mean absolute score of a step is beyond ``score_limit``: at 1000 float32 still tells scores
    6e-5 apart, yet no model that learns from differences has a use for them. ``sequence_parallel`` processes share
    every sequence of a run that a launcher started several times (``transformer.distributed``).

    The loss is a sum of terms (formulas in ``transformer.losses``), each 0 or off unless asked for:

    * ``ranking``: ``bradley_terry``, where a tie is half a win for each side, or ``rao_kupper``, where it is an
      outcome of its own with a learned threshold. ``focal`` is γ of the focal weight (2 as a rule, 0 off);
      ``label_smoothing`` mixes this share of an even outcome into every label.
    * ``centering`` times ``(r_c + r_r)²``, and ``barrier`` times the log-barrier that keeps scores within
      ±``barrier_limit``, mean over both scores (XTuner uses 0.01 and 5).
    * ``aspect_weight`` times the squared error of the ratings of ``aspects``, one linear head each, in the
      ratings' own units.

    The backbone (docs/backbones.md): ``chat_template`` is a Jinja text in place of the tokenizer's own.
    ``lora_rank`` > 0 trains low-rank adapters of the linear layers named in ``lora_targets`` (all of the backbone's
    where it is empty) and the whole head; ``quantize`` reads a CUDA base in 4 bits under them. ``dtype`` is that of
    the backbone's weights; head, adapters and scores are float32 always. ``gradient_checkpointing`` computes a
    layer's activations twice rather than keep them; ``torch_compile`` compiles the layers, on CUDA alone.
    """

    base: str = "tiny"
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    revision: str | None = None
    seed: int = 0
    heads: int = 1
    epochs: float = 2.0
    max_steps: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_share: float = 0.06
    clip_norm: float = 1.0
    batch_tokens: int = 4096
    accumulate: int = 1
    max_length: int = 512
    ranking: Literal["bradley_terry", "rao_kupper"] = "bradley_terry"
    margin_scale: float = 1.0
    focal: float = 0.0
    label_smoothing: float = 0.0
    centering: float = 0.01
    barrier: float = 0.0
    barrier_limit: float = 5.0
    aspects: tuple[str, ...] = ()
    aspect_weight: float = 0.1
    dropout: float = 0.1
    score_limit: float = 1000.0
    sequence_parallel: int = 1
    patience: int = 3
    evaluate_every: int = 100
    checkpoint_every: int = 100
    keep_checkpoints: int = 2
    score_tokens: int = 8192
    log_every: int = 5
    chat_template: str = ""
    lora_rank: int = 0
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ()
    quantize: Literal["none", "nf4"] = "none"
    gradient_checkpointing: bool = False
    torch_compile: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"
    tiny_vocabulary: int = 4096
    tiny_hidden: int = 128
    tiny_layers: int = 2
    tiny_heads: int = 4

    def __post_init__(self) -> None:
        check_limits("transformer", self, TRANSFORMER_LIMITS)
        require(
            bool(self.base.strip()) and len(self.base) <= LONGEST_NAME,
            f"transformer: base must name a folder, a hub id, tiny or tiny-encoder in 1..{LONGEST_NAME} characters",
            "base",
        )
        require(
            len(self.revision or "") <= LONGEST_NAME,
            f"transformer: revision must have at most {LONGEST_NAME} characters",
            "revision",
        )
        require(
            self.hub in ("huggingface", "modelscope"),
            f"transformer: hub must be huggingface or modelscope, got {self.hub!r}",
            "hub",
        )
        require(
            self.dtype in ("float32", "bfloat16"),
            f"transformer: dtype must be float32 or bfloat16, got {self.dtype!r}",
            "dtype",
        )
        require(
            self.ranking in ("bradley_terry", "rao_kupper"),
            f"transformer: ranking must be bradley_terry or rao_kupper, got {self.ranking!r}",
            "ranking",
        )
        require(
            self.focal == 0 or self.focal >= 1,  # below 1 its slope has no bound where a pair is certain
            f"transformer: focal must be 0 (off) or at least 1, got {self.focal!r}",
            "focal",
        )
        require(
            len(set(self.aspects)) == len(self.aspects) <= MOST_ASPECTS
            and all(name.strip() and len(name) <= LONGEST_ASPECT for name in self.aspects),
            f"transformer: aspects must be at most {MOST_ASPECTS} different names of 1..{LONGEST_ASPECT} "
            f"characters, got {list(self.aspects)!r}",
            "aspects",
        )
        self._check_backbone()
        require(
            self.tiny_hidden % (2 * self.tiny_heads) == 0,
            f"transformer: tiny_hidden must divide by twice tiny_heads ({2 * self.tiny_heads}), "
            f"got {self.tiny_hidden}",
            "tiny_hidden",
        )

    def _check_backbone(self) -> None:
        require(
            len(self.chat_template) <= LONGEST_TEMPLATE,
            f"transformer: chat_template must have at most {LONGEST_TEMPLATE:,} characters, "
            f"got {len(self.chat_template):,}",
            "chat_template",
        )
        require(
            not self.lora_rank or self.base not in TINY_BASES,
            f"transformer: lora_rank adapts a base that has weights; {self.base} has none of its own",
            "lora_rank",
        )
        require(
            bool(self.lora_rank) or not self.lora_targets,
            "transformer: lora_targets without lora_rank would train no adapter",
            "lora_targets",
        )
        require(
            len(self.lora_targets) <= MOST_TARGETS
            and all(name.strip() and len(name) <= LONGEST_NAME for name in self.lora_targets),
            f"transformer: lora_targets must be at most {MOST_TARGETS} names of layers, "
            f"got {list(self.lora_targets)!r}",
            "lora_targets",
        )
        require(
            self.quantize in ("none", "nf4"),
            f"transformer: quantize must be none or nf4, got {self.quantize!r}",
            "quantize",
        )
        require(
            self.quantize == "none" or bool(self.lora_rank),
            "transformer: quantize freezes the base, so it needs lora_rank",
            "quantize",
        )


Config = StarterConfig | EmbeddingConfig | TransformerConfig
_CLASSES: dict[str, type[Config]] = {
    "starter": StarterConfig,
    "embedding": EmbeddingConfig,
    "transformer": TransformerConfig,
}


def config_from_dict(kind: str, values: Mapping[str, Any]) -> Config:
    """Make the settings of ``kind`` from plain JSON values; raises ``ConfigError`` naming the wrong key."""
    if kind not in KINDS:
        raise ConfigError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    cls = _CLASSES[kind]
    hints = typing.get_type_hints(cls)
    if unknown := sorted(set(values) - set(hints)):
        raise ConfigError(f"unknown setting for {kind}: {', '.join(unknown)}")
    resolved = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    for key, value in resolved.items():
        if not matches(value, hints[key]):
            raise ConfigError(f"{key} has the wrong type: {value!r}", key)
    return cls(**typing.cast(dict[str, Any], resolved))


def config_to_dict(config: Config) -> dict[str, Any]:
    """Plain JSON values; ``config_from_dict`` gives the same settings back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}
