"""Judges behind any OpenAI-compatible endpoint: vLLM, swift deploy, Ollama, hosted services.

A call ends in a Reply whatever the server does: a refused address, a hang, a drip, a cut or foreign body, an
endless one or an error status become `finish_reason="error"` with a reason, never a text to parse. Every item
is finished by its own deadline, retries included. Servers differ in the fields they accept; a field that a
server refuses by name is dropped, and that is remembered in `dialect` for all later calls (see `dialect.py`).
"""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import orjson

from judging.engines.base import STOPPED, JudgeRequest, Reply, Sampling, ShouldStop
from judging.engines.dialect import Dialect, adapted, request_body
from judging.engines.token_logprobs import label_logprobs_at_verdict
from judging.parsing import parse_verdict
from webapp.addresses import OutboundRefusedError, Resolver
from webapp.outbound import OutboundClient, OutboundError, OutboundFailedError, OutboundReply, Secret

MAX_BYTES = 4 * 1024 * 1024
RETRY_AFTER_CAP_S = 30.0
_TRY_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_MAX_ATTEMPTS = 4
_MAX_ADAPTIONS = 8
_BACKOFF_S = 0.5


class _CallError(Exception):
    """One call that failed; `wait_s` is how long the server asked to wait, `again` whether it may pass."""

    def __init__(self, message: str, *, again: bool = False, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.again = again
        self.wait_s = wait_s


class OpenAIEngine:
    """See the module. `deadline_s` is for each item; `concurrency` bounds the calls under way at once."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        secret: Secret | None = None,
        sampling: Sampling | None = None,
        dialect: Dialect | None = None,
        allow: Iterable[str] = (),
        concurrency: int = 4,
        deadline_s: float = 120.0,
        backoff_s: float = _BACKOFF_S,
        resolver: Resolver | None = None,
    ) -> None:
        self.dialect = dialect or Dialect()
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._secret = secret
        self._sampling = sampling or Sampling()
        self._concurrency = max(1, concurrency)
        self._deadline_s = deadline_s
        self._backoff_s = backoff_s
        self._client = OutboundClient(allow=allow, resolver=resolver, max_connections=self._concurrency)
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def judge(
        self, requests: Sequence[JudgeRequest], *, should_stop: ShouldStop | None = None
    ) -> list[Reply]:
        """Replies in the order of the requests; after `should_stop` says so, no further call begins."""

        def one(request: JudgeRequest) -> Reply:
            if should_stop is not None and should_stop():
                self._stopped.set()
            return self._answer(request)

        self._stopped.clear()
        with ThreadPoolExecutor(max_workers=self._concurrency) as pool:
            return list(pool.map(one, requests))

    def probe(self) -> Reply:
        """One small call that learns the dialect; `reply.error` says what is wrong with the endpoint."""
        request = JudgeRequest(
            messages=[{"role": "user", "content": "Reply with exactly [[A]] and nothing else."}],
            labels=("A", "B"),
        )
        reply = self._answer(request)
        if not reply.error and self.dialect.top_logprobs and reply.label_logprobs is None:
            # Accepted but ignored: some servers take the field and send nothing back.
            self.dialect = self.dialect.without_logprobs()
        return reply

    def close(self) -> None:
        self._stopped.set()
        self._client.close()

    def _answer(self, request: JudgeRequest) -> Reply:
        began = time.monotonic()
        attempts = adaptions = 0
        while True:
            left = self._deadline_s - (time.monotonic() - began)
            if left <= 0 or self._stopped.is_set():
                reason = STOPPED if self._stopped.is_set() else "no answer before the deadline"
                return self._failed(reason, began)
            dialect = self.dialect
            try:
                data = self._call(request, dialect, left)
                return self._read(data, request, began)
            except _RefusedFieldError as refusal:
                adaptions += 1
                changed = adapted(dialect, refusal.message, refusal.param)
                if changed is None or adaptions > _MAX_ADAPTIONS:
                    return self._failed(f"HTTP 400: {refusal.message}", began)
                with self._lock:
                    self.dialect = changed
            except _CallError as error:
                attempts += 1
                if not error.again or attempts >= _MAX_ATTEMPTS:
                    return self._failed(str(error), began)
                left = self._deadline_s - (time.monotonic() - began)
                wait_s = self._wait(attempts, error.wait_s)
                if wait_s >= left:
                    return self._failed(f"{error}; the deadline leaves no time to try again", began)
                self._stopped.wait(wait_s)

    def _wait(self, attempt: int, asked_s: float | None) -> float:
        if asked_s is not None:
            return min(max(asked_s, 0.0), RETRY_AFTER_CAP_S)
        jitter = 0.75 + 0.5 * random.random()  # noqa: S311 - spreads retries, protects nothing
        return float(self._backoff_s * 2 ** (attempt - 1) * jitter)

    def _call(self, request: JudgeRequest, dialect: Dialect, left_s: float) -> Mapping[str, Any]:
        body = request_body(self._model, request.messages, self._sampling, dialect)
        try:
            reply = self._client.request(
                "POST",
                self._url,
                deadline_s=left_s,
                max_bytes=MAX_BYTES,
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                secret=self._secret,
                content=orjson.dumps(body),
            )
        except OutboundRefusedError as error:
            raise _CallError(str(error)) from None
        except OutboundFailedError as error:
            raise _CallError(str(error), again=not error.permanent and not error.timed_out) from None
        except OutboundError as error:
            raise _CallError(str(error), again=not error.permanent) from None
        return _checked(reply)

    def _read(self, data: Mapping[str, Any], request: JudgeRequest, began: float) -> Reply:
        """The first choice of a well-formed answer. Raises _CallError when it is not one."""
        choices = data.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise _CallError("the answer has no choices")
        text = _plain_text(message.get("content"))
        finish_reason = str(choice.get("finish_reason") or "stop")
        if message.get("refusal") and not text:
            text, finish_reason = str(message["refusal"]), "content_filter"
        usage = data.get("usage")
        return Reply(
            text=self._scrub(text),
            finish_reason=self._scrub(finish_reason),
            label_logprobs=_label_logprobs(text, finish_reason, choice.get("logprobs"), request),
            usage=_counts(usage if isinstance(usage, dict) else {}),
            latency_ms=_milliseconds(began),
            reasoning=self._scrub(_plain_text(message.get("reasoning") or message.get("reasoning_content"))),
        )

    def _failed(self, reason: str, began: float) -> Reply:
        return Reply(finish_reason="error", error=self._scrub(reason)[:500], latency_ms=_milliseconds(began))

    def _scrub(self, text: str) -> str:
        """Without the key (servers like to quote it back) and without NUL, which PostgreSQL cannot store."""
        text = text.replace("\x00", "")
        return text.replace(self._secret.reveal(), "***") if self._secret else text


class _RefusedFieldError(Exception):
    """HTTP 400 or 422: perhaps about one field that this server does not take."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


def _checked(reply: OutboundReply) -> Mapping[str, Any]:
    """The JSON object of a good answer. Raises for every other kind of answer."""
    is_json = "json" in reply.headers.get("content-type", "").lower()
    data: Any = None
    if is_json:
        try:
            data = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            data = None
    message, param = _error_words(data)
    if reply.status in (400, 422):
        raise _RefusedFieldError(message or "the request was refused", param)
    if reply.status != 200:
        again = reply.status in _TRY_AGAIN
        words = f"HTTP {reply.status}" + (f": {message}" if message else "")
        raise _CallError(words, again=again, wait_s=_retry_after(reply.headers.get("retry-after", "")))
    if not is_json:
        kind = reply.headers.get("content-type", "none")[:60]
        raise _CallError(f"the answer is not JSON (content type {kind})")
    if not isinstance(data, dict):
        raise _CallError("the answer is cut or broken JSON", again=True)
    if message:
        raise _CallError(message)
    return data


def _error_words(data: Any) -> tuple[str, str]:
    """(message, name of the refused field) of the usual error bodies; empty strings where there is none."""
    error = data.get("error", data.get("detail")) if isinstance(data, dict) else None
    if isinstance(data, dict) and data.get("object") == "error":
        error = data
    if isinstance(error, dict):
        return str(error.get("message", ""))[:300] or "unnamed error", str(error.get("param") or "")
    if isinstance(error, list):
        return str(error)[:300], ""
    return (str(error)[:300], "") if error else ("", "")


def _retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header, which is a number or a date; None when there is none."""
    if not value:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()


def _plain_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def _counts(usage: Mapping[str, Any]) -> dict[str, int]:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: value for name in names if isinstance(value := usage.get(name), int)}


def _label_logprobs(
    text: str, finish_reason: str, logprobs: Any, request: JudgeRequest
) -> dict[str, float] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    parsed = parse_verdict(text, finish_reason=finish_reason, labels=request.labels, pattern=request.pattern)
    return label_logprobs_at_verdict(text, parsed.span, content, request.labels)


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
