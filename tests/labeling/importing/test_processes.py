"""Imports by real processes on a real database file: killed, and two at once."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.labeling.importing.helpers import explicit_row, jsonl, votes_row

ROOT = Path(__file__).resolve().parents[3]
QUERIES = {
    "prompts": "SELECT count(*), count(DISTINCT content_hash) FROM labeling_prompt",
    "responses": "SELECT count(*), count(DISTINCT text) FROM labeling_response",
    "pairs": "SELECT count(*), sum(label_count), sum(open_slots) FROM labeling_comparison",
    "votes": "SELECT count(*), count(DISTINCT comparison_id || '-' || labeler_id) FROM labeling_preference",
    "outcomes": "SELECT sum(votes_a + votes_b), sum(votes_tie) FROM labeling_resolution",
}


def environment(folder: Path) -> dict[str, str]:
    kept = {
        key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "CELERY_BROKER_URL"}
    }
    return kept | {"CHOSEN_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "webapp.settings"}


def command(folder: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def import_file(folder: Path, file: Path) -> subprocess.Popen:
    return command(folder, "import_data", "--project", "pairs", str(file))


@pytest.fixture
def folder(tmp_path):
    migrate = command(tmp_path, "migrate", "--verbosity", "0")
    assert migrate.wait(240) == 0, migrate.stderr.read()
    code = "from labeling.models import Project; Project.objects.create(name='Pairs', slug='pairs')"
    made = command(tmp_path, "shell", "--no-imports", "-c", code)
    assert made.wait(120) == 0, made.stderr.read()
    return tmp_path


def summary(folder: Path) -> dict[str, tuple]:
    with sqlite3.connect(folder / "chosen.sqlite3", timeout=30) as database:
        return {name: database.execute(query).fetchone() for name, query in QUERIES.items()}


def rows_written(folder: Path) -> int:
    with sqlite3.connect(folder / "chosen.sqlite3", timeout=30) as database:
        return database.execute("SELECT count(*) FROM labeling_comparison").fetchone()[0]


@pytest.mark.faults
def test_kill_9_in_the_middle_and_the_same_command_again_gives_the_exact_set(folder, tmp_path):
    count, rng = 6_000, random.Random(7)
    file = tmp_path / "rows.jsonl"
    file.write_bytes(jsonl([explicit_row(number) for number in range(count)]))
    killed = 0
    for share in (0.1, 0.5):
        process = import_file(folder, file)
        limit = share * count + rng.randrange(500)
        while process.poll() is None and rows_written(folder) < limit:
            pass
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait(60)
    assert killed == 2
    assert 0 < rows_written(folder) < count
    last = import_file(folder, file)
    assert last.wait(240) == 0, last.stderr.read()
    assert summary(folder) == {
        "prompts": (count, count),
        "responses": (2 * count, 2 * count),
        "pairs": (count, count, 0),
        "votes": (count, count),
        "outcomes": (count, 0),
    }


@pytest.mark.faults
def test_two_processes_import_the_same_file_at_once(folder, tmp_path):
    count = 3_000
    file = tmp_path / "votes.jsonl"
    file.write_bytes(jsonl([votes_row(number) for number in range(count)]))
    both = [import_file(folder, file) for _ in range(2)]
    for process in both:
        assert process.wait(240) == 0, process.stderr.read()
    assert summary(folder) == {
        "prompts": (count, count),
        "responses": (2 * count, 2 * count),
        "pairs": (count, 3 * count, 0),
        "votes": (3 * count, 3 * count),
        "outcomes": (2 * count, count),
    }
