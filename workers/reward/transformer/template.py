"""A conversation to token ids, the same way in training, scoring and serving.

The chat template is rendered once, as text, and tokenized whole without adding special tokens (the template already
wrote them: adding them again is the doubled-BOS trap). Where the answer begins is where the text would part from
that of another answer; a token over that place belongs to the answer. What is too long loses the start of its prompt
first, all but a first special token (BOS, CLS), which encoders are pooled at; only an answer that is longer than the
rest of the limit is cut, at its end, and keeps its end token.
A special token that is spelled out in a message or an answer stays text, which a server that is given messages
instead of our tokens would read as the token: there a policy could end its turn and write its user's praise.
"""

from __future__ import annotations

import hashlib
import json
import re
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

# Raised whenever a conversation becomes other text or tokens than before: it is part of the template's hash.
RULES = 2


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


def _agreeing(a: Sequence[Any], b: Sequence[Any]) -> int:
    """How long two strings or lists are the same from their start."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _parted(found: re.Match[str]) -> str:
    text = re.sub(r"(\S)(?=\S)", r"\1 ", found[0], count=1)
    return " " if text == found[0] else text


class ConversationEncoder:
    """Renders and tokenizes ``messages`` plus one response, at most ``max_length`` tokens."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        added = {
            str(token): number for number, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        # All that marks a place in the text; an unknown word marks none.
        self.special = frozenset({*tokenizer.all_special_ids, *added.values()} - {tokenizer.unk_token_id})
        # White space alone marks nothing: every text has it.
        written = {text for text in (*tokenizer.all_special_tokens, *added) if text.strip()}
        self.marks = re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True))) or r"(?!)")

    @property
    def template_hash(self) -> str:
        """Hash of template, special tokens, limit and this module's rules."""
        special = {k: str(v) for k, v in sorted(self.tokenizer.special_tokens_map.items())}
        text = json.dumps([self.tokenizer.chat_template, special, self.max_length, RULES], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def plain(self, text: str) -> str:
        """``clean`` text that spells no special token: a space parts its first character from the others, or stands
        for a token of one character. So what people and models write never ends a turn or begins one; only the
        template does."""
        text = clean(text)
        while self.marks.search(text):  # what was parted may spell a shorter token
            text = self.marks.sub(_parted, text)
        return text

    def render(self, messages: Sequence[Message], response: str) -> tuple[str, str]:
        """Text of the prompt and of what follows it; together they are the rendered conversation. The prompt's is
        empty where the template does not write all of it before the answer."""
        turns = [{"role": m[0], "content": self.plain(m[1])} for m in messages]
        answer = self.plain(response)
        full = self._rendered(turns, answer)
        other = self._rendered(turns, "b" if answer.lstrip()[:1] == "a" else "a")
        head = full[: _agreeing(full, other)]
        if turns and turns[-1]["content"].strip() not in head:
            head = ""
        return head, full[len(head) :]

    def _rendered(self, turns: list[dict[str, str]], answer: str) -> str:
        whole = [*turns, {"role": "assistant", "content": answer}]
        try:
            return str(self.tokenizer.apply_chat_template(whole, tokenize=False))
        except Exception as error:  # templates raise whatever their author wrote
            raise DataError(f"the chat template refused a conversation: {error}") from error

    def read(self, messages: Sequence[Message], response: str) -> Reading:
        """All of a conversation as text and tokens; raises ``DataError`` where there is no token."""
        head, tail = self.render(messages, response)
        text = head + tail
        if self.tokenizer.is_fast:
            found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            ids, spans = list(found["input_ids"]), list(found["offset_mapping"])
            prompt = next((i for i, (_, end) in enumerate(spans) if end > len(head)), len(ids))
        else:
            ids, alone = (
                list(self.tokenizer(x, add_special_tokens=False)["input_ids"]) for x in (text, head)
            )
            prompt, spans = _agreeing(ids, alone), []
        if not ids:
            raise DataError("the chat template rendered no token")
        return Reading(text, len(head), ids, prompt, spans)

    def encode(self, messages: Sequence[Message], response: str) -> Encoded:
        """Token ids; raises ``DataError`` when nothing is left to read."""
        found = self.read(messages, response)
        prompt, answer = found.ids[: found.prompt], found.ids[found.prompt :]
        kept, answer = truncate(prompt, answer, self.max_length, self.special)
        return Encoded(tuple(kept + answer), len(found.ids), len(kept))


@dataclass(frozen=True, slots=True)
class Reading:
    """A conversation as ``text``, of which the first ``fork`` characters are the prompt's, and as ``ids``, of which
    the first ``prompt`` are. ``spans`` are the tokens' places in the text, empty where the tokenizer tells none."""

    text: str
    fork: int
    ids: list[int]
    prompt: int
    spans: list[tuple[int, int]]


def truncate(
    prompt: list[int], answer: list[int], limit: int, special: frozenset[int]
) -> tuple[list[int], list[int]]:
    """What stays of prompt and answer, at most ``limit`` tokens: the prompt's end and the whole answer, or the
    answer's start and its end mark.

    A first special token of the prompt (BOS, CLS) always stays in front. The end mark runs from the answer's last
    special token to its end (``<|im_end|>`` and a newline, say).
    """
    ids = prompt + answer
    kept, rest = places(ids, len(prompt), limit, special)
    return [ids[i] for i in kept], [ids[i] for i in rest]


def places(ids: list[int], fork: int, limit: int, special: frozenset[int]) -> tuple[list[int], list[int]]:
    """Where in ``ids`` the tokens stand that ``truncate`` keeps, of the prompt (before ``fork``) and the answer."""
    end = len(ids)
    if end <= limit:
        return [*range(fork)], [*range(fork, end)]
    # An answer without a prompt keeps its first special token by keeping its start.
    start = [0] if fork and ids[0] in special else []
    limit -= len(start)
    room = limit - (end - fork)
    if room >= 0:
        return [*start, *range(fork - room, fork)], [*range(fork, end)]
    marks = [i for i in range(fork, end) if ids[i] in special]
    mark = [*range(marks[-1], end)] if marks and end - marks[-1] <= 4 else []
    return start, [*range(fork, fork + limit - len(mark)), *mark]


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
        raise CorruptModelError(
            "the tokenizer, or this version of the library, renders other text than the model was trained on; train "
            "it again"
        )
    return encoder
