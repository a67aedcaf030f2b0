"""Scores from language models: the reward that DPO learned without saying so, and perplexity.

DPO (Rafailov et al., arXiv 2305.18290): ``r = β·Σ (ln π(y_t | x, y_<t) - ln π_ref(y_t | x, y_<t))``, up to a term of
the prompt alone, which no comparison sees. ``avg`` and ``norm`` are RewardBench's (``DPOInference.get_batch_logps``).
The completion is the response with the end mark that the chat template writes behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..transformer.template import ConversationEncoder, Encoded
from ..types import Callbacks, Item, Scores
from .language import LanguageModel
from .limits import length_limit
from .loading import load_model, load_tokenizer
from .spec import ScorerSpec

Reduction = Literal["sum", "avg", "norm"]


def reduce(figures: NDArray[np.float64], how: Reduction) -> NDArray[np.float64]:
    """One figure (N,) from number, sum and sum of squares (N, 3) of log-probabilities: their sum, their mean, or
    minus their Euclidean norm. 0 where there is none."""
    count, total, squares = figures.T
    if how == "sum":
        return np.asarray(total)
    return np.asarray(total / np.maximum(count, 1.0) if how == "avg" else -np.sqrt(squares))


@dataclass(slots=True)
class LikelihoodScorer:
    """``beta`` times the policy's figure less the reference's, where there is one. See ``ScorerSpec``."""

    kind: str
    policy: LanguageModel
    reference: LanguageModel | None
    encoder: ConversationEncoder
    reduction: Reduction
    beta: float
    temperature: float
    budget: int

    @property
    def template_hash(self) -> str:
        """Hash of template, special tokens and length limit."""
        return self.encoder.template_hash

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        """Scores in the order given. Raises ``Stopped`` between batches and ``DataError`` for a template that does
        not tell where the answer begins."""
        rows = [self._encode(item) for item in items]
        found = reduce(self.policy.log_likelihoods(rows, self.budget, callbacks=callbacks), self.reduction)
        if self.reference is not None:
            figures = self.reference.log_likelihoods(rows, self.budget, callbacks=callbacks)
            found = found - reduce(figures, self.reduction)
        value = (self.beta * found).astype(np.float32)
        return Scores(
            value,
            value[:, None].copy(),
            np.array([len(row.ids) for row in rows], dtype=np.int64),
            np.array([row.truncated for row in rows], dtype=np.bool_),
        )

    def _encode(self, item: Item) -> Encoded:
        row = self.encoder.encode(item.messages, item.response)
        if not row.prompt and item.messages and not self.encoder.render(item.messages, item.response)[0]:
            raise DataError(
                f"item {item.item_id}: the chat template does not write all of the prompt before the answer, "
                "so where the answer begins is not known; give the tokenizer another chat template"
            )
        return row


def open_encoder(spec: ScorerSpec) -> ConversationEncoder:
    """What policy and reference read, without their weights. Raises the errors of ``loading``, and ``ConfigError``
    where the two read other tokens."""
    tokenizer = load_tokenizer(spec.model, spec)
    if spec.reference:
        other = load_tokenizer(spec.reference, spec)
        if other.get_vocab() != tokenizer.get_vocab():
            raise ConfigError("dpo: policy and reference must share their tokens; their vocabularies differ")
    return ConversationEncoder(tokenizer, length_limit(spec))


def open_likelihood(spec: ScorerSpec) -> LikelihoodScorer:
    """Open policy and reference. Raises the errors of ``open_encoder``."""
    from transformers import AutoModelForCausalLM

    encoder = open_encoder(spec)
    models = [
        LanguageModel(load_model(AutoModelForCausalLM, name, spec), encoder.max_length)
        for name in (spec.model, spec.reference)
        if name
    ]
    is_dpo = spec.kind == "dpo"
    return LikelihoodScorer(
        kind=spec.kind,
        policy=models[0],
        reference=models[1] if is_dpo and len(models) > 1 else None,
        encoder=encoder,
        reduction=spec.reduction if is_dpo else "avg",
        beta=spec.beta if is_dpo else 1.0,
        temperature=spec.temperature,
        budget=spec.batch_tokens,
    )
