"""A trained transformer scored by vLLM: in this process, or by a server that runs elsewhere.

Text becomes tokens here and token ids are sent, so template, truncation and end tokens are ours and vLLM cannot
change them. vLLM puts a sigmoid on scores unless ``use_activation`` is false (and its server answers 200 to fields
that it does not know), so nothing is taken on trust: a few items are scored by transformers, too, and must agree.

The optional extra ``vllm`` brings the library; a server needs nothing here. Start one with
``vllm serve FOLDER --runner pooling --dtype float32``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import ConfigError, ModelUnavailableError, NotFiniteError, Stopped
from ..types import Callbacks, Item, Message, Scores
from .template import ConversationEncoder, load_encoder

TOLERANCE = 1e-3
REQUEST_TIMEOUT_S = 300.0
PROBES = tuple(
    Item(f"probe {i}", (Message("user", prompt),), response)
    for i, (prompt, response) in enumerate(
        (
            ("What is two and two?", "Four."),
            ("What is two and two?", "I will not say. " * 8),
            ("光为什么是直的？", "因为它走最短的路。"),
            ("", "yes yes yes yes"),
        )
    )
)
Rows = Sequence[tuple[int, ...]]


class Engine(Protocol):
    """What runs the model. ``rows`` is how many go into one call, ``calls`` how many calls at once."""

    rows: int
    calls: int

    def classify(self, rows: Rows) -> list[float]:
        """Raw scores of token rows."""
        ...


@dataclass(slots=True)
class VllmScorer:
    """Raw float32 scores by vLLM, equal to those of ``TransformerScorer`` up to rounding.

    ``tie_threshold`` and ``tie_temperature`` are as there. Ratings of aspects are not served.
    """

    engine: Engine
    encoder: ConversationEncoder
    temperature: float
    tie_threshold: float | None = None
    tie_temperature: float | None = None
    kind: str = "transformer"

    @property
    def template_hash(self) -> str:
        """Hash of template, special tokens and length limit."""
        return self.encoder.template_hash

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        """Scores in the order given; equal rows are sent once, those with one prompt beside each other, for vLLM's
        prefix cache. Raises ``Stopped`` between calls."""
        told = callbacks or Callbacks()
        encoded = [self.encoder.encode(item.messages, item.response) for item in items]
        distinct = sorted({row.ids for row in encoded})
        size = self.engine.rows
        found: dict[tuple[int, ...], float] = {}
        batches = [distinct[i : i + size] for i in range(0, len(distinct), size)]
        with ThreadPoolExecutor(self.engine.calls) as pool:
            for at in range(0, len(batches), self.engine.calls):
                if told.should_stop():
                    raise Stopped(f"stopped after {len(found)} of {len(distinct)} rows")
                now = batches[at : at + self.engine.calls]
                for batch, scores in zip(now, pool.map(self.engine.classify, now), strict=True):
                    found.update(zip(batch, scores, strict=True))
                told.progress(len(found), len(distinct), "score")
        value = np.array([found[row.ids] for row in encoded], dtype=np.float32)
        if not np.isfinite(value).all():
            raise NotFiniteError("the model gives scores that are not finite")
        return Scores(
            value,
            value[:, None].copy(),
            np.array([len(row.ids) for row in encoded], dtype=np.int64),
            np.array([row.truncated for row in encoded], dtype=np.bool_),
        )


def load_vllm(
    folder: Path,
    card: dict[str, Any],
    *,
    server: str | None = None,
    dtype: str = "float32",
    tolerance: float = TOLERANCE,
    **options: Any,
) -> VllmScorer:
    """Open a verified folder with vLLM: offline, ``options`` going to ``vllm.LLM``, or at ``server`` (an address such
    as ``http://127.0.0.1:8000``; its API key, if any, is the environment's ``VLLM_API_KEY``).

    The folder is opened by transformers first, on the CPU, for what the probes score; vLLM must be within
    ``tolerance`` of it (times the score, where that is above 1). Raises ``ConfigError`` where it is not, where the
    model has more than one head or vLLM is not installed, and ``ModelUnavailableError`` where no server answers.
    """
    if int(card.get("heads") or 1) > 1:
        raise ConfigError(
            "vLLM serves the mean of an ensemble's heads alone; score this model with transformers"
        )
    from .scorer import load_scorer

    expected = load_scorer(folder, card, device="cpu").score(PROBES).value
    encoder = load_encoder(folder, card)
    engine: Engine = (
        _Server(server, encoder.max_length)
        if server
        else _Offline(folder, dtype, encoder.max_length, options)
    )
    threshold, tie_temperature = (
        None if card.get(key) is None else float(card[key]) for key in ("tie_threshold", "tie_temperature")
    )
    scorer = VllmScorer(engine, encoder, float(card["temperature"]), threshold, tie_temperature)
    found = scorer.score(PROBES).value
    off = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    if not (off <= tolerance).all():
        squeezed = np.allclose(found, 1.0 / (1.0 + np.exp(-expected)), atol=tolerance)
        why = "it squeezes scores by a sigmoid" if squeezed else "it runs another model or another precision"
        raise ConfigError(
            f"vLLM scores the probes {found.round(4).tolist()}, transformers {expected.round(4).tolist()}: {why}"
        )
    return scorer


class _Offline:
    """vLLM in this very process: a job that is killed leaves no engine behind."""

    rows, calls = 4096, 1

    def __init__(self, folder: Path, dtype: str, max_length: int, options: dict[str, Any]) -> None:
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        try:
            from vllm import LLM, PoolingParams
        except ImportError as error:
            raise ConfigError(f"vLLM cannot be imported here ({error}); install the extra vllm") from error
        settings = {
            "runner": "pooling",
            "dtype": dtype,
            "max_model_len": max_length,
            "enforce_eager": True,
            "distributed_executor_backend": "uni",
        } | options
        self._model = LLM(model=str(folder), **settings)
        self._raw = PoolingParams(use_activation=False)

    def classify(self, rows: Rows) -> list[float]:
        prompts = [{"prompt_token_ids": list(row)} for row in rows]
        found = self._model.classify(prompts, pooling_params=self._raw, use_tqdm=False)
        return [_one(answer.outputs.probs) for answer in found]


class _Server:
    """A running ``vllm serve --runner pooling``."""

    rows, calls = 64, 4

    def __init__(self, address: str, max_length: int) -> None:
        import httpx2

        key = os.environ.get("VLLM_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # No proxies of the environment: the address is the operator's own.
        self._client = httpx2.Client(
            base_url=address, headers=headers, timeout=REQUEST_TIMEOUT_S, trust_env=False
        )
        served = self._ask("GET", "/v1/models")["data"][0]
        self._model, longest = str(served["id"]), served.get("max_model_len") or max_length
        if longest < max_length:
            raise ConfigError(
                f"the server takes {longest} tokens, the model was trained on up to {max_length}: start it with "
                f"--max-model-len {max_length}"
            )

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        import httpx2

        try:
            answer = self._client.request(method, path, json=body)
            if answer.status_code >= 500:
                raise ModelUnavailableError(f"vLLM answered {answer.status_code}: {answer.text:.300}")
            if answer.status_code >= 400:
                raise ConfigError(f"vLLM refused {path} with {answer.status_code}: {answer.text:.300}")
            return answer.json()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise ModelUnavailableError(f"no answer from vLLM at {self._client.base_url}: {error}") from error

    def classify(self, rows: Rows) -> list[float]:
        body = {"model": self._model, "input": [list(row) for row in rows], "use_activation": False}
        found = sorted(self._ask("POST", "/classify", body)["data"], key=lambda answer: answer["index"])
        if len(found) != len(rows):
            raise ModelUnavailableError(f"vLLM answered {len(found)} of {len(rows)} rows")
        return [_one(answer["probs"]) for answer in found]


def _one(scores: Sequence[float | None]) -> float:
    if len(scores) != 1:
        raise ConfigError(f"vLLM gives {len(scores)} numbers a response; a reward model gives one")
    if not isinstance(scores[0], float | int | None):
        raise ModelUnavailableError(f"vLLM gives {scores[0]!r}, which is no number")
    return float("nan") if scores[0] is None else float(scores[0])
