"""Scoring files: every layout, any kill, bounded memory, and no mixing of models or sources."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.reward import Callbacks, ConfigError, DataError, Scores, Stopped, open_reward_model, train
from workers.reward.folder import manifest_hash
from workers.reward.scorers import ScorerSpec, open_scorer
from workers.reward.scoring import score_file
from workers.reward.scoring.source import reading_order, windows

from .builders import ROOT, planted_pairs
from .test_scorers import write_classifier
from .transformers_small import TINY


class Reader:
    """Scores a response by its length; refuses those that hold REFUSE. Remembers how often it was asked."""

    kind, template_hash, temperature = "stub", "stub-1", 1.0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score(self, items, *, callbacks=None):
        if any("REFUSE" in item.response for item in items):
            raise DataError("the chat template refused a conversation")
        self.asked += [f"{item.item_id}/{item.response}" for item in items]
        value = np.array([len(item.response) * 0.25 - 3 for item in items], dtype=np.float32)
        heads = np.stack([value - 1, value + 1], axis=1)
        cut = np.array([len(item.response) > 40 for item in items])
        return Scores(value, heads, np.arange(len(items)), cut, {"tone": value * 2})


def write_lines(path: Path, rows: list[object]) -> Path:
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def some_rows(n: int, seed: int = 0) -> list[object]:
    rng = random.Random(seed)
    return [
        {"id": f"r{i}", "prompt": f"Question {rng.randrange(9)}?", "response": "word " * rng.randrange(12)}
        for i in range(n)
    ]


def run(source, target, scorer=None, **options):
    return score_file(scorer or Reader(), source, target, **{"model": "m1", "version": "v1", **options})


LAYOUTS = [
    ({"prompt": "Q", "response": "A"}, [("response", 1, "A")]),
    ({"messages": [{"role": "user", "content": "Q"}], "response": "A"}, [("response", 1, "A")]),
    (
        {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
        [("messages", 1, "A")],
    ),
    ({"prompt": "Q", "responses": ["A", "B"]}, [("responses.0", 1, "A"), ("responses.1", 1, "B")]),
    (
        {"prompt": "Q", "responses": [{"text": "A", "model": "m"}, {"text": "B", "model": None}]},
        [("responses.0", 1, "A"), ("responses.1", 1, "B")],
    ),
    ({"prompt": "Q", "chosen": "A", "rejected": "B"}, [("chosen", 1, "A"), ("rejected", 1, "B")]),
    ({"prompt": "Q", "chosen": ["A"], "rejected": ["B", "C"]},
     [("chosen.0", 1, "A"), ("rejected.0", 1, "B"), ("rejected.1", 1, "C")]),
    (
        {
            "prompt": "Q",  # repeated by a whole conversation
            "chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}],
            "rejected": [{"role": "assistant", "content": "B"}],
        },
        [("chosen", 1, "A"), ("rejected", 1, "B")],
    ),
    (
        {"chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
        [("chosen", 1, "A")],
    ),
    ({"prompt": "", "response": ""}, [("response", 0, "")]),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), LAYOUTS)
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_every_layout_of_a_row_is_read(tmp_path, row, expected, suffix):
    source = tmp_path / f"in{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([row]), source)
    else:
        write_lines(source, [row])
    (found,) = windows(source, 10, 10**6, pytest.fail)
    assert [(a.response, len(a.item.messages), a.item.response) for a in found] == expected
    assert {a.item.item_id for a in found} == {"1"}


def test_every_row_names_what_made_it(tmp_path):
    source = write_lines(
        tmp_path / "in.jsonl", [{"prompt": "Q", "response": "x" * 50}, {"prompt": "Q", "response": "\ud800"}]
    )
    done = run(source, tmp_path / "out.parquet")
    assert (done.rows, done.scored, done.skipped, done.truncated) == (2, 2, 0, 1)
    first, second = pq.read_table(done.path, schema=None).to_pylist()
    assert first == {
        "row": 1, "response": "response", "id": "1", "score": 9.5, "std": 1.0, "heads": [8.5, 10.5],
        "n_tokens": 1, "truncated": True, "aspects": [("tone", 19.0)], "model": "m1", "version": "v1",
        "template_hash": "stub-1",
    }  # fmt: skip
    assert second["score"] < 0
    lines = run(source, tmp_path / "out.jsonl.gz").path
    with gzip.open(lines) as opened:
        assert json.loads(opened.readline()) == first | {"aspects": {"tone": 19.0}}
    assert not list(tmp_path.glob("*.parts"))


class Killed(BaseException):
    """A kill, as far as Python can tell."""


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_kill_at_any_write_and_a_second_call_end_like_an_uninterrupted_run(tmp_path, monkeypatch, suffix):
    source = write_lines(tmp_path / "in.jsonl", [*some_rows(20), "{oops", *some_rows(6, 1)])
    sizes = {"window": 12, "chunk": 5, "on_error": "skip"}
    whole = run(source, tmp_path / f"whole{suffix}", **sizes)
    assert (whole.rows, whole.skipped) == (26, 1)
    rename, at = Path.replace, 0
    for kill_before in (True, False):
        for at in range(1, 20):
            calls = 0

            def replace(self, target, at=at, before=kill_before):
                nonlocal calls
                calls += 1
                if calls == at and before:
                    raise Killed
                moved = rename(self, target)
                if calls == at:
                    raise Killed
                return moved

            target, scorer = tmp_path / f"out{at}{kill_before}{suffix}", Reader()
            monkeypatch.setattr(Path, "replace", replace)
            try:
                run(source, target, scorer, **sizes)
                break  # fewer writes than that: every one has been killed
            except Killed:
                assert not target.exists() or target.read_bytes() == whole.path.read_bytes()
            finally:
                monkeypatch.setattr(Path, "replace", rename)
            before = len(scorer.asked)
            again = run(source, target, scorer, **sizes)
            assert target.read_bytes() == whole.path.read_bytes()
            assert (again.rows, again.skipped, again.errors) == (26, 1, whole.errors)
            # At most the chunk that was being written is scored again.
            assert len(scorer.asked) - 26 == (before - (26 - again.scored))
            assert 0 <= len(scorer.asked) - 26 <= 5 * kill_before
            assert run(source, target, scorer, **sizes).scored == 0
            assert not target.with_name(f"{target.name}.parts").exists()
        assert at == 11  # one more than state, 3 + 3 + 1 parts, target, receipt


def test_a_process_that_is_killed_hard_loses_one_chunk_at_most(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", some_rows(60))
    whole = run(source, tmp_path / "whole.parquet", window=30, chunk=4)
    script = textwrap.dedent(
        """
        import sys, time
        from tests.workers.reward.test_scoring import Reader
        from workers.reward.scoring import score_file
        class Slow(Reader):
            def score(self, items, **options):
                time.sleep(0.05)
                return super().score(items, **options)
        score_file(Slow(), *sys.argv[1:], model="m1", version="v1", window=30, chunk=4)
        """
    )
    target = tmp_path / "out.parquet"
    process = subprocess.Popen([sys.executable, "-c", script, source, target], cwd=ROOT)
    parts = target.with_name("out.parquet.parts")
    deadline = time.monotonic() + 60
    while len(list(parts.glob("part-*"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    made = len(list(parts.glob("part-*")))
    scorer = Reader()
    run(source, target, scorer, window=30, chunk=4)
    assert 12 <= 60 - len(scorer.asked) <= made * 4
    assert target.read_bytes() == whole.path.read_bytes()


def test_stopping_is_obeyed_between_chunks(tmp_path):
    class Impatient(Callbacks):
        seen: list[tuple[int, int]] = []

        def progress(self, done, total, message):
            self.seen.append((done, total))

        def should_stop(self):
            return len(self.seen) == 3

    source = write_lines(tmp_path / "in.jsonl", some_rows(30))
    with pytest.raises(Stopped):
        run(source, tmp_path / "out.parquet", callbacks=Impatient(), window=10, chunk=4)
    assert Impatient.seen == [(4, 10), (8, 10), (10, 10)]
    assert run(source, tmp_path / "out.parquet", window=10, chunk=4).scored == 20


@pytest.mark.parametrize(
    ("change", "said"),
    [({"model": "m2"}, "model 'm1', not 'm2'"), ({"on_error": "skip"}, "on_error"), ({"chunk": 3}, "chunk 4, not 3")],
)  # fmt: skip
def test_another_model_or_setting_is_refused(tmp_path, change, said):
    source = write_lines(tmp_path / "in.jsonl", [*some_rows(9), {"prompt": "Q", "response": "REFUSE"}])
    with pytest.raises(DataError, match="row 10: response: the chat template refused"):
        run(source, tmp_path / "out.parquet", chunk=4)
    with pytest.raises(DataError, match=said):
        run(source, tmp_path / "out.parquet", **{"chunk": 4, **change})


def test_another_source_is_refused_before_and_after_the_end(tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    write_lines(source, [*some_rows(9), {"prompt": "Q", "response": "REFUSE"}])
    with pytest.raises(DataError, match="refused"):
        run(source, target, chunk=4)
    write_lines(source, some_rows(9))
    with pytest.raises(DataError, match=r"out\.parquet\.parts was made with source"):
        run(source, target, chunk=4)
    run(source, tmp_path / "new.parquet")
    write_lines(source, some_rows(8))
    with pytest.raises(DataError, match=r"new\.parquet was made with source"):
        run(source, tmp_path / "new.parquet")
    (tmp_path / "new.parquet").unlink()  # as the error says
    assert run(source, tmp_path / "new.parquet").scored == 8
    (tmp_path / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(DataError, match="was not made by this"):
        run(source, tmp_path / "mine.parquet")
    assert (tmp_path / "mine.parquet").read_bytes() == b"mine"
    assert not (tmp_path / "mine.parquet.parts").exists()


BAD = [
    ("{oops", "row 2: cannot be read"),
    ("[1]", "row 2: is no JSON object"),
    (b"\xff\xfe".decode("latin-1"), "row 2: cannot be read"),
    ({"response": "A"}, "row 2: prompt is missing"),
    ({"prompt": "Q"}, "row 2: response is missing"),
    ({"prompt": 3, "response": "A"}, "row 2: prompt is neither"),
    ({"prompt": "Q", "response": 3}, "row 2: response "),
    ({"prompt": "Q", "responses": [None]}, "row 2: responses.0 "),
    ({"prompt": "Q", "response": "REFUSE"}, "row 2: response: the chat template refused"),
    ("[" * 100_000, "row 2: cannot be read"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_a_bad_line_stops_by_name_or_is_counted(tmp_path, line, said):
    good = {"prompt": "Q", "response": "A"}
    source = write_lines(tmp_path / "in.jsonl", [good, line, good])
    with pytest.raises(DataError, match=rf"in\.jsonl, {said}"):
        run(source, tmp_path / "stop.parquet")
    assert not (tmp_path / "stop.parquet").exists()
    done = run(source, tmp_path / "skip.parquet", on_error="skip")
    assert (done.rows, done.skipped) == (2, 1)
    assert said in done.errors[0]
    assert pq.read_table(done.path)["row"].to_pylist() == [1, 3]
    assert run(source, tmp_path / "skip.parquet", on_error="skip") == done.__class__(
        done.path, 2, 0, 1, 0, done.errors
    )


def test_a_file_that_ends_in_the_middle_is_an_error_whatever_on_error_says(tmp_path):
    source = write_lines(tmp_path / "in.jsonl.gz", some_rows(500))
    source.write_bytes(source.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"in\.jsonl\.gz, row \d+: cannot be read"):
        run(source, tmp_path / "out.parquet", on_error="skip")
    (tmp_path / "in.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"in\.parquet, row 1: cannot be read"):
        run(tmp_path / "in.parquet", tmp_path / "out2.parquet")


def test_bad_settings_are_refused_before_anything_is_written(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", some_rows(1))
    for options in ({"model": ""}, {"on_error": "ignore"}, {"chunk": 0}, {"window": 4, "chunk": 5}):
        with pytest.raises(ConfigError):
            run(source, tmp_path / "out.parquet", **options)
    with pytest.raises(ConfigError, match=r"written as \.parquet"):
        run(source, tmp_path / "out.csv")
    with pytest.raises(DataError, match="there is no file"):
        run(tmp_path / "no.jsonl", tmp_path / "out.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_source_without_rows_gives_a_file_without_rows(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", [])
    done = run(source, tmp_path / "out.parquet")
    assert done.rows == 0
    assert pq.read_table(done.path).column_names[:3] == ["row", "response", "id"]


def test_two_processes_cannot_write_one_target(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", some_rows(3))

    class Nosy(Reader):
        def score(self, items, **options):
            with pytest.raises(DataError, match="another process"):
                run(source, tmp_path / "out.parquet")
            return super().score(items, **options)

    assert run(source, tmp_path / "out.parquet", Nosy()).rows == 3


def test_answers_to_a_prompt_are_scored_beside_each_other(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", some_rows(200))
    (found,) = windows(source, 500, 10**6, pytest.fail)
    order = reading_order(found)
    prompts = [found[i].item.messages for i in order]
    assert sum(a != b for a, b in pairwise(prompts)) == 8
    assert sorted(order) == list(range(200))


def test_a_window_ends_when_its_text_is_long(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", [{"prompt": "Q", "response": "x" * 99}] * 10)
    assert [len(w) for w in windows(source, 100, 250, pytest.fail)] == [3, 3, 3, 1]


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for n in (3_000, 9_000):
        source = write_lines(tmp_path / f"{n}.jsonl.gz", some_rows(n))

        class Forgetful(Reader):
            def score(self, items, **options):
                self.asked = []
                return super().score(items, **options)

        tracemalloc.start()
        assert run(source, tmp_path / f"{n}.parquet", Forgetful(), window=1000, chunk=500).rows == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_a_transformers_scores_are_those_it_gives_one_by_one(tmp_path):
    train("transformer", planted_pairs(24), TINY, tmp_path / "m")
    scorer = open_reward_model(tmp_path / "m")
    rows = [
        {"prompt": p.messages[0].content, "chosen": p.chosen, "rejected": p.rejected} for p in planted_pairs(30)
    ]  # fmt: skip
    source = write_lines(tmp_path / "in.jsonl", [*rows, {"prompt": "money " * 900, "response": "so " * 900}])
    identity = manifest_hash(tmp_path / "m")
    done = run(source, tmp_path / "out.parquet", scorer, model=identity, window=32, chunk=8)
    table = pq.read_table(done.path).to_pylist()
    assert done.truncated == 1
    assert table[-1]["truncated"]
    assert {row["model"] for row in table} == {identity}
    (one, two) = windows(source, 32, 10**6, pytest.fail)
    alone = [float(scorer.score([a.item]).value[0]) for a in (*one, *two)]
    np.testing.assert_allclose([row["score"] for row in table], alone, atol=1e-4)


class Comparer(Reader):
    """Scores a response by the others to its prompt among what it is given: their number and their mean length."""

    compares_siblings = True

    def score(self, items, *, callbacks=None):
        beside = [[len(o.response) for o in items if o.messages == item.messages] for item in items]
        value = np.array([100 * len(sizes) + np.mean(sizes) for sizes in beside], dtype=np.float32)
        return Scores(value, value[:, None], np.arange(len(items)), np.zeros(len(items), dtype=bool))


@pytest.mark.parametrize(("window", "chunk"), [(1, 1), (3, 2), (7, 3), (500, 2), (500, 500)])
def test_a_scorer_that_compares_siblings_is_given_whole_prompts_whatever_the_sizes(tmp_path, window, chunk):
    neighbours = [("a", 3), ("b", 1), ("a", 2), ("c", 9), ("d", 1), ("b", 4)]
    rows = [
        {"prompt": prompt, "response": "x" * (i + 10 * k)}
        for k, (prompt, n) in enumerate(neighbours)
        for i in range(n)
    ]
    rows.insert(8, {"prompt": "c", "responses": ["y", "yy"]})  # in the midst of the nine to c
    source = write_lines(tmp_path / "in.jsonl", rows)
    done = run(source, tmp_path / "out.parquet", Comparer(), window=window, chunk=chunk)
    table = pq.read_table(done.path).to_pylist()
    wanted = [3] * 3 + [1] + [2] * 2 + [11] * 11 + [1] + [4] * 4
    assert [int(row["score"] // 100) for row in table] == wanted
    assert [row["row"] for row in table] == sorted(row["row"] for row in table)
    assert done.scored == len(wanted) == 22


def test_a_pair_models_file_of_scores_does_not_depend_on_the_chunks(tmp_path):
    scorer = open_scorer(ScorerSpec("pair", write_classifier(tmp_path / "m", 1), max_length=64, device="cpu"))
    rows = [{"prompt": f"q{i // 5}", "response": "water " * (i % 5 + 1)} for i in range(15)]
    source = write_lines(tmp_path / "in.jsonl", rows)
    whole, parts = (
        pq.read_table(run(source, tmp_path / f"{n}.parquet", scorer, window=n, chunk=n).path)["score"]
        for n in (100, 3)
    )
    assert len({round(score, 6) for score in whole.to_pylist()}) > 2
    np.testing.assert_allclose(parts, whole, atol=1e-5)
