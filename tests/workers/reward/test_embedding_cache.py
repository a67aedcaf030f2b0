"""The cache of states: found again by content, bounded, shared by processes, and never a reason to fail."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workers.reward.embedding import cache as module
from workers.reward.embedding.cache import FILE, EmbeddingCache

ROOT = Path(__file__).resolve().parents[3]
SPACE = ("backbone", "template", "last")


def vectors(start: int, count: int, width: int = 16):
    rng = np.random.default_rng(start)
    return {(i, 7): rng.normal(size=width).astype(np.float32) for i in range(start, start + count)}


def test_vectors_come_back_bit_by_bit_and_only_in_their_own_space(tmp_path):
    kept = vectors(0, 1200)
    EmbeddingCache(tmp_path, SPACE).put(kept)
    found = EmbeddingCache(tmp_path, SPACE).get([*kept, (99_999,)])
    assert found.keys() == kept.keys()
    assert all(np.array_equal(found[row], kept[row]) for row in kept)
    for other in (("other", *SPACE[1:]), (SPACE[0], "other", SPACE[2]), (*SPACE[:2], "mean")):
        assert EmbeddingCache(tmp_path, other).get([*kept]) == {}
    assert EmbeddingCache(tmp_path, SPACE).get([]) == {}


def test_ids_are_told_apart_however_they_are_written(tmp_path):
    cache = EmbeddingCache(tmp_path, SPACE)
    cache.put({(1, 23): np.ones(2, np.float32)})
    assert cache.get([(12, 3), (1, 2, 3), (123,), (1, 23, 0)]) == {}


def test_a_file_over_its_bound_drops_what_was_not_asked_for_longest(tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path, SPACE, max_bytes=300_000)
    now = [1_000 * 86_400.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    old, new = vectors(0, 400, width=128), vectors(1000, 400, width=128)
    cache.put(old)
    now[0] += 86_400
    cache.put(new)
    now[0] += 86_400
    asked = [*old][:100]
    cache.get(asked)
    size = (tmp_path / FILE).stat().st_size
    cache.shrink()
    assert (tmp_path / FILE).stat().st_size < 0.95 * 300_000 < size
    left = cache.get([*old, *new])
    assert set(asked) <= left.keys()
    assert not set([*old][100:]) & left.keys()
    before = len(left)
    cache.shrink()
    assert len(cache.get([*old, *new])) == before


def test_two_processes_write_the_same_rows_at_once(tmp_path):
    script = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from workers.reward.embedding.cache import EmbeddingCache\n"
        f"cache = EmbeddingCache(Path(sys.argv[1]), {SPACE!r})\n"
        "for start in range(0, 200, 20):\n"
        "    cache.put({(i,): np.full(8, i, np.float32) for i in range(start, start + 30)})\n"
        "    cache.get([(i,) for i in range(start)])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    found = EmbeddingCache(tmp_path, SPACE).get([(i,) for i in range(210)])
    assert len(found) == 210
    assert all((vector == row[0]).all() for row, vector in found.items())


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be taken for one" * 40, b"\0" * 8192]
)
def test_a_damaged_file_is_begun_anew(tmp_path, caplog, content):
    (tmp_path / FILE).write_bytes(content)
    cache, kept = EmbeddingCache(tmp_path, SPACE), vectors(0, 5)
    with caplog.at_level(logging.WARNING):
        assert cache.get([*kept]) == {}
    assert "begun anew" in caplog.text
    cache.put(kept)
    assert cache.get([*kept]).keys() == kept.keys()


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path, caplog, monkeypatch):
    (tmp_path / "file").write_text("")
    blocked = EmbeddingCache(tmp_path / "file" / "folder", SPACE)
    blocked.put(vectors(0, 2))
    assert blocked.get([(0, 7)]) == {}
    assert "not cached" in caplog.text
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    cache = EmbeddingCache(tmp_path, SPACE)
    cache.put(vectors(0, 2))
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert cache.get([(0, 7)]) == {}
        cache.put(vectors(5, 2))
    other.close()
    assert cache.get([(0, 7), (5, 7)]).keys() == {(0, 7)}


def test_clearing_leaves_nothing(tmp_path):
    cache = EmbeddingCache(tmp_path, SPACE)
    cache.put(vectors(0, 3))
    cache.clear()
    assert list(tmp_path.iterdir()) == []
    assert cache.get([(0, 7)]) == {}
