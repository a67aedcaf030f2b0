"""Import on PostgreSQL: pairs a second by tenths, memory, and a plain COPY of the same rows beside it.

Usage: python -m benchmarks.data_import [--quick] [--pairs N]

A pair is 2 kB of text (a prompt and two responses) with one vote, in JSONL. The file is checked, confirmed and written
by the services that the jobs call. `--quick` takes 100,000 pairs instead of a million. Rows
``{"case", "metric", "ours", "rival", "rival_name", "ratio"}`` go to ``$BENCH_OUT``
(default var/bench/data_import.json).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.data.database import app_on_postgres  # noqa: E402
from benchmarks.data.figures import figure  # noqa: E402

SIZES = {"prompt": 400, "chosen": 800, "rejected": 800}
TABLES = ("prompt", "response", "comparison", "preference", "resolution")
SERVER: dict[str, Path] = {}
WANTED = {"pairs/s": 5_000, "last tenth": 0.8, "MB": 100}


def lines(count: int, seed: int) -> Iterator[bytes]:
    """JSONL rows whose texts are random words, so that neither disk nor hash sees the same text twice."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(5_000)]
    for number in range(count):
        text = {name: " ".join(draw.choices(words, k=size // 5))[:size] for name, size in SIZES.items()}
        yield json.dumps({"id": f"{seed}-{number}", **text}).encode() + b"\n"


@dataclass
class Memory:
    """The most memory of this process while the block runs, above what it had at the start, in MB."""

    most: float = 0.0
    _ends: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Memory:
        process = psutil.Process()
        start = process.memory_info().rss

        def look() -> None:
            while not self._ends.wait(0.05):
                self.most = max(self.most, (process.memory_info().rss - start) / 1e6)

        self._thread = threading.Thread(target=look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ends.set()
        self._thread.join()


@dataclass(frozen=True)
class Result:
    pairs: int
    check_s: float
    write_s: float
    tenths: list[float]  # pairs a second of the write pass
    memory_mb: float
    cpu_s: dict[str, float]

    @property
    def rate(self) -> float:
        """Pairs a second of both passes together."""
        return self.pairs / (self.check_s + self.write_s)


def import_pairs(project: Any, count: int, seed: int) -> Result:
    """Makes the file, imports it, and measures both passes."""
    from labeling.importing.services import import_check, import_confirm, import_create, import_write
    from labeling.importing.uploads import upload_store
    from labeling.models import ImportState

    stored = upload_store(lines(count, seed))
    import_ = import_create(project=project, file_name=f"{seed}.jsonl", stored=stored, enqueue=False)
    marks: list[tuple[int, float]] = []
    cpu = _cpu_seconds()
    with Memory() as memory:
        started = time.perf_counter()
        import_check(import_)
        checked, cpu_checked = time.perf_counter(), _cpu_seconds()
        assert import_.state == ImportState.READY, import_.problems
        import_confirm(import_, enqueue=False)
        marks.append((0, time.perf_counter()))
        written = import_write(
            import_, progress=lambda done, _total: marks.append((done, time.perf_counter()))
        )
        ended = time.perf_counter()
    assert written.comparisons == written.preferences == count, written
    ours, theirs = _cpu_seconds()
    used = {
        "check": cpu_checked[0] - cpu[0],
        "write": ours - cpu_checked[0],
        "PostgreSQL": theirs - cpu[1],
    }
    return Result(count, checked - started, ended - checked, _tenths(marks, count), memory.most, used)


def _cpu_seconds() -> tuple[float, float]:
    """What this process and its PostgreSQL (0 for one of somebody else's) have used so far."""
    server = [one for one in psutil.process_iter(["name", "cmdline"]) if _is_server(one.info)]
    children = [child for one in server for child in one.children()]
    return time.process_time(), sum(sum(one.cpu_times()[:4]) for one in [*server, *children])


def _is_server(info: dict[str, Any]) -> bool:
    return info["name"] == "postgres" and any(
        str(SERVER.get("folder")) in part for part in info["cmdline"] or []
    )


def _tenths(marks: list[tuple[int, float]], count: int) -> list[float]:
    """Rows a second in each tenth of the rows, from (rows done, time) after each batch."""
    rates, first = [], 0
    for tenth in range(1, 11):
        last = next(index for index, (done, _at) in enumerate(marks) if done >= count * tenth // 10)
        (done_before, began), (done, ended) = marks[first], marks[last]
        rates.append((done - done_before) / (ended - began) if last > first else rates[-1])
        first = last
    return rates


def copy_rates(folder: Path, count: int) -> dict[str, float]:
    """Pairs a second of a COPY of the rows just imported into tables of the same columns, bare and with all indexes."""
    from django.db import connection

    seconds = {"COPY without indexes": 0.0, "COPY with indexes": 0.0}
    with connection.cursor() as cursor:
        for name in TABLES:
            table, file = f"labeling_{name}", folder / "copy.bin"
            _copy(cursor, f"COPY {table} TO STDOUT (FORMAT binary)", file)
            for case, like in zip(seconds, ("INCLUDING GENERATED", "INCLUDING ALL"), strict=True):
                cursor.execute(f"CREATE TABLE copied (LIKE {table} {like})")
                columns = _stored_columns(cursor, table)
                _copy(cursor, f"COPY {table} ({columns}) TO STDOUT (FORMAT binary)", file)
                began = time.perf_counter()
                _copy(cursor, f"COPY copied ({columns}) FROM STDIN (FORMAT binary)", file)
                seconds[case] += time.perf_counter() - began
                cursor.execute("DROP TABLE copied")
            file.unlink()
    return {case: count / taken for case, taken in seconds.items()}


def _stored_columns(cursor: Any, table: str) -> str:
    """Columns that are not computed by the database."""
    cursor.execute(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        [table],
    )
    return str(cursor.fetchone()[0])


def _copy(cursor: Any, sql: str, file: Path) -> None:
    with cursor.cursor.copy(sql) as copy:
        if "FROM STDIN" in sql:
            with file.open("rb") as source:
                while chunk := source.read(1 << 20):
                    copy.write(chunk)
        else:
            with file.open("wb") as target:
                for chunk in copy:
                    target.write(chunk)


def report(result: Result, copies: dict[str, float]) -> list[dict[str, Any]]:
    last = result.tenths[-1] / result.tenths[0]
    rows = [
        figure("import", "pairs/s, both passes", result.rate, WANTED["pairs/s"], "wanted"),
        figure("import", "pairs/s, check", result.pairs / result.check_s),
        figure("import", "pairs/s, write", result.pairs / result.write_s),
        figure("import", "last tenth / first tenth", last, WANTED["last tenth"], "wanted at least"),
        figure(
            "import",
            "MB above the start",
            result.memory_mb,
            WANTED["MB"],
            "wanted at most",
            is_less_better=True,
        ),
        *(
            figure("import", f"CPU µs a pair, {name}", 1e6 * value / result.pairs)
            for name, value in result.cpu_s.items()
        ),
        *(
            figure("import", "pairs/s, write", result.pairs / result.write_s, rate, case)
            for case, rate in copies.items()
        ),
    ]
    print(f"\n{result.pairs:,} pairs of {sum(SIZES.values())} bytes on PostgreSQL, {os.cpu_count()} cores")
    used = {name: 1e6 * seconds / result.pairs for name, seconds in result.cpu_s.items()}
    print("CPU µs for each pair: " + ", ".join(f"{name} {value:,.0f}" for name, value in used.items()))
    print("write pass by tenths, pairs/s: " + " ".join(f"{rate:,.0f}" for rate in result.tenths))
    for row in rows:
        rival = f"   {row['rival_name']}: {row['rival']:,.1f}" if row["rival"] is not None else ""
        print(f"{row['metric']:<28}{row['ours']:>12,.1f}{rival}")
    return rows


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--profile", type=Path, help="keep cProfile's figures of the import in this file")
    options = parser.parse_args()
    count = options.pairs or (100_000 if options.quick else 1_000_000)
    with app_on_postgres() as folder:
        from labeling.models import Project

        SERVER["folder"] = folder
        project = Project.objects.create(name="Bench", slug="bench")
        import_pairs(project, 2_000, seed=1)  # what is loaded once is loaded before the memory is looked at
        result = _profiled(options.profile, lambda: import_pairs(project, count, seed=2))
        rows = report(result, copy_rates(folder, count + 2_000))
    target = Path(os.environ.get("BENCH_OUT", ROOT / "var" / "bench" / "data_import.json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _profiled(path: Path | None, work: Callable[[], Result]) -> Result:
    if path is None:
        return work()
    import cProfile

    profile = cProfile.Profile()
    try:
        return profile.runcall(work)
    finally:
        profile.dump_stats(path)


if __name__ == "__main__":
    main()
