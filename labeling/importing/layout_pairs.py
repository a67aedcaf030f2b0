"""Chosen and rejected: TRL's explicit and implicit pairs, as texts or message lists, HH transcripts, and
LLaMA-Factory's pairs of whole conversations.
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from labeling.importing import fields
from labeling.importing.layout import Layout, Parsed
from labeling.importing.problems import ProblemError
from labeling.importing.records import ImportedMessage, ImportedResponse, ImportedVote

SIDES = ("chosen", "rejected")
MESSAGE_SIDES = ("chosen_messages", "rejected_messages")
MODEL_KEYS = ("model", "chosen_model", "rejected_model")
SCORE_KEYS = ("score_chosen", "score_rejected")
PAIR_KEYS = ("margin", *SCORE_KEYS, *MODEL_KEYS)
_TURN = re.compile(r"\n\n(Human|Assistant):")


def _explicit(row: Mapping[str, Any]) -> Parsed:
    prompt = fields.prompt(row["prompt"], "prompt")
    chosen, rejected = (completion(row[key], key, prompt) for key in SIDES)
    return pair_of(row, prompt, chosen, rejected)


def completion(value: object, path: str, prompt: tuple[ImportedMessage, ...]) -> str:
    """A response's text: a string, one assistant message, or the whole conversation with the prompt
    repeated.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return answer_of((fields.message(value, path),), path)
    if not isinstance(value, list):
        fields.wrong_type(path, "string or array of messages", value)
    found = fields.messages(value, path)
    if len(found) > len(prompt) and found[: len(prompt)] == prompt:
        found = found[len(prompt) :]
    return answer_of(found, path)


def answer_of(found: Sequence[ImportedMessage], path: str) -> str:
    """The text of exactly one assistant message."""
    if len(found) != 1 or found[0].role != "assistant":
        raise ProblemError("not_one_answer", path=path, found=[message.role for message in found][:10])
    return found[0].content


def pair_of(
    row: Mapping[str, Any],
    prompt: tuple[ImportedMessage, ...],
    chosen: str,
    rejected: str,
    *,
    keys: tuple[str, str] = SIDES,
) -> Parsed:
    """One comparison with one vote. `keys` are where the two texts stand in the row."""
    if chosen == rejected:
        raise ProblemError("identical_responses", paths=list(keys))
    model = fields.label(row, "model")
    responses = (
        ImportedResponse(chosen, fields.label(row, "chosen_model") or model),
        ImportedResponse(rejected, fields.label(row, "rejected_model") or model),
    )
    kept = tuple(key for key in ("margin", *SCORE_KEYS) if row.get(key) is not None)
    return Parsed(prompt, responses, (ImportedVote(0, 1, "a", margin=_margin(row)),), kept=kept)


def _margin(row: Mapping[str, Any]) -> float | None:
    """By how much the chosen response is better, on the file's own scale; None when it does not say.

    Without a margin of its own it is the difference of the two scores, where the chosen one's is not lower. Scores that
    are shares of the votes, as our own export writes them, say nothing of strength.
    """
    if row.get("margin") is not None:
        margin = fields.number(row["margin"], "margin")
        if margin < 0:
            raise ProblemError("negative_margin", path="margin", found=margin)
        return margin
    if any(row.get(key) is None for key in SCORE_KEYS):
        return None
    chosen, rejected = (fields.number(row[key], key) for key in SCORE_KEYS)
    are_shares = rejected >= 0 and math.isclose(chosen + rejected, 1)
    return chosen - rejected if chosen >= rejected and not are_shares else None


def _implicit(row: Mapping[str, Any]) -> Parsed:
    """The prompt is what both conversations share at their start."""
    chosen, rejected = row["chosen"], row["rejected"]
    if isinstance(chosen, str) != isinstance(rejected, str):
        fields.wrong_type("rejected", "string" if isinstance(chosen, str) else "array", rejected)
    if isinstance(chosen, str):
        if _TURN.match(chosen) and _TURN.match(rejected):
            return conversation_pair(
                row, SIDES, transcript(chosen, "chosen"), transcript(rejected, "rejected")
            )
        return _texts(row, chosen, rejected)
    return conversation_pair(row, SIDES, *(fields.messages(row[key], key) for key in SIDES))


def _message_pairs(row: Mapping[str, Any]) -> Parsed:
    """Two whole conversations; their common start is the prompt. What a message says of losses is not read."""
    return conversation_pair(row, MESSAGE_SIDES, *(fields.messages(row[key], key) for key in MESSAGE_SIDES))


def transcript(value: str, path: str) -> tuple[ImportedMessage, ...]:
    """Messages of an HH transcript: turns that start with "\\n\\nHuman:" or "\\n\\nAssistant:"."""
    parts = _TURN.split(value)  # ["", "Human", " text", "Assistant", " text", …]
    if parts[0].strip():
        raise ProblemError("not_a_transcript", path=path)
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = zip(parts[1::2], parts[2::2], strict=True)
    return tuple(ImportedMessage(roles[name], body.strip()) for name, body in turns)  # type: ignore[arg-type]


def conversation_pair(
    row: Mapping[str, Any],
    keys: tuple[str, str],
    chosen: tuple[ImportedMessage, ...],
    rejected: tuple[ImportedMessage, ...],
) -> Parsed:
    """The prompt is what both conversations share at their start; one answer must follow in each."""
    if chosen == rejected:
        raise ProblemError("identical_responses", paths=list(keys))
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False))))
    prompt = chosen[:shared]
    if not any(message.content.strip() for message in prompt):
        raise ProblemError("no_shared_prompt")
    return pair_of(row, prompt, answer_of(chosen[shared:], keys[0]), answer_of(rejected[shared:], keys[1]))


def _texts(row: Mapping[str, Any], chosen: str, rejected: str) -> Parsed:
    """Plain texts: the longest common start, cut back so that no word is torn in two."""
    if chosen == rejected:
        raise ProblemError("identical_responses", paths=list(SIDES))
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False))))
    ends_differ = (chosen[shared : shared + 1], rejected[shared : shared + 1])
    if any(_is_word(end) for end in ends_differ):
        while shared and _is_word(chosen[shared - 1]):
            shared -= 1
    prompt = chosen[:shared]
    if not prompt.strip():
        raise ProblemError("no_shared_prompt")
    message = ImportedMessage("user", prompt.rstrip())
    return pair_of(row, (message,), chosen[shared:].lstrip(), rejected[shared:].lstrip())


def _is_word(character: str) -> bool:
    """Letters and digits of alphabets that put spaces between words; a Chinese character is a word by
    itself.
    """
    return character.isalnum() and ord(character) < 0x2E80


EXPLICIT = Layout(
    name="trl_explicit",
    required=("prompt", "chosen", "rejected"),
    optional=PAIR_KEYS,
    read=_explicit,
)
IMPLICIT = Layout(
    name="trl_implicit",
    required=("chosen", "rejected"),
    optional=PAIR_KEYS,
    excluded=("prompt", "messages", "instruction", "conversations", "question"),
    read=_implicit,
)
MESSAGE_PAIRS = Layout(
    name="message_pairs",
    required=MESSAGE_SIDES,
    optional=PAIR_KEYS,
    read=_message_pairs,
)
