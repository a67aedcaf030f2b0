"""What a model reads of a conversation: its exact text and tokens, what is cut, and what to look out for.

No weights are read: settings or a model's folder are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import TINY_BASES, EmbeddingConfig, TransformerConfig
from ..errors import ConfigError, DataError
from ..folder import MODEL_CARD, is_trusted, read_json
from ..types import Message, Pair, Preview, PreviewToken
from .template import ConversationEncoder, Reading, load_encoder, places

QUESTION, ANSWER = "Which of the two is older?", "The second one is."
# A template may want a system message, or refuse one.
SAMPLES = (
    (Message("user", QUESTION),),
    (Message("system", "You are helpful."), Message("user", QUESTION)),
)


def encoder_for(source: object, pairs: Sequence[Pair]) -> ConversationEncoder:
    """What turns text into tokens in a model's folder, in any base (a folder or a hub id), or in a model that these
    settings would train on ``pairs``. Raises ``ConfigError`` for what reads no tokens."""
    if isinstance(source, EmbeddingConfig):
        source = source.backbone()
    if isinstance(source, TransformerConfig):
        return _encoder_by(source, pairs)
    if not isinstance(source, Path | str):
        raise ConfigError(f"{type(source).__name__}: this kind of model reads text and no tokens")
    folder = Path(source)
    if not (folder / MODEL_CARD).is_file():
        return _encoder_by(TransformerConfig(base=str(source)), pairs)
    card = read_json(folder / MODEL_CARD)
    if not (folder / "tokenizer_config.json").is_file():
        raise ConfigError(f"{folder.name} holds a {card.get('kind')} model, which reads text and no tokens")
    return load_encoder(folder, card)


def _encoder_by(config: TransformerConfig, pairs: Sequence[Pair]) -> ConversationEncoder:
    from .build import build_tokenizer, locate, position_limit

    source, limit = locate(config, weights=False), config.max_length
    tokenizer = build_tokenizer(config, source, pairs)
    if config.base not in TINY_BASES:
        from transformers import AutoConfig

        found = AutoConfig.from_pretrained(
            source, revision=config.revision, trust_remote_code=is_trusted(config.base)
        )
        limit = position_limit(found, limit)
    return ConversationEncoder(tokenizer, limit)


def preview_by(encoder: ConversationEncoder, messages: Sequence[Message], response: str) -> Preview:
    """What an encoder makes of a conversation. Raises ``DataError`` where its template refuses it."""
    found = encoder.read(messages, response)
    prompt, answer = places(found.ids, found.prompt, encoder.max_length, encoder.special)
    tokens = tuple(
        PreviewToken(
            found.ids[i], _text_of(encoder, found, i), i < found.prompt, found.ids[i] in encoder.special
        )
        for i in (*prompt, *answer)
    )
    return Preview(
        text=found.text,
        tokens=tokens,
        truncated=len(tokens) < len(found.ids),
        cut_prompt=found.prompt - len(prompt),
        cut_answer=len(found.ids) - found.prompt - len(answer),
        max_length=encoder.max_length,
        template_hash=encoder.template_hash,
        warnings=tuple(warnings_on(encoder, found, has_prompt=bool(messages))),
    )


def _text_of(encoder: ConversationEncoder, found: Reading, place: int) -> str:
    if found.spans:
        begin, end = found.spans[place]
        return found.text[begin:end]
    return str(encoder.tokenizer.decode([found.ids[place]]))


def warnings_on(encoder: ConversationEncoder, found: Reading, *, has_prompt: bool = True) -> list[str]:
    """What is likely wrong with a chat template, by one conversation it rendered."""
    ids, tokenizer = found.ids, encoder.tokenizer
    out = []
    first, own = tokenizer.convert_ids_to_tokens(ids[0]), _own_start(tokenizer)
    if len(ids) > 1 and ids[0] == ids[1] and ids[0] in encoder.special:
        out.append(f"The text begins with {first} twice: write it once in the chat template.")
    if own is not None and ids[0] != own:
        name = tokenizer.convert_ids_to_tokens(own)
        out.append(
            f"This tokenizer begins every text with {name}, and the chat template does not write it: the base may "
            "score badly without."
        )
    if not encoder.special & {*ids[-4:]}:
        out.append("The chat template writes no special token at the answer's end, where the score is read.")
    if has_prompt and not found.fork:
        out.append(
            "The chat template does not write all of the prompt before the answer: answers cannot share it, and a "
            "text that is too long loses its end."
        )
    return out


def _own_start(tokenizer: Any) -> int | None:
    """The special token that the tokenizer puts in front by itself, if it does."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    is_added = len(whole) > len(plain) and whole[0] in tokenizer.all_special_ids
    return int(whole[0]) if is_added and whole[0] != plain[0] else None


def check_template(tokenizer: Any) -> list[str]:
    """Warnings on a tokenizer's chat template, tried in transformers' sandbox. Raises ``ConfigError`` for one that
    cannot be rendered or that leaves out the question or the answer."""
    encoder = ConversationEncoder(tokenizer, 1_000_000)
    refused: DataError | None = None
    for messages in SAMPLES:
        try:
            found = encoder.read(messages, ANSWER)
            break
        except DataError as error:
            refused = refused or error
    else:
        line = getattr(refused and refused.__cause__, "lineno", None)
        raise ConfigError(f"chat_template{f', line {line}' if line else ''}: {refused}") from refused
    for what, text in (("the user's message", QUESTION), ("the answer", ANSWER)):
        if text not in found.text:
            raise ConfigError(f"chat_template: {what} is not in what it renders")
    return warnings_on(encoder, found)
