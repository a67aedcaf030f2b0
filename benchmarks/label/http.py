"""Labelers over HTTP, beside the server on the same cores: threads of one process, one kept connection each."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


@dataclass
class Rounds:
    """What one person or several have measured: seconds of each request, and of all together."""

    next_s: list[float] = field(default_factory=list)
    submit_s: list[float] = field(default_factory=list)
    labels: int = 0
    wall_s: float = 0.0
    # Of each side, core milliseconds for a label; the second of warming up counts.
    core_ms: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.labels / self.wall_s

    def add(self, other: Rounds) -> None:
        self.next_s += other.next_s
        self.submit_s += other.submit_s
        self.labels += other.labels


class Client:
    def __init__(self, port: int, token: str, slug: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.slug = slug

    def post(self, path: str, body: dict[str, object], **headers: str) -> tuple[dict[str, object], float]:
        started = time.perf_counter()
        self.connection.request("POST", path, json.dumps(body), self.headers | headers)
        answer = self.connection.getresponse()
        text = answer.read()
        seconds = time.perf_counter() - started
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")
        return json.loads(text), seconds

    def next(self) -> tuple[list[dict[str, str]], float]:
        found, seconds = self.post(f"/api/v1/projects/{self.slug}/comparisons/next", {"count": 1})
        return found["results"], seconds  # type: ignore[return-value]

    def submit(self, assignment: str, *, more: int) -> tuple[list[dict[str, str]], float]:
        body = {"choice": str(1 + hash(assignment) % 8), "duration_ms": 4000, "next": more}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        found, seconds = self.post(f"/api/v1/assignments/{assignment}/submit", body, **key)
        return found.get("results", []), seconds  # type: ignore[return-value]


def by_two_requests(client: Client, until: float) -> Rounds:
    """Ask for one, answer it, until it is time."""
    rounds = Rounds()
    while time.monotonic() < until:
        pairs, seconds = client.next()
        rounds.next_s.append(seconds)
        _, seconds = client.submit(pairs[0]["assignment"], more=0)
        rounds.submit_s.append(seconds)
        rounds.labels += 1
    return rounds


def by_one_request(client: Client, until: float) -> Rounds:
    """Answer one and take the next from the answer, as the label page does."""
    rounds = Rounds()
    pairs, _ = client.next()
    while time.monotonic() < until:
        pairs, seconds = client.submit(pairs[0]["assignment"], more=1)
        rounds.submit_s.append(seconds)
        rounds.labels += 1
    return rounds


def label_for(
    seconds: float,
    port: int,
    slug: str,
    tokens: Sequence[str],
    way: Callable[[Client, float], Rounds],
    spent: Callable[[], dict[str, float]],
) -> Rounds:
    """Everybody labels for so many seconds, after a second of warming up that is not counted. `spent`: core seconds of
    each side until now."""
    barrier = threading.Barrier(len(tokens))

    def run(token: str) -> tuple[Rounds, int]:
        client = Client(port, token, slug)
        warm = way(client, time.monotonic() + 1.0)
        barrier.wait(timeout=60)
        return way(client, time.monotonic() + seconds), warm.labels

    total, labels, before = Rounds(wall_s=seconds), 0, spent()
    with ThreadPoolExecutor(len(tokens)) as pool:
        for rounds, warm in pool.map(run, tokens):
            total.add(rounds)
            labels += rounds.labels + warm
    total.core_ms = {side: 1000 * (now - before[side]) / labels for side, now in spent().items()}
    return total
