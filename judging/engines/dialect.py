"""Which fields a server takes. Learned once by a probe (or from its first refusals) and stored.

Known differences: newer hosted models want `max_completion_tokens` and refuse `max_tokens`, `temperature` or
`logprobs`; some servers cap `top_logprobs` at 5; some refuse `seed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from judging.engines.base import Sampling
from judging.prompts import Message


@dataclass(frozen=True)
class Dialect:
    """`top_logprobs` is how many alternatives to ask for; 0 asks for no log-probabilities at all."""

    old_length_field: bool = True  # `max_tokens`; newer hosted models take only `max_completion_tokens`
    temperature: bool = True
    top_p: bool = True
    seed: bool = True
    top_logprobs: int = 20

    def without_logprobs(self) -> Dialect:
        return replace(self, top_logprobs=0)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def dialect_from_json(data: Mapping[str, Any]) -> Dialect:
    """A stored dialect; unknown or missing fields take the defaults."""
    known = asdict(Dialect())
    return Dialect(**{name: data[name] for name in known if isinstance(data.get(name), type(known[name]))})


def request_body(
    model: str, messages: Sequence[Message], sampling: Sampling, dialect: Dialect
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": list(messages),
        "stream": False,
        "max_tokens" if dialect.old_length_field else "max_completion_tokens": sampling.max_tokens,
    }
    if dialect.temperature:
        body["temperature"] = sampling.temperature
    if dialect.top_p:
        body["top_p"] = sampling.top_p
    if dialect.seed:
        body["seed"] = sampling.seed
    if dialect.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": dialect.top_logprobs}
    return body


def adapted(dialect: Dialect, message: str, param: str) -> Dialect | None:
    """The dialect without what the server just refused; None when the refusal names nothing to drop."""
    refused = f"{param} {message}".lower()
    if dialect.old_length_field and "max_tokens" in refused:
        return replace(dialect, old_length_field=False)
    if dialect.top_logprobs and "logprobs" in refused:
        return replace(dialect, top_logprobs=5 if dialect.top_logprobs > 5 else 0)
    if dialect.temperature and "temperature" in refused:
        return replace(dialect, temperature=False)
    if dialect.top_p and "top_p" in refused:
        return replace(dialect, top_p=False)
    if dialect.seed and "seed" in refused:
        return replace(dialect, seed=False)
    return None
