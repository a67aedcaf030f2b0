"""A receiver on this machine: what it was sent, and answers as a test wants them."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from webapp.outbound import Secret
from webapp.webhooks.signing import signature


@dataclass
class Got:
    path: str
    headers: dict[str, str]
    body: bytes

    def is_signed_with(self, secret: str) -> bool:
        """As a receiver of the specification checks it: any of the signatures may be right."""
        wanted = signature(
            [Secret(secret)], self.headers["webhook-id"], int(self.headers["webhook-timestamp"]), self.body
        )
        return wanted in self.headers["webhook-signature"].split(" ")


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def says(status: int, body: bytes = b"ok", **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hangs(seconds: float = 30.0) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.server.closing.wait(seconds)  # type: ignore[attr-defined]

    return answer


def drips(handler: http.server.BaseHTTPRequestHandler) -> None:
    """A byte every tenth of a second, for a long time."""
    handler.send_response(200)
    handler.send_header("Content-Length", "10000")
    handler.end_headers()
    while not handler.server.closing.is_set():  # type: ignore[attr-defined]
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def cuts(handler: http.server.BaseHTTPRequestHandler) -> None:
    """The connection ends without a word."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@dataclass
class Receiver:
    """`answers` are given one after the other, the last of them for ever."""

    answers: list[Answer] = field(default_factory=lambda: [says(200)])
    got: list[Got] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answers = receiver.answers
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                try:
                    answer(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_args: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.closing = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def close(self) -> None:
        self.server.closing.set()  # type: ignore[attr-defined]
        self.server.shutdown()
        self.server.server_close()
