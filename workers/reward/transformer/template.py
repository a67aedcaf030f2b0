"""A conversation to token ids, the same way in training, scoring and serving.

The chat template is rendered once, as text, and tokenized without adding special tokens (the template already
wrote them: adding them again is the doubled-BOS trap). What is too long loses the start of its prompt first;
only an answer that alone is longer than the limit is cut, at its end, and keeps its end token.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CorruptModelError, DataError
from ..folder import is_trusted
from ..types import Message

# For tokenizers that bring no template. Written into the saved tokenizer, so others render the same text.
DECODER_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for m in messages %}{{ m['role'] }}:\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)
ENCODER_TEMPLATE = "{{ cls_token }}{% for m in messages %}{{ m['content'] }}{{ sep_token }}{% endfor %}"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one conversation, of which the first ``prompt`` are the prompt's; ``full_length`` is what it
    would have been without a limit."""

    ids: tuple[int, ...]
    full_length: int
    prompt: int = 0

    @property
    def truncated(self) -> bool:
        """Whether anything was cut."""
        return self.full_length > len(self.ids)


def clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


class ConversationEncoder:
    """Renders and tokenizes ``messages`` plus one response, at most ``max_length`` tokens."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.special = frozenset(tokenizer.all_special_ids)

    @property
    def template_hash(self) -> str:
        """Hash of template, special tokens and limit."""
        special = {k: str(v) for k, v in sorted(self.tokenizer.special_tokens_map.items())}
        text = json.dumps([self.tokenizer.chat_template, special, self.max_length], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def render(self, messages: Sequence[Message], response: str) -> tuple[str, str]:
        """Text of the prompt and of what follows it; together they are the rendered conversation."""
        turns = [{"role": m[0], "content": clean(m[1])} for m in messages]
        whole = [*turns, {"role": "assistant", "content": clean(response)}]
        try:
            full = self.tokenizer.apply_chat_template(whole, tokenize=False)
            # Some templates refuse an empty conversation; then there is no prompt to set apart.
            head = self._prompt_text(turns) if turns else ""
        except Exception as error:  # templates raise whatever their author wrote
            raise DataError(f"the chat template refused a conversation: {error}") from error
        return (head, full[len(head) :]) if full.startswith(head) else ("", full)

    def _prompt_text(self, turns: list[dict[str, str]]) -> str:
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def _tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def encode(self, messages: Sequence[Message], response: str) -> Encoded:
        """Token ids; raises ``DataError`` when nothing is left to read."""
        head, tail = self.render(messages, response)
        prompt, answer = self._tokens(head), self._tokens(tail)
        full_length = len(prompt) + len(answer)
        if not full_length:
            raise DataError("the chat template rendered no token")
        kept, answer = truncate(prompt, answer, self.max_length, self.special)
        return Encoded(tuple(kept + answer), full_length, len(kept))


def truncate(
    prompt: list[int], answer: list[int], limit: int, special: frozenset[int]
) -> tuple[list[int], list[int]]:
    """What stays of prompt and answer, at most ``limit`` tokens: the prompt's end and the whole answer, or the
    answer's start and its end mark.

    A first special token of the prompt (BOS, CLS) stays in front when any of the prompt stays. The end mark
    runs from the answer's last special token to its end (``<|im_end|>`` and a newline, say).
    """
    if len(prompt) + len(answer) <= limit:
        return prompt, answer
    room = limit - len(answer)
    if room > 0:
        start = prompt[:1] if prompt and prompt[0] in special else []
        kept = prompt[len(prompt) - room + len(start) :] if room > len(start) else []
        return start[:room] + kept, answer
    marks = [i for i in range(len(answer)) if answer[i] in special]
    end = answer[marks[-1] :] if marks and len(answer) - marks[-1] <= 4 else []
    return [], answer[: limit - len(end)] + end


def load_encoder(folder: Path, card: Mapping[str, Any]) -> ConversationEncoder:
    """The encoder of a verified model folder. Raises ``CorruptModelError`` where its tokenizer cannot be read or
    renders other text than the model was trained on."""
    from transformers import AutoTokenizer

    try:
        trust = is_trusted(str(card.get("base", "")))
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust)
        encoder = ConversationEncoder(tokenizer, int(card["max_length"]))
        named = str(card["template_hash"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CorruptModelError(f"the tokenizer cannot be read: {error}") from error
    if encoder.template_hash != named:
        raise CorruptModelError("the tokenizer renders other text than the model was trained on")
    return encoder
