"""What a scorer that is no trained reward model needs to be opened, checked when it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from ..checks import check_limits, matches, require
from ..config import Config, config_from_dict, config_to_dict
from ..errors import ConfigError

ScorerKind = Literal["dpo", "perplexity", "pair", "generative", "random", "longest"]
SCORER_KINDS: tuple[str, ...] = get_args(ScorerKind)
WITH_MODEL = ("dpo", "perplexity", "pair")
PAIR_TEMPLATE = "<|source|>{prompt}<|candidate1|>{first}<|candidate2|>{second}"
STEAM_TEMPLATE = (
    "POST: {prompt}\n\n RESPONSE A: {first}\n\n RESPONSE B: {second}\n\n Which response is better? RESPONSE"
)
FIELDS = ("{prompt}", "{first}", "{second}")
LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "beta": (1e-9, 1e6),
    "max_length": (8, 131_072),
    "batch_tokens": (8, 262_144),
    "positive": (0, 1),
    "opponents": (1, 1024),
    "temperature": (1e-6, 1e6),
    "version": (0, 2**31 - 1),
}


@dataclass(frozen=True, slots=True)
class ScorerSpec:
    """One scorer. ``model`` and ``reference`` are local folders or hub ids; safetensors only, no remote code.

    * ``dpo``: ``β·(f(ln π) - f(ln π_ref))`` over the completion's tokens, f by ``reduction``: ``sum``, ``avg`` (mean
      over tokens) or ``norm`` (minus the Euclidean norm). Without ``reference`` it is ``β·f(ln π)``. RewardBench
      sums wherever there is a reference.
    * ``perplexity``: the mean of ``ln π`` over the completion's tokens, so that a lower perplexity scores higher.
    * ``pair``: a model that reads two responses, in both orders (PairRM). ``architecture`` is ``classifier`` (one
      logit, or two of which ``positive`` says that the first response is better), ``seq2seq`` (SteamSHP: which of
      ``answers`` it would write first) or ``pairrm`` (PairRM's own head and template). ``template`` has the fields
      ``{prompt}``, ``{first}`` and ``{second}`` in this order; left empty it is SteamSHP's for ``seq2seq``, else
      PairRM's form. A response by itself scores the mean difference against at most ``opponents`` others.
    * ``generative``: verdicts of judges, given to ``open_scorer`` or read from the file ``verdicts``. ``judge`` and
      ``version`` name whose they are, for the caller that gives them.
    * ``random``: by a hash of ``seed``, prompt and response. ``longest``: characters.
    """

    kind: ScorerKind
    model: str = ""
    reference: str = ""
    revision: str | None = None
    beta: float = 0.1
    reduction: Literal["sum", "avg", "norm"] = "sum"
    architecture: Literal["classifier", "seq2seq", "pairrm"] = "classifier"
    template: str = ""
    positive: int = 1
    answers: tuple[str, ...] = ("A", "B")
    opponents: int = 16
    verdicts: str = ""
    judge: str = ""
    version: int = 0
    max_length: int = 2048
    batch_tokens: int = 8192
    seed: int = 0
    temperature: float = 1.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        hints = get_type_hints(ScorerSpec)
        for name, hint in hints.items():
            value = getattr(self, name)
            require(matches(value, hint), f"scorer: {name} has the wrong value: {value!r}", name)
        check_limits(self.kind, self, LIMITS)
        require(
            bool(self.model.strip()) or self.kind not in WITH_MODEL,
            f"{self.kind}: model must name a folder or a hub id",
            "model",
        )
        if not self.template:
            own = STEAM_TEMPLATE if self.architecture == "seq2seq" else PAIR_TEMPLATE
            object.__setattr__(self, "template", own)
        places = [self.template.find(part) for part in FIELDS]
        require(
            self.kind != "pair" or (-1 < places[0] < places[1] < places[2]),
            f"pair: template must have {', '.join(FIELDS)} in this order",
            "template",
        )
        require(
            len(self.answers) == 2 and all(self.answers),
            "pair: answers must be two texts, the first response first",
            "answers",
        )


def spec_from_dict(values: Mapping[str, Any]) -> ScorerSpec:
    """A spec from plain JSON values; raises ``ConfigError`` naming the key."""
    known = {field.name for field in dataclasses.fields(ScorerSpec)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"unknown setting for a scorer: {', '.join(unknown)}")
    if values.get("kind") not in SCORER_KINDS:
        raise ConfigError(f"kind {values.get('kind')!r} is none of {', '.join(SCORER_KINDS)}")
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    return ScorerSpec(**given)


def spec_to_dict(spec: ScorerSpec) -> dict[str, Any]:
    """Plain JSON values; ``spec_from_dict`` gives the same spec back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(spec).items()}


Settings = Config | ScorerSpec


def settings_from_dict(kind: str, values: Mapping[str, Any]) -> Settings:
    """Settings of a model to train or of a scorer, by kind; raises ``ConfigError`` naming the key."""
    return (
        spec_from_dict({**values, "kind": kind}) if kind in SCORER_KINDS else config_from_dict(kind, values)
    )


def settings_to_dict(settings: Settings) -> dict[str, Any]:
    """Plain JSON values without the kind; ``settings_from_dict`` gives the same settings back."""
    if not isinstance(settings, ScorerSpec):
        return config_to_dict(settings)
    return {key: value for key, value in spec_to_dict(settings).items() if key != "kind"}
