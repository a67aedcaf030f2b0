"""The engine for OpenAI-compatible endpoints against a server that does everything wrong in turn."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from judging.engines.base import STOPPED, JudgeRequest, Sampling
from judging.engines.dialect import Dialect, dialect_from_json
from judging.engines.openai import OpenAIEngine
from judging.parsing import parse_verdict
from tests.judging.fake_openai import completion, token
from webapp.outbound import Secret

LABELS = ("A", "B", "C")
REQUEST = JudgeRequest(messages=[{"role": "user", "content": "Which?"}], labels=LABELS)
CANARY = "sk-canary-5a1e"


@pytest.fixture
def engine(fake_openai):
    made = []

    def make(**options):
        defaults = {
            "base_url": fake_openai.base_url,
            "model": "judge-1",
            "secret": Secret(CANARY),
            "allow": ["127.0.0.1"],
            "deadline_s": 5.0,
            "backoff_s": 0.01,
        }
        made.append(OpenAIEngine(**(defaults | options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def status_of(reply):
    return parse_verdict(reply.text, finish_reason=reply.finish_reason, labels=LABELS).status


def test_a_good_answer(engine, fake_openai):
    (reply,) = engine(sampling=Sampling(temperature=0.3, max_tokens=50, seed=7)).judge([REQUEST])
    assert (reply.text, reply.finish_reason, reply.error) == ("[[A]]", "stop", "")
    assert reply.usage == {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    body = fake_openai.calls[0]
    assert body["messages"] == [{"role": "user", "content": "Which?"}]
    sent = {name: body[name] for name in ("model", "temperature", "top_p", "max_tokens", "seed", "stream")}
    assert sent == {
        "model": "judge-1",
        "temperature": 0.3,
        "top_p": 1.0,
        "max_tokens": 50,
        "seed": 7,
        "stream": False,
    }
    assert fake_openai.headers[0]["Authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart(engine, fake_openai, field):
    fake_openai.script = lambda r, body, n: r.json(completion("[[B]]", **{field: "perhaps [[A]]"}))
    (reply,) = engine().judge([REQUEST])
    assert (reply.text, reply.reasoning) == ("[[B]]", "perhaps [[A]]")


FAULTS = {
    "hang": lambda r: r.hang(),
    "drip": lambda r: r.drip(),
    "drip after headers": lambda r: r.drip(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n[[A]]"
    ),
    "500": lambda r: r.error(500, "[[A]] broke"),
    "429": lambda r: r.error(429, "slow down"),
    "401": lambda r: r.error(401, f"Incorrect API key provided: {CANARY}"),
    "404": lambda r: r.error(404, "no such model"),
    "400": lambda r: r.error(400, "context too long"),
    "302": lambda r: r.raw(b"", 302, Location="http://127.0.0.1/"),
    "100 MB": lambda r: r.endless(),
    "cut JSON": lambda r: r.raw(
        b'{"choices": [{"message": {"content": "[[A]]"', Content_Type="application/json"
    ),
    "HTML": lambda r: r.raw(b"<html>[[A]]</html>", Content_Type="text/html"),
    "no content type": lambda r: r.raw(b"[[A]]"),
    "JSON under another type": lambda r: r.raw(b'{"choices": []}', Content_Type="text/plain"),
    "JSON list": lambda r: r.json(["[[A]]"]),
    "no choices": lambda r: r.json({"choices": []}),
    "choice without message": lambda r: r.json({"choices": [{"text": "[[A]]"}]}),
    "error with 200": lambda r: r.json({"error": {"message": "[[A]]"}}),
    "gzip": lambda r: r.raw(b"\x1f\x8b[[A]]", Content_Type="application/json", Content_Encoding="gzip"),
    "early close": lambda r: r.connection.close(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_by_the_deadline_and_never_a_verdict(engine, fake_openai, fault):
    fake_openai.script = lambda request, body, number: FAULTS[fault](request)
    began = time.monotonic()
    replies = engine(deadline_s=1.0).judge([REQUEST] * 3)
    assert time.monotonic() - began < 1.0 + 5.0
    assert len(replies) == 3
    for reply in replies:
        assert (reply.finish_reason, reply.text, status_of(reply)) == ("error", "", "error")
        assert reply.error
        assert CANARY not in reply.error


def test_an_endless_answer_is_hung_up_on(engine, fake_openai):
    fake_openai.script = lambda request, body, number: request.endless()
    engine().judge([REQUEST])
    assert fake_openai.hung_up.wait(10)


def test_length_and_filter_are_passed_on(engine, fake_openai):
    reasons = iter(["length", "content_filter"])
    fake_openai.script = lambda r, body, n: r.json(completion("[[A]]", finish_reason=next(reasons)))
    replies = engine(concurrency=1).judge([REQUEST] * 2)
    assert [status_of(reply) for reply in replies] == ["truncated", "refused"]


def test_a_refusal_field_is_a_refusal(engine, fake_openai):
    fake_openai.script = lambda r, body, n: r.json(completion(None, refusal="I won't"))
    assert status_of(engine().judge([REQUEST])[0]) == "refused"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_it_tries_again_after_a_passing_error(engine, fake_openai, status):
    fake_openai.script = lambda r, body, n: r.error(status, "busy") if n < 3 else r.json(completion())
    (reply,) = engine().judge([REQUEST])
    assert (reply.text, len(fake_openai.calls)) == ("[[A]]", 3)


@pytest.mark.parametrize(
    "value",
    ["0.3", format_datetime(datetime.now(UTC) + timedelta(days=-1), usegmt=True), "not a date"],
    ids=["seconds", "past date", "nonsense"],
)
def test_retry_after_is_honoured(engine, fake_openai, value):
    fake_openai.script = lambda r, body, n: (
        r.error(429, "busy", Retry_After=value) if n == 1 else r.json(completion())
    )
    began = time.monotonic()
    (reply,) = engine().judge([REQUEST])
    waited = time.monotonic() - began
    assert reply.text == "[[A]]"
    assert waited >= 0.3 if value == "0.3" else waited < 2


def test_nul_characters_never_reach_the_database(engine, fake_openai):
    fake_openai.script = lambda r, body, n: (
        r.json(completion("\x00[[A]]\x00", reasoning="why\x00")) if n == 1 else r.error(401, "no\x00")
    )
    one = engine(concurrency=1)
    good, bad = one.judge([REQUEST, REQUEST])
    assert (good.text, good.reasoning) == ("[[A]]", "why")
    assert "no" in bad.error
    assert "\x00" not in bad.error


def test_retry_after_beyond_the_deadline_ends_at_once(engine, fake_openai):
    fake_openai.script = lambda r, body, n: r.error(429, "busy", Retry_After="86400")
    began = time.monotonic()
    (reply,) = engine(deadline_s=3.0).judge([REQUEST])
    assert "deadline" in reply.error
    assert time.monotonic() - began < 2


REFUSALS = {
    "max_tokens": ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens"),
    "temperature": ("Unsupported value: 'temperature' does not support 0.", "temperature"),
    "top_logprobs": ("top_logprobs must be at most 0", "top_logprobs"),
    "seed": ("Extra inputs are not permitted: seed", None),
}


def test_refused_fields_are_dropped_once_and_remembered(engine, fake_openai):
    def picky(request, body, number):
        for field, (message, param) in REFUSALS.items():
            if field in body:
                return request.error(400, message, param)
        return request.json(completion())

    fake_openai.script = picky
    one = engine(concurrency=1)
    assert one.probe().error == ""
    assert one.dialect == Dialect(old_length_field=False, temperature=False, seed=False, top_logprobs=0)
    before = len(fake_openai.calls)
    assert [reply.text for reply in one.judge([REQUEST] * 3)] == ["[[A]]"] * 3
    assert len(fake_openai.calls) == before + 3
    assert fake_openai.calls[-1]["max_completion_tokens"] == Sampling().max_tokens
    stored = dialect_from_json(one.dialect.to_json())
    assert stored == one.dialect
    assert dialect_from_json({"top_logprobs": "x", "unknown": 1}) == Dialect()
    assert set(asdict(stored)) == set(one.dialect.to_json())


def test_a_probe_sees_that_log_probabilities_are_ignored(engine):
    one = engine()
    assert one.probe().error == ""
    assert one.dialect.top_logprobs == 0


def test_label_probabilities_at_the_verdict(engine, fake_openai):
    tokens = [
        token("A", -5.0, A=-5.0),
        token(" wins. ", -0.1),
        token("[[", -0.1),
        token("B", math.log(0.6), A=math.log(0.3), B=math.log(0.6), C=math.log(0.05)),
        token("]]", -0.1),
    ]
    fake_openai.script = lambda r, body, n: r.json(completion("A wins. [[B]]", logprobs={"content": tokens}))
    (reply,) = engine().judge([REQUEST])
    assert {k: math.exp(v) for k, v in reply.label_logprobs.items()} == pytest.approx(
        {"A": 0.3, "B": 0.6, "C": 0.05}
    )


def test_label_glued_to_its_brackets_and_a_label_that_is_not_listed(engine, fake_openai):
    glued = token("[[A", math.log(0.7), **{"[[A": math.log(0.7), " [[B": math.log(0.2)})
    fake_openai.script = lambda r, body, n: r.json(
        completion("[[A]]", logprobs={"content": [glued, token("]]")]})
    )
    (reply,) = engine().judge([REQUEST])
    shares = {k: math.exp(v) for k, v in reply.label_logprobs.items()}
    assert shares == pytest.approx({"A": 0.7, "B": 0.2, "C": 0.1})


@pytest.mark.parametrize(
    "logprobs",
    [None, {}, {"content": None}, {"content": []}, {"content": [{"token": "x"}]}, {"content": "no"}],
)
def test_without_usable_log_probabilities_there_are_none(engine, fake_openai, logprobs):
    fake_openai.script = lambda r, body, n: r.json(completion("[[A]]", logprobs=logprobs))
    (reply,) = engine().judge([REQUEST])
    assert (reply.text, reply.label_logprobs) == ("[[A]]", None)


def test_replies_keep_the_order_and_concurrency_is_bounded(engine, fake_openai):
    met = threading.Barrier(3, timeout=10)

    def script(request, body, number):
        met.wait()  # three at once must arrive, or this breaks
        request.json(completion(body["messages"][0]["content"]))

    fake_openai.script = script
    asked = [JudgeRequest(messages=[{"role": "user", "content": str(i)}], labels=LABELS) for i in range(9)]
    replies = engine(concurrency=3).judge(asked)
    assert [reply.text for reply in replies] == [str(i) for i in range(9)]
    assert fake_openai.most_under_way == 3


def test_a_stop_ends_what_has_not_begun(engine, fake_openai):
    replies = engine(concurrency=1).judge([REQUEST] * 5, should_stop=lambda: len(fake_openai.calls) >= 2)
    assert [reply.error for reply in replies] == ["", "", STOPPED, STOPPED, STOPPED]
    assert len(fake_openai.calls) == 2


def test_a_private_address_is_refused_without_a_call(engine, fake_openai):
    (reply,) = engine(allow=[]).judge([REQUEST])
    assert (reply.finish_reason, status_of(reply)) == ("error", "error")
    assert "CHOSEN_OUTBOUND_ALLOW" in reply.error
    assert fake_openai.calls == []


def test_the_key_comes_back_nowhere(engine, fake_openai, caplog):
    caplog.set_level(logging.DEBUG)
    echoes = [completion(f"{CANARY} [[A]]", reasoning=CANARY)]
    fake_openai.script = lambda r, body, n: r.error(401, f"bad key {CANARY}") if n == 1 else r.json(echoes[0])
    one = engine(concurrency=1)
    replies = one.judge([REQUEST] * 2)
    assert "***" in replies[0].error
    assert replies[1].text == "*** [[A]]"
    assert CANARY not in repr(replies) + repr(vars(one)) + caplog.text
