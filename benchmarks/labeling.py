"""Labeling under load: over HTTP, in the database at 1 and 10 million comparisons, and 64 people at once.

Usage: python -m benchmarks.labeling [--quick] [--part http-sqlite|http-postgres|database-postgres|crowd-postgres]

HTTP: 100,000 comparisons of 1.4 kB, gunicorn as in the Procfile, the client on the same cores. Database: `lease_next`
on PostgreSQL for a new person and for one who has labeled the first 100,000 of the queue, all of which others still
want. Crowd: 64 people label 10,000 comparisons twice each, one lease in twenty is left to lapse. Ten million short
comparisons need about 8 GB of disk, which the run gives back. `--quick` takes 20,000, then 100,000 and 1 million, then
1,000. Rows ``{"case", "metric", "ours", "rival", "rival_name", "ratio"}`` go to ``$BENCH_OUT`` (default
var/bench/labeling.json); the rival is Label Studio 1.23 on the same machine and data, or the figure that is wanted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.label.servers import database, web_server  # noqa: E402

STUDIO = "Label Studio 1.23"
WANTED = "wanted"
CORE_MS = 6.7  # for 300 labels/s on two cores
WARM_S = 3.0
Row = dict[str, str | float]


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Table:
    """Rows as they come: printed, and kept."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, case: str, metric: str, ours: float, rival: float, rival_name: str) -> None:
        is_less_better = metric != "labels/s" and metric != "labels"
        ratio = (rival / ours if is_less_better else ours / rival) if rival and ours else float(ours == rival)
        self.rows.append(
            {
                "case": case,
                "metric": metric,
                "ours": round(ours, 3),
                "rival": rival,
                "rival_name": rival_name,
                "ratio": round(ratio, 4),
            }
        )
        print(f"{case:<44} {metric:<22} {ours:>10.1f}   {rival_name} {rival:g}", flush=True)


def over_http(
    table: Table, kind: str, env: dict[str, str], folder: Path, *, pairs: int, seconds: float
) -> None:
    from benchmarks.label.cores import core_seconds, postmaster
    from benchmarks.label.database import analyze
    from benchmarks.label.fill import make_people, make_project
    from benchmarks.label.http import by_one_request, by_two_requests, label_for

    project = make_project("http", pairs, text=600)
    tokens = [person.token for person in make_people(project, 16)]
    with web_server(env) as (port, server):

        def spent() -> dict[str, float]:
            return core_seconds({"server": server, "database": postmaster(folder / "pg")})

        label_for(WARM_S, port, "http", tokens, by_two_requests, spent)
        analyze()
        one = label_for(seconds, port, "http", tokens[:1], by_two_requests, spent)
        many = label_for(seconds, port, "http", tokens, by_two_requests, spent)
        joined = label_for(seconds, port, "http", tokens, by_one_request, spent)
    for name, rounds, wanted, studio in (("1 labeler", one, 10, 321), ("16 labelers", many, 35, 1913)):
        case = f"HTTP, {kind}, {name}"
        table.add(case, "next p50 ms", 1000 * percentile(rounds.next_s, 0.5), wanted, WANTED)
        table.add(case, "next p50 ms", 1000 * percentile(rounds.next_s, 0.5), studio, STUDIO)
        table.add(case, "next p95 ms", 1000 * percentile(rounds.next_s, 0.95), wanted, WANTED + " p50")
        table.add(case, "submit p50 ms", 1000 * percentile(rounds.submit_s, 0.5), wanted, WANTED + " next")
    case = f"HTTP, {kind}, 16 labelers"
    table.add(case, "labels/s", many.rate, 300, WANTED)
    table.add(case, "labels/s", many.rate, 5, STUDIO)
    table.add(case + ", next in submit", "labels/s", joined.rate, 300, WANTED)
    table.add(case + ", next in submit", "p50 ms", 1000 * percentile(joined.submit_s, 0.5), 35, WANTED)
    for name, rounds in (("", many), (", next in submit", joined)):
        for side, milliseconds in rounds.core_ms.items():
            table.add(case + name, f"core ms/label, {side}", milliseconds, CORE_MS, WANTED + " of all three")


def in_database(table: Table, *, sizes: Sequence[int], top: int, draws: int) -> None:
    from benchmarks.label.database import time_draws
    from benchmarks.label.fill import label_the_top, make_people, make_project

    before: dict[str, float] = {}
    for size in sizes:
        project = make_project(f"rows-{size}", size, text=60, overlap=2, is_alone=False)
        new, busy = (person.labeler for person in make_people(project, 2))
        label_the_top(busy, min(top, size // 2))
        for name, labeler in (("new person", new), (f"{top:,} own labels at the top", busy)):
            case = f"{size:,} rows, {name}"
            first = time_draws(labeler, 1)
            table.add(case, "first draw ms", 1000 * first.all_s[0], 30, WANTED + " p99")
            found = time_draws(labeler, draws)
            p99 = percentile(found.database_s, 0.99)
            table.add(case, "next p50 ms, database", 1000 * percentile(found.database_s, 0.5), 30, WANTED)
            table.add(case, "next p99 ms, database", 1000 * p99, 30, WANTED)
            table.add(case, "next p99 ms, in all", 1000 * percentile(found.all_s, 0.99), 30, WANTED)
            if name in before:
                table.add(case, "p99 / p99 before", p99 / before[name], 1.5, WANTED + " at most")
            before[name] = p99


def with_a_crowd(table: Table, env: dict[str, str], *, pairs: int) -> None:
    from benchmarks.label.database import crowd
    from benchmarks.label.fill import make_people, make_project

    project = make_project("crowd", pairs, text=60, overlap=2)
    make_people(project, 64)
    found, case = crowd(project, 64, env), f"64 people, {pairs:,} rows, 2 labels each"
    table.add(case, "labels", found.labels, 2 * pairs, WANTED)
    table.add(case, "too many labels", found.too_many, 0, WANTED)
    table.add(case, "unfinished", found.unfinished, 0, WANTED)
    table.add(case, "same person twice", found.twice, 0, WANTED)
    table.add(case, "seconds", found.wall_s, 0, "for information;")


def run(part: str, kind: str, *, quick: bool, table: Table) -> None:
    """One part, on a database of its own."""
    import django
    from django.db import connections

    with tempfile.TemporaryDirectory(prefix="chosen-bench-") as name, database(Path(name), kind) as env:
        os.environ |= env
        django.setup()
        if part == "http":
            pairs, seconds = (20_000, 10) if quick else (100_000, 30)
            over_http(table, kind, env, Path(name), pairs=pairs, seconds=seconds)
        elif part == "database":
            sizes = (100_000, 1_000_000) if quick else (1_000_000, 10_000_000)
            in_database(table, sizes=sizes, top=10_000 if quick else 100_000, draws=500 if quick else 2000)
        else:
            with_a_crowd(table, env, pairs=1000 if quick else 10_000)
        connections.close_all()


PARTS = (("http", "sqlite"), ("http", "postgres"), ("database", "postgres"), ("crowd", "postgres"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    parser.add_argument("--part", choices=["-".join(part) for part in PARTS], help="this part alone")
    chosen = parser.parse_args()
    out = Path(os.environ.get("BENCH_OUT", ROOT / "var/bench/labeling.json"))
    if chosen.part:
        table = Table()
        part, _, kind = chosen.part.partition("-")
        run(part, kind, quick=chosen.quick, table=table)
        rows = table.rows
    else:  # each in a process of its own: Django is set up for one database
        rows = []
        for part in PARTS:
            rows += _in_process("-".join(part), quick=chosen.quick)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=1))


def _in_process(part: str, *, quick: bool) -> list[Row]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [
            sys.executable,
            "-m",
            "benchmarks.labeling",
            "--part",
            part,
            *(["--quick"] if quick else []),
        ]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "BENCH_OUT": file.name}, check=True)
        rows: list[Row] = json.loads(Path(file.name).read_text())
        return rows


if __name__ == "__main__":
    main()
