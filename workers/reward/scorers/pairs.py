"""Models that read two responses at once, always in both orders: what they prefer by position cancels.

``difference = s(chosen, rejected) - s(rejected, chosen)``, with ``s`` how much better the model finds the first
(PairRM, arXiv 2306.02561). For a classifier ``s`` is its logit, or of two labels the difference of theirs, a decoder's
at the row's last real token (``transformer.pooling``); for a sequence-to-sequence model (SteamSHP, arXiv 2110.08420)
the difference of the logits of the two answers at its first token.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ConfigError, NotFiniteError, Stopped
from ..transformer.batches import pad
from ..transformer.plan import by_budget
from ..transformer.pooling import has_decoder_head, pooled_states
from ..transformer.template import clean
from ..types import Callbacks, Item, Message, Pair, Scores
from .limits import length_limit
from .loading import load_model, load_tokenizer
from .pairrm import TEMPLATE as PAIRRM_TEMPLATE
from .pairrm import load_pairrm
from .spec import FIELDS, ScorerSpec

# Share of the token limit that the prompt may take: PairRM's 1224 of 2048.
PROMPT_SHARE = 0.6
Read = Callable[[Tensor, Tensor], Tensor]


def conversation_text(messages: Sequence[Message]) -> str:
    """The prompt as one text: a single turn's content as it is, several as ``role: content`` lines."""
    if len(messages) == 1:
        return messages[0][1]
    return "\n".join(f"{role}: {content}" for role, content in messages)


@dataclass(slots=True)
class PairTemplate:
    """Turns prompt and two responses into tokens, at most ``max_length``. The template's own words always stay; the
    prompt loses its start, and each response its end beyond its half of what the prompt leaves."""

    tokenizer: Any
    template: str
    max_length: int
    is_whole: bool = False  # the template writes every special token itself

    @property
    def template_hash(self) -> str:
        """Hash of template, special tokens and limit."""
        special = {k: str(v) for k, v in sorted(self.tokenizer.special_tokens_map.items())}
        text = json.dumps([self.template, special, self.max_length], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def encode(self, messages: Sequence[Message], first: str, second: str) -> tuple[tuple[int, ...], bool]:
        """Token ids, and whether anything was cut."""
        parts, cut = self.parts(messages, first, second)
        return tuple(token for part in parts for token in part), any(cut)

    def words(self) -> tuple[str, str, str, str]:
        """The template's own words: before the prompt, between it and the first response, between both, after."""
        before, rest = self.template.split(FIELDS[0], 1)
        between, rest = rest.split(FIELDS[1], 1)
        middle, after = rest.split(FIELDS[2], 1)
        return before, between, middle, after

    def parts(
        self, messages: Sequence[Message], first: str, second: str
    ) -> tuple[list[list[int]], tuple[int, int, int]]:
        """Nine runs of tokens (the tokenizer's start; words and prompt; words and each response; words; its end), and
        how many tokens the prompt and each response lost."""
        words = [self._tokens(text) for text in self.words()]
        texts = (conversation_text(messages), first, second)
        prompt, a, b = (self._tokens(clean(text), plain=True) for text in texts)
        opening, closing = ([], []) if self.is_whole else self._around()
        room = self.max_length - len(opening) - len(closing) - sum(map(len, words))
        if room < 3:
            raise ConfigError(
                f"pair: max_length {self.max_length} leaves no room beside the template's own words"
            )
        kept = self._fit(prompt, a, b, room)
        lost = (len(prompt) - len(kept[0]), len(a) - len(kept[1]), len(b) - len(kept[2]))
        return [opening, words[0], kept[0], words[1], kept[1], words[2], kept[2], words[3], closing], lost

    def _around(self) -> tuple[list[int], list[int]]:
        """The special tokens that the tokenizer puts before and after any text."""
        plain, whole = self._tokens("a"), list(self.tokenizer("a")["input_ids"])
        for start in range(len(whole) - len(plain) + 1):
            if whole[start : start + len(plain)] == plain:
                return whole[:start], whole[start + len(plain) :]
        return [], []

    @staticmethod
    def _fit(
        prompt: list[int], a: list[int], b: list[int], room: int
    ) -> tuple[list[int], list[int], list[int]]:
        if len(prompt) + len(a) + len(b) <= room:
            return prompt, a, b
        most = max(int(room * PROMPT_SHARE), room - len(a) - len(b))
        prompt = prompt[max(0, len(prompt) - most) :]
        left = room - len(prompt)
        for_a = max(left // 2, left - len(b))
        a = a[:for_a]
        return prompt, a, b[: left - len(a)]

    def _tokens(self, text: str, *, plain: bool = False) -> list[int]:
        """Tokens of a text; in a ``plain`` one (what people and models wrote) nothing spells a special token."""
        if not text:
            return []
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=plain)["input_ids"])


@dataclass(slots=True)
class PairModelScorer:
    """A pair model. ``read`` gives ``s`` (B,) of token rows and their mask (B, T)."""

    template: PairTemplate
    read: Read
    pad_id: int
    device: torch.device
    opponents: int
    budget: int
    temperature: float
    kind: str = "pair"
    compares_siblings: ClassVar[bool] = True  # files of responses are so given to it whole prompts at a time

    @property
    def template_hash(self) -> str:
        """Hash of how a pair becomes text."""
        return self.template.template_hash

    def difference(self, pairs: Sequence[Pair], *, callbacks: Callbacks | None = None) -> NDArray[np.float64]:
        """``s(chosen, rejected) - s(rejected, chosen)`` (N,). Raises ``Stopped`` between batches."""
        return self._differences([(p.messages, p.chosen, p.rejected) for p in pairs], callbacks)

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        """Mean difference of each response against others to the same prompt among ``items``, 0 for one by itself.

        At most ``opponents`` others are asked about, in a ring by the hash of their texts, so that the order of
        ``items`` changes nothing; another set of siblings does.
        """
        siblings: dict[tuple[Message, ...], dict[str, None]] = defaultdict(dict)
        for item in items:
            siblings[item.messages][item.response] = None
        meetings = [
            (messages, first, second)
            for messages, texts in siblings.items()
            for first, second in ring(sorted(texts, key=_hash), self.opponents)
        ]
        found = self._differences(meetings, callbacks)
        total: dict[tuple[Any, str], list[float]] = defaultdict(list)
        for (messages, first, second), gap in zip(meetings, found.tolist(), strict=True):
            total[messages, first].append(gap)
            total[messages, second].append(-gap)
        means = [total[item.messages, item.response] for item in items]
        value = np.array([sum(gaps) / len(gaps) if gaps else 0.0 for gaps in means], dtype=np.float32)
        alone = [self.template.encode(item.messages, item.response, "") for item in items]
        return Scores(
            value,
            value[:, None].copy(),
            np.array([len(ids) for ids, _ in alone], dtype=np.int64),
            np.array([is_cut for _, is_cut in alone], dtype=np.bool_),
        )

    def _differences(
        self, pairs: Sequence[tuple[Sequence[Message], str, str]], callbacks: Callbacks | None
    ) -> NDArray[np.float64]:
        told = callbacks or Callbacks()
        both = [(m, a, b) for m, x, y in pairs for a, b in ((x, y), (y, x))]
        rows = [self.template.encode(messages, a, b)[0] for messages, a, b in both]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        found = np.zeros(len(rows))
        done = 0
        for batch in by_budget(order, [len(row) for row in rows], self.budget):
            if told.should_stop():
                raise Stopped(f"stopped after {done} of {len(rows)} readings")
            ids, mask = pad([rows[i] for i in batch], self.pad_id)
            with torch.inference_mode():
                found[batch] = self.read(ids.to(self.device), mask.to(self.device)).float().cpu().numpy()
            done += len(batch)
            told.progress(done, len(rows), "score")
        if not np.isfinite(found).all():
            raise NotFiniteError("the model gives scores that are not finite")
        return np.asarray(found[0::2] - found[1::2])


def ring(texts: Sequence[str], most: int) -> list[tuple[str, str]]:
    """Meetings of distinct texts in which each has at most ``most`` opponents (at least one): everybody with
    everybody where that is enough, else each with its next ``most // 2`` around a circle."""
    count = len(texts)
    if count - 1 <= most:
        return [(texts[i], texts[j]) for i in range(count) for j in range(i + 1, count)]
    reach = max(1, most // 2)
    return [(texts[i], texts[(i + step) % count]) for i in range(count) for step in range(1, reach + 1)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def open_template(spec: ScorerSpec) -> PairTemplate:
    """How a pair becomes tokens, without the model's weights. Raises the errors of ``loading``."""
    tokenizer, limit = load_tokenizer(spec.model, spec), length_limit(spec)
    if spec.architecture == "pairrm":
        return PairTemplate(tokenizer, PAIRRM_TEMPLATE, limit, is_whole=True)
    return PairTemplate(tokenizer, spec.template, limit)


def open_pair_model(spec: ScorerSpec) -> PairModelScorer:
    """Open a pair model. Raises the errors of ``loading`` and ``ConfigError`` where the model has other outputs."""
    from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

    template = open_template(spec)
    tokenizer = template.tokenizer
    if spec.architecture == "pairrm":
        model: Any = load_pairrm(spec.model, spec)
        read: Read = model
    elif spec.architecture == "seq2seq":
        model = load_model(AutoModelForSeq2SeqLM, spec.model, spec)
        read = _first_token(model, tokenizer, spec.answers)
    else:
        model = load_model(AutoModelForSequenceClassification, spec.model, spec)
        read = _classifier(model, spec.positive)
    return PairModelScorer(
        template=template,
        read=read,
        pad_id=tokenizer.pad_token_id or 0,
        device=next(model.parameters()).device,
        opponents=spec.opponents,
        budget=spec.batch_tokens,
        temperature=spec.temperature,
    )


def _classifier(model: Any, positive: int) -> Read:
    labels = model.config.num_labels
    if labels not in (1, 2):
        raise ConfigError(f"pair: the classifier has {labels} labels; one or two are read")

    def read(ids: Tensor, mask: Tensor) -> Tensor:
        if has_decoder_head(model):
            logits: Tensor = model.score(pooled_states(model, ids, mask))
        else:
            logits = model(input_ids=ids, attention_mask=mask).logits
        return logits[:, 0] if labels == 1 else logits[:, positive] - logits[:, 1 - positive]

    return read


def _first_token(model: Any, tokenizer: Any, answers: Sequence[str]) -> Read:
    firsts = [tokenizer(text, add_special_tokens=False)["input_ids"][:1] for text in answers]
    if [] in firsts or firsts[0] == firsts[1]:
        raise ConfigError(f"pair: the tokenizer does not tell the answers {' and '.join(answers)} apart")
    first, second = (ids[0] for ids in firsts)
    start = model.config.decoder_start_token_id

    def read(ids: Tensor, mask: Tensor) -> Tensor:
        begun = torch.full((len(ids), 1), start, device=ids.device)
        logits: Tensor = model(input_ids=ids, attention_mask=mask, decoder_input_ids=begun).logits[:, -1]
        return logits[:, first] - logits[:, second]

    return read
