"""What other scorers read, without their models' weights."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError, CorruptModelError
from ..folder import MODEL_CARD, read_json
from ..transformer.template import ConversationEncoder
from ..types import Pair, Preview, PreviewToken
from .pairs import PairTemplate, conversation_text
from .spec import SCORER_KINDS, ScorerSpec, spec_from_dict

# Of the runs of ``PairTemplate.parts``, the last one of the prompt.
PROMPT = 2


def spec_of(source: object) -> ScorerSpec | None:
    """A spec, or that of a folder that ``write_scorer`` wrote; None for all else. Raises ``CorruptModelError``."""
    if isinstance(source, ScorerSpec):
        return source
    if not isinstance(source, str | Path) or not (Path(source) / MODEL_CARD).is_file():
        return None
    card = read_json(Path(source) / MODEL_CARD)
    if card.get("kind") not in SCORER_KINDS:
        return None
    try:
        return spec_from_dict(card["spec"])
    except (KeyError, TypeError, AttributeError, ConfigError) as error:
        raise CorruptModelError(f"{MODEL_CARD} holds no scorer: {error}") from error


def reader_of(spec: ScorerSpec) -> ConversationEncoder | PairTemplate:
    """What turns a conversation (``dpo``, ``perplexity``) or a pair (``pair``) into tokens. Raises ``ConfigError`` for
    kinds that read none, and the errors of ``loading``."""
    if spec.kind in ("dpo", "perplexity"):
        from .likelihood import open_encoder

        return open_encoder(spec)
    if spec.kind == "pair":
        from .pairs import open_template

        return open_template(spec)
    raise ConfigError(f"a {spec.kind} scorer reads text and no tokens")


def preview_pair(template: PairTemplate, pair: Pair, *, chosen_first: bool = True) -> Preview:
    """A pair in one of the two orders in which a pair model reads it."""
    first, second = (pair.chosen, pair.rejected) if chosen_first else (pair.rejected, pair.chosen)
    parts, (cut_prompt, *cut) = template.parts(pair.messages, first, second)
    tokenizer = template.tokenizer
    special = frozenset(tokenizer.all_special_ids)
    tokens = tuple(
        PreviewToken(token, str(tokenizer.decode([token])), number <= PROMPT, token in special)
        for number, part in enumerate(parts)
        for token in part
    )
    before, between, middle, after = template.words()
    text = f"{before}{conversation_text(pair.messages)}{between}{first}{middle}{second}{after}"
    return Preview(
        text=text,
        tokens=tokens,
        truncated=bool(cut_prompt or any(cut)),
        cut_prompt=cut_prompt,
        cut_answer=sum(cut),
        max_length=template.max_length,
        template_hash=template.template_hash,
        warnings=(),
    )
