"""ms-swift: a conversation that ends in the chosen answer, and what was rejected in its place."""

from collections.abc import Mapping
from typing import Any

from labeling.importing import fields
from labeling.importing.instructions import with_system
from labeling.importing.layout import Layout, Parsed
from labeling.importing.layout_pairs import PAIR_KEYS, answer_of, completion, conversation_pair, pair_of

REJECTED = ("rejected_response", "rejected_messages")


def _swift(row: Mapping[str, Any]) -> Parsed:
    """`rejected_response` stands in the place of the last turn; `rejected_messages` is a whole
    conversation.
    """
    chosen = fields.messages(row["messages"], "messages")
    if row.get("rejected_response") is None and row.get("rejected_messages") is not None:
        rejected = fields.messages(row["rejected_messages"], "rejected_messages")
        whole = (with_system(row, messages) for messages in (chosen, rejected))
        return conversation_pair(row, ("messages", "rejected_messages"), *whole)
    prompt = fields.filled_prompt(chosen[:-1], "messages")
    answer = answer_of(chosen[-1:], "messages")
    other = completion(row.get("rejected_response"), "rejected_response", prompt)
    return pair_of(row, with_system(row, prompt), answer, other, keys=("messages", "rejected_response"))


MS_SWIFT = Layout(
    name="ms_swift",
    required=("messages",),
    one_of=REJECTED,
    optional=("system", *PAIR_KEYS),
    read=_swift,
)
