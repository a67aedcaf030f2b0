"""Calls to addresses that a user typed: judge endpoints and webhooks, behind one guard.

The guard sits where the connection is made, not where the URL is read: the network backend of the HTTP
pool resolves the name once, refuses the connection when any of its addresses is not public, and connects
to exactly the address it checked. A name that answers differently the second time (rebinding) is therefore
never asked a second time, and TLS still sees the name (SNI, certificate), not the address.

Which addresses are refused is said in `webapp.addresses`.
Redirects are never followed, the environment's proxies are not used, answers are read up to `max_bytes`,
and one deadline covers resolving, connecting, sending and reading, however slowly the bytes drip.
"""

from __future__ import annotations

import contextvars
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2
from django.utils.translation import gettext as _

from webapp.addresses import (
    OutboundError,
    OutboundRefusedError,
    Resolver,
    Target,
    canonical_host,
    parse_outbound_url,
    resolve_target,
)

__all__ = [
    "OutboundClient",
    "OutboundError",
    "OutboundFailedError",
    "OutboundRefusedError",
    "OutboundReply",
    "OutboundTooLargeError",
    "Secret",
    "check_outbound_url",
]

CONNECT_TIMEOUT_S = 10.0
RESOLVE_TIMEOUT_S = 5.0


class OutboundFailedError(OutboundError):
    """The call was allowed and went wrong: no connection, a broken answer, or the deadline passed."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class OutboundTooLargeError(OutboundFailedError):
    """The answer is larger than the caller accepts."""

    permanent = True


@dataclass(frozen=True)
class OutboundReply:
    """An HTTP answer read to its end; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Secret:
    """A string that no repr, log line or traceback shows. `reveal()` gives it."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)


def check_outbound_url(url: str, *, allow: Iterable[str] = (), resolver: Resolver | None = None) -> Target:
    """Raise the reason why a URL cannot be called, for a form to show before anything is stored."""
    target = parse_outbound_url(url)
    resolve_target(target, allow=allow, resolver=resolver or system_resolver)
    return target


def system_resolver(host: str, port: int) -> list[str]:
    """The system's addresses of a name, in its order, within RESOLVE_TIMEOUT_S and the current deadline."""
    answers: queue.Queue[list[str] | OSError | UnicodeError] = queue.Queue()

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    # getaddrinfo has no timeout of its own, hence a thread that may be left behind.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=min(RESOLVE_TIMEOUT_S, max(_time_left(), 0.001)))
    except queue.Empty as error:
        raise OutboundFailedError(_("Looking up the host took too long."), timed_out=True) from error
    if isinstance(answer, Exception):
        raise OutboundFailedError(_("The host %(host)s could not be found.") % {"host": host}) from answer
    return answer


class OutboundClient:
    """A pool of guarded connections; safe to share between threads; close it when done.

    `allow` is the operator's list, `resolver` and `ssl_context` are for tests and private authorities.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        resolver: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 16,
    ) -> None:
        backend = _GuardedBackend(tuple(allow), resolver)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=20.0,
            network_backend=backend,
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        deadline_s: float,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        secret: Secret | None = None,
        content: bytes = b"",
    ) -> OutboundReply:
        """Send one request and read its answer. `secret` goes out as a bearer token.

        Raises one of the OutboundErrors, never anything of the HTTP library.
        """
        target = parse_outbound_url(url)
        request = httpx2.Request(method, url, headers=dict(headers or {}), content=content)
        request.headers["Accept-Encoding"] = "identity"
        request.headers["User-Agent"] = "chosen"
        if secret:
            request.headers["Authorization"] = f"Bearer {secret.reveal()}"
        with _deadline(deadline_s):
            try:
                return self._exchange(request, max_bytes)
            except (httpcore2.TimeoutException, TimeoutError) as error:
                message = _("%(host)s did not answer in time.") % {"host": target.host}
                raise OutboundFailedError(message, timed_out=True) from error
            except (httpcore2.NetworkError, httpcore2.ProtocolError, ssl.SSLError, OSError) as error:
                # The library's own words can quote header values; its class name cannot.
                message = _("The connection to %(host)s failed (%(reason)s).")
                raise OutboundFailedError(
                    message % {"host": target.host, "reason": type(error).__name__}
                ) from None

    def _exchange(self, request: httpx2.Request, max_bytes: int) -> OutboundReply:
        url = request.url
        raw = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.read(),
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S, "pool": max(_time_left(), 0.001)}},
        )
        response = self._pool.handle_request(raw)
        try:
            headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
            body = _read_body(response, headers, max_bytes)
        finally:
            response.close()
        return OutboundReply(response.status, headers, body)

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> OutboundClient:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _read_body(response: httpcore2.Response, headers: Mapping[str, str], max_bytes: int) -> bytes:
    """The body, refused as soon as it is too large. Compressed bodies are refused: we asked for none."""
    if headers.get("content-encoding", "identity") != "identity":
        raise OutboundFailedError(_("The answer is compressed although that was not asked for."))
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > max_bytes:
        raise OutboundTooLargeError(_("The answer is larger than %(limit)d bytes.") % {"limit": max_bytes})
    parts: list[bytes] = []
    size = 0
    for part in response.iter_stream():
        size += len(part)
        if size > max_bytes:
            raise OutboundTooLargeError(
                _("The answer is larger than %(limit)d bytes.") % {"limit": max_bytes}
            )
        parts.append(part)
        _time_left(strict=True)
    return b"".join(parts)


_deadline_at: contextvars.ContextVar[float | None] = contextvars.ContextVar("outbound_deadline", default=None)


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    token = _deadline_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline_at.reset(token)


def _time_left(*, strict: bool = False) -> float:
    """Seconds until the current call's deadline; with `strict`, a passed one raises."""
    at = _deadline_at.get()
    left = 3600.0 if at is None else at - time.monotonic()
    if strict and left <= 0:
        raise httpcore2.ReadTimeout("deadline")
    return left


class _GuardedBackend(httpcore2.NetworkBackend):
    """Connects only to an address that it resolved and checked itself, within the call's deadline."""

    def __init__(self, allow: Sequence[str], resolver: Resolver | None) -> None:
        self._inner = httpcore2.SyncBackend()
        self._allow = allow
        self._resolver = resolver

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        target = Target("https", canonical_host(host), port)
        address = resolve_target(target, allow=self._allow, resolver=self._resolver or system_resolver)
        limit = min(timeout or CONNECT_TIMEOUT_S, _time_left(strict=True))
        stream = self._inner.connect_tcp(address, port, limit, local_address, socket_options)
        return _DeadlineStream(stream)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        raise OutboundRefusedError(_("Only http and https addresses can be called."))


class _DeadlineStream(httpcore2.NetworkStream):
    """A stream whose every read and write also ends at the call's deadline: a drip cannot outlast it."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _time_left(strict=True))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _time_left(strict=True))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, _time_left(strict=True)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
