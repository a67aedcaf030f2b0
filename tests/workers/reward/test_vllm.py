"""Scores through vLLM's server, against a stand-in that answers as vLLM does, and what is refused."""

from __future__ import annotations

import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from workers.reward import (
    Callbacks,
    ConfigError,
    ModelUnavailableError,
    NotFiniteError,
    Stopped,
    open_reward_model,
    train,
)
from workers.reward.cli.main import main
from workers.reward.folder import MODEL_CARD, read_json
from workers.reward.transformer.inference import score_rows
from workers.reward.transformer.scorer import load_scorer
from workers.reward.transformer.template import Encoded
from workers.reward.transformer.vllm import PROBES, load_vllm

from .builders import items, planted_pairs
from .transformers_small import TINY

TEXTS = ["because the evidence", "lol", "", "😀 \ud800", "money " * 500, *("so " * i for i in range(150))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vllm") / "m"
    train("transformer", planted_pairs(32), TINY, folder)
    return folder


class StandIn(ThreadingHTTPServer):
    """Answers ``/v1/models`` and ``/classify`` with the model's scores of the token ids it is sent, through a sigmoid
    unless ``use_activation`` is false, as vLLM 0.32 does for a model that does not say otherwise."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Answers)
        self.scorer = load_scorer(folder, read_json(folder / MODEL_CARD))
        self.longest, self.knows_activation, self.classes, self.status = 512, True, 1, 200
        self.requests, self.lock = [], threading.Lock()
        self.broken = None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def classify(self, body):
        rows = [Encoded(tuple(ids), len(ids)) for ids in body["input"]]
        with self.lock:
            self.requests.append(body)
            raw = score_rows(self.scorer.model, rows, self.scorer.pad_id, 4096).tolist()
        if self.broken is not None:
            return [self.broken] * len(raw)
        if self.knows_activation and body.get("use_activation") is False:
            return raw
        return [1 / (1 + math.exp(-score)) for score in raw]


class Answers(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, value, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def do_GET(self):
        self.answer({"data": [{"id": "served", "max_model_len": self.server.longest}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status != 200:
            return self.answer({"error": "no"}, self.server.status)
        assert self.path == "/classify"
        found = [
            {"index": i, "probs": [score] * self.server.classes}
            for i, score in enumerate(self.server.classify(body))
        ]
        return self.answer({"data": found[::-1]})  # no order is promised


@pytest.fixture
def server(folder):
    server = StandIn(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def opened(folder, server):
    return open_reward_model(folder, engine=server.address)


def test_scores_of_a_server_equal_ours(folder, server):
    ours = server.scorer.score(items(TEXTS))
    theirs = opened(folder, server).score(items(TEXTS))
    np.testing.assert_allclose(theirs.value, ours.value, atol=1e-4)
    assert ((theirs.value < 0) | (theirs.value > 1)).any()  # not squeezed
    assert theirs.truncated.tolist() == ours.truncated.tolist()
    assert theirs.truncated[4]
    assert theirs.n_tokens.tolist() == ours.n_tokens.tolist()
    assert theirs.heads.shape == (len(TEXTS), 1)
    assert theirs.value.dtype == np.float32


def test_the_command_line_scores_a_file_by_a_server(folder, server, tmp_path):
    rows = [{"prompt": "Question?", "response": text} for text in ("lol", "because the evidence")]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    asked = ["score", folder, tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--engine", server.address]
    assert main([str(part) for part in asked]) == 0
    found = [json.loads(line)["score"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sum(len(body["input"]) for body in server.requests) == len(PROBES) + 2
    ours = server.scorer.score(items([row["response"] for row in rows])).value
    np.testing.assert_allclose(found, ours, atol=1e-4)


def test_equal_rows_are_sent_once_in_calls_of_bounded_size(folder, server):
    scorer = opened(folder, server)
    server.requests.clear()
    scorer.score(items([*TEXTS, *TEXTS]))
    sizes = [len(body["input"]) for body in server.requests]
    assert sum(sizes) == len({server.scorer.encoder.encode(i.messages, i.response).ids for i in items(TEXTS)})
    assert max(sizes) == 64
    assert {body["use_activation"] for body in server.requests} == {False}
    assert {body["model"] for body in server.requests} == {"served"}


def test_a_server_that_squeezes_is_refused(folder, server):
    server.knows_activation = False  # it ignores the field, with a 200
    with pytest.raises(ConfigError, match="squeezes scores by a sigmoid"):
        opened(folder, server)


def test_a_server_with_another_model_is_refused(folder, server):
    server.scorer.model.score.weight.data *= 1.5
    with pytest.raises(ConfigError, match="runs another model or another precision"):
        opened(folder, server)
    server.scorer.model.score.weight.data /= 1.5
    server.classes = 2
    with pytest.raises(ConfigError, match="gives 2 numbers a response"):
        opened(folder, server)


def test_a_server_that_takes_fewer_tokens_is_refused(folder, server):
    server.longest = TINY.max_length - 1
    with pytest.raises(ConfigError, match=f"--max-model-len {TINY.max_length}"):
        opened(folder, server)


def test_answers_that_are_no_scores_are_errors(folder, server):
    scorer = opened(folder, server)
    server.status = 503
    with pytest.raises(ModelUnavailableError, match="503"):
        scorer.score(items(["x"]))
    server.status = 400
    with pytest.raises(ConfigError, match="400"):
        scorer.score(items(["x"]))
    server.status, server.broken = 200, float("nan")
    with pytest.raises(NotFiniteError):
        scorer.score(items(["x"]))
    server.broken = "much"
    with pytest.raises(ModelUnavailableError, match="no number"):
        scorer.score(items(["x"]))


def test_no_server_is_an_error_that_may_pass(folder):
    with pytest.raises(ModelUnavailableError, match="no answer") as caught:
        open_reward_model(folder, engine="http://127.0.0.1:9")
    assert not caught.value.permanent
    with pytest.raises(ConfigError, match="neither transformers, vllm nor"):
        open_reward_model(folder, engine="tgi")


def test_stopping_is_obeyed_between_calls(folder, server):
    class Impatient(Callbacks):
        def should_stop(self):
            return True

    scorer = opened(folder, server)
    with pytest.raises(Stopped):
        scorer.score(items(TEXTS), callbacks=Impatient())


def test_an_ensemble_is_not_scored_by_its_mean_head_alone(folder):
    card = read_json(folder / MODEL_CARD) | {"heads": 4}
    with pytest.raises(ConfigError, match="heads"):
        load_vllm(folder, card)


def test_without_vllm_the_error_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(ConfigError, match="extra vllm"):
        open_reward_model(folder, engine="vllm")


def test_some_probe_tells_a_raw_score_from_a_squeezed_one(folder):
    scores = load_scorer(folder, read_json(folder / MODEL_CARD)).score(PROBES).value
    assert (np.abs(scores - 1 / (1 + np.exp(-scores))) > 0.05).any()
