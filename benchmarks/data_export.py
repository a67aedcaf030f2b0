"""Export of a snapshot: rows a second and memory, and a plain COPY of the same rows beside it.

Usage: python -m benchmarks.data_export [--quick] [--rows N]

A row is 2 kB of text (a prompt and two responses) with three votes. Each export runs in a process of its own, from the
snapshot's file to its last byte, hashes included; memory is the peak of that process above what it had when the export
began. The texts of the same rows lie in a table of PostgreSQL, which COPY reads to its end, as they are and as JSON.
`--quick` takes 100,000 rows instead of a million. Rows ``{"case", "metric", "ours", "rival", "rival_name", "ratio"}``
go to ``$BENCH_OUT`` (default var/bench/data_export.json).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.data.figures import figure  # noqa: E402
from tests.servers import start_postgres, stop_postgres  # noqa: E402

SMALL, LARGE, QUICK = 10_000, 1_000_000, 100_000
WANTED_RATE = 10_000
# (name, options).
EXPORTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("trl-explicit, JSONL", {"layout": "trl-explicit"}),
    ("chosen (everything), JSONL", {"layout": "chosen"}),
    ("trl-explicit, Parquet", {"layout": "trl-explicit", "format": "parquet"}),
)


@dataclass(frozen=True)
class Measured:
    rows: int
    bytes: int
    seconds: float
    cpu_s: float
    memory_mb: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def snapshot_of(number: int, rows: int, file_hash: str = "") -> Any:
    """A ready snapshot that stands in no database; its file is in DATA_DIR."""
    import uuid

    from labeling.models import Project, Snapshot, SnapshotState

    return Snapshot(
        uid=uuid.UUID(int=number),
        project=Project(pk=1, name="Benchmark", slug="benchmark"),
        number=number,
        state=SnapshotState.READY,
        row_count=rows,
        content_hash=f"{number:064x}",
        file_hash=file_hash,
    )


def snapshot_written(number: int, count: int) -> str:
    """Write a snapshot's file of random words, so that no text stands in it twice. Returns its hash."""
    from labeling.snapshots.files import SnapshotWriter, snapshot_path
    from labeling.snapshots.rows import SnapshotRow

    draw = random.Random(number)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(5_000)]

    def text(size: int) -> str:
        return " ".join(draw.choices(words, k=size // 6))

    with SnapshotWriter(snapshot_path(snapshot_of(number, count))) as writer:
        for row in range(count):
            outcome, other = ("a", "b") if row % 2 else ("b", "a")
            said = [
                {"labeler": f"Labeler {row % 40 + person}", "outcome": vote, "strength": 1 + row % 4}
                for person, vote in enumerate((outcome, outcome, other))
            ]
            writer.add(
                SnapshotRow(
                    comparison_id=row + 1,
                    prompt_id=row + 1,
                    messages=[{"role": "user", "content": text(400)}],
                    response_a_id=2 * row + 1,
                    response_a=text(800),
                    response_b_id=2 * row + 2,
                    response_b=text(800),
                    model_a="model-one",
                    model_b="model-two",
                    outcome=outcome,
                    p_a=2 / 3 if outcome == "a" else 1 / 3,
                    strength=float(1 + row % 4),
                    votes_a=2 if outcome == "a" else 1,
                    votes_b=2 if outcome == "b" else 1,
                    group=f"group {row}",
                    split=("train", "train", "train", "validation", "test")[row % 5],
                    language="en",
                    topic=f"topic {row % 9}",
                    is_disputed=True,
                    annotators=said,
                )
            )
        digest = writer.finish()
        writer.publish()
    return digest


def measure(number: int, rows: int, file_hash: str, options: dict[str, str]) -> Measured:
    """One export, in this process, to nobody."""
    import django

    django.setup()
    from labeling.exporting import export_open, read_options

    process = psutil.Process()
    before = process.memory_info().rss
    began, used = time.perf_counter(), time.process_time()
    stream = export_open(snapshot_of(number, rows, file_hash), read_options(options))
    for _chunk in stream:
        pass
    seconds, used = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert stream.written == rows, f"{stream.written} of {rows} rows were written: {stream.dropped}"
    return Measured(stream.written, stream.size, seconds, used, (peak - before) / 1e6)


def measured_apart(number: int, rows: int, file_hash: str, options: dict[str, str]) -> Measured:
    """`measure` in a process of its own."""
    asked = json.dumps([number, rows, file_hash, options])
    command = [sys.executable, "-m", "benchmarks.data_export", "--measure", asked]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return Measured(**json.loads(done.stdout))


def copy_rates(socket: Path, number: int, rows: int, file_hash: str) -> dict[str, float]:
    """Rows a second of a COPY of the same texts out of PostgreSQL, as they are and as JSON."""
    import psycopg

    from labeling.snapshots.reading import read_snapshot

    columns = ("messages", "response_a", "response_b", "outcome", "comparison_id")
    found = {}
    with psycopg.connect(f"postgresql://chosen@/postgres?host={socket}") as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE copied (prompt text, chosen text, rejected text)")
        with cursor.copy("COPY copied FROM STDIN") as into:
            for row in read_snapshot(snapshot_of(number, rows, file_hash), columns=columns):
                both = (row.response_a, row.response_b)
                into.write_row([row.messages[0]["content"], *(both if row.outcome == "a" else both[::-1])])
        connection.commit()
        for name, sql in (
            ("COPY", "COPY copied TO STDOUT"),
            ("COPY of row_to_json", "COPY (SELECT row_to_json(copied) FROM copied) TO STDOUT"),
        ):
            began = time.perf_counter()
            with cursor.copy(sql) as out:
                for _chunk in out:
                    pass
            found[name] = rows / (time.perf_counter() - began)
    return found


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} rows instead of {LARGE:,}")
    parser.add_argument("--rows", type=int, help="so many rows instead")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(asdict(measure(*json.loads(asked.measure)))))
        return
    large = asked.rows or (QUICK if asked.quick else LARGE)
    with tempfile.TemporaryDirectory(prefix="chosen-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ |= {"DJANGO_SETTINGS_MODULE": "webapp.settings", "CHOSEN_DATA_DIR": str(folder / "app")}
        import django

        django.setup()
        hashes = {rows: snapshot_written(number, rows) for number, rows in ((1, SMALL), (2, large))}
        found = {
            (name, rows): measured_apart(1 if rows == SMALL else 2, rows, hashes[rows], options)
            for name, options in EXPORTS
            for rows in (SMALL, large)
        }
        start_postgres(folder / "pg")
        try:
            copied = copy_rates(folder / "pg", 2, large, hashes[large])
        finally:
            stop_postgres(folder / "pg")
    report(found, copied, large)


def report(found: dict[tuple[str, int], Measured], copied: dict[str, float], large: int) -> None:
    print(f"{'export':<30}{'rows':>11}{'MB out':>9}{'rows/s':>9}{'memory MB':>11}{'CPU µs/row':>12}")
    for (name, rows), measured in found.items():
        print(
            f"{name:<30}{rows:>11,}{measured.bytes / 1e6:>9,.0f}{measured.rate:>9,.0f}"
            f"{measured.memory_mb:>11,.0f}{1e6 * measured.cpu_s / rows:>12,.0f}"
        )
    for name, rate in copied.items():
        print(f"{name:<30}{large:>11,}{'':>9}{rate:>9,.0f}")
    print(f"wanted: at least {WANTED_RATE:,} rows/s as JSONL, and the same memory at both sizes")
    out = []
    for name, options in EXPORTS:
        small, big = found[name, SMALL], found[name, large]
        wanted = {} if "format" in options else {"wanted": WANTED_RATE}
        for rival, rate in (wanted | copied).items():
            out.append(figure(name, f"rows/s at {large:,} rows", big.rate, rate, rival))
        memory = f"memory at {large:,} rows, MB"
        out.append(figure(name, memory, big.memory_mb, small.memory_mb, "10,000 rows", is_less_better=True))
    target = Path(os.environ.get("BENCH_OUT", ROOT / "var" / "bench" / "data_export.json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
