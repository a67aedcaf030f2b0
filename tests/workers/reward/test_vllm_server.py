"""Saved folders in a real vLLM on the CPU: `make test-vllm` makes its environment and runs these."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest

from workers.reward import ConfigError, open_reward_model, train
from workers.reward.folder import read_json

from .builders import ROOT, items, planted_pairs
from .transformers_small import TINY, tiny_model

VLLM = os.environ.get("CHOSEN_TEST_VLLM", "")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(not VLLM, reason="needs vLLM in an environment of its own: make test-vllm"),
]
ENVIRONMENT = {
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "PYTHONPATH": str(ROOT),
}
# Lengths from nothing to far above the limit, many to a call, one prompt for all and prompts of their own.
SMALL = dataclasses.replace(TINY, tiny_hidden=64, tiny_layers=2)
TEXTS = [
    "because the evidence",
    "lol",
    "",
    "😀 \ud800",
    "money " * 500,
    *("so the law " * i for i in range(70)),
]
PAIRS = planted_pairs(64, validation=0.25)
ITEMS = [
    *items(TEXTS),
    *items(["Yes.", "No."], "water " * 400),
    *items([p.chosen for p in PAIRS] + [p.rejected for p in PAIRS]),
]
OFFLINE = """
import json, sys
from pathlib import Path
from workers.reward import Item, Message, open_reward_model
rows = json.loads(Path(sys.argv[2]).read_text())
items = [Item(name, tuple(Message(*turn) for turn in turns), response) for name, turns, response in rows]
scores = open_reward_model(sys.argv[1], engine="vllm").score(items)
Path(sys.argv[3]).write_text(json.dumps([scores.value.tolist(), scores.truncated.tolist()]))
"""


def llama_base(folder: Path) -> str:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_model(SMALL)[1]
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["qwen2", "llama", "bert"])
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    base = {"qwen2": "tiny", "bert": "tiny-encoder"}.get(request.param) or llama_base(place / "base")
    train("transformer", PAIRS, dataclasses.replace(SMALL, base=base), place / "model")
    assert read_json(place / "model" / "config.json")["model_type"] == request.param
    return place / "model"


def ours(folder):
    return open_reward_model(folder).score(ITEMS)


@contextmanager
def serve(folder, log):
    """Address of a server of this folder; its whole process group ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        Path(VLLM, "bin", "vllm").absolute(),
        "serve",
        folder,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += ["--runner", "pooling", "--dtype", "float32", "--enforce-eager"]
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 300
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env=os.environ | ENVIRONMENT,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd=log.parent,
        )
        try:
            while True:
                assert process.poll() is None, log.read_text()[-4000:]
                assert time.monotonic() < deadline, log.read_text()[-4000:]
                try:
                    if httpx2.get(f"{address}/health", trust_env=False).status_code == 200:
                        break
                except httpx2.TransportError:
                    time.sleep(0.5)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def assert_equal(capsys, name, mine, values, truncated):
    off = float(np.abs(np.array(values) - mine.value).max())
    outside = int(((mine.value < 0) | (mine.value > 1)).sum())
    with capsys.disabled():
        print(  # noqa: T201 - the figures that `make test-vllm` is run for
            f"\n{name}: {len(values)} responses, largest difference {off:.2g}, scores {mine.value.min():.3f} to "
            f"{mine.value.max():.3f}, {outside} outside [0, 1], {sum(truncated)} cut"
        )
    assert off < 1e-3
    assert list(truncated) == mine.truncated.tolist()
    assert sum(truncated) > 3
    assert mine.value.min() < 0
    assert mine.value.max() > 1


def classify(address, rows, **fields):
    body = fields if rows is None else {"input": rows, **fields}
    answer = httpx2.post(f"{address}/classify", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return np.array([row["probs"][0] for row in answer.json()["data"]])


def test_a_real_server_gives_our_scores(folder, tmp_path, capsys):
    mine = ours(folder)
    encoder = open_reward_model(folder).encoder
    rows = [list(encoder.encode(item.messages, item.response).ids) for item in ITEMS]
    with serve(folder, tmp_path / "log") as address:
        scores = open_reward_model(folder, engine=address).score(ITEMS)
        assert_equal(capsys, f"{folder.parent.name[:-1]} over HTTP", mine, scores.value, scores.truncated)
        # The folder says that it is a regression, so that even a client who forgets the field gets raw scores.
        np.testing.assert_allclose(classify(address, rows), mine.value, atol=1e-3)
        # As text through the server's own tokenizer, as messages through the saved template, and by /pooling.
        turns = [{"role": "user", "content": "Question?"}, {"role": "assistant", "content": TEXTS[0]}]
        text = encoder.tokenizer.apply_chat_template(turns, tokenize=False)
        alone = classify(address, [text], use_activation=False, add_special_tokens=False)
        said = classify(address, None, messages=turns, use_activation=False)
        assert [alone[0], said[0]] == pytest.approx([float(mine.value[0])] * 2, abs=1e-3)
        body = {"input": rows[0], "task": "classify", "use_activation": False}
        pooled = httpx2.post(f"{address}/pooling", json=body, trust_env=False).json()["data"][0]["data"]
        assert pooled == pytest.approx([float(mine.value[0])], abs=1e-3)


def test_offline_vllm_gives_our_scores(folder, tmp_path, capsys):
    (tmp_path / "items.json").write_text(
        json.dumps([[i.item_id, [list(m) for m in i.messages], i.response] for i in ITEMS])
    )
    command = [Path(VLLM, "bin", "python").absolute(), "-c", OFFLINE, folder]
    command += [tmp_path / "items.json", tmp_path / "scores.json"]
    done = subprocess.run(
        command, env=os.environ | ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-4000:]
    values, truncated = json.loads((tmp_path / "scores.json").read_text())
    assert_equal(capsys, f"{folder.parent.name[:-1]} offline", ours(folder), values, truncated)


def test_a_folder_that_does_not_say_regression_is_squeezed_unless_the_right_field_says_no(
    tmp_path_factory, tmp_path
):
    place = tmp_path_factory.mktemp("plain")
    train("transformer", PAIRS, SMALL, place / "model")
    mine = ours(place / "model")
    encoder = open_reward_model(place / "model").encoder
    rows = [list(encoder.encode(item.messages, item.response).ids) for item in ITEMS]
    other = place / "other"
    shutil.copytree(place / "model", other)
    config = read_json(other / "config.json")
    assert config.pop("problem_type") == "regression"
    (other / "config.json").write_text(json.dumps(config))
    squeezed = 1 / (1 + np.exp(-mine.value))
    with serve(other, tmp_path / "log") as address:
        np.testing.assert_allclose(classify(address, rows), squeezed, atol=1e-3)
        # A field that vLLM does not know is ignored, with a 200.
        np.testing.assert_allclose(classify(address, rows, activation=False), squeezed, atol=1e-3)
        np.testing.assert_allclose(classify(address, rows, use_activation=False), mine.value, atol=1e-3)
        scorer = open_reward_model(place / "model", engine=address)
        np.testing.assert_allclose(scorer.score(ITEMS).value, mine.value, atol=1e-3)
        # A server of another model is found out by the probes.
        trained = place / "another"
        train("transformer", planted_pairs(48, seed=3), SMALL, trained)
        with pytest.raises(ConfigError, match="another model"):
            open_reward_model(trained, engine=address)
