"""Pages of items at a million comparisons on PostgreSQL: the time of a page for each filter, at its start and far in.

Usage: python -m benchmarks.items_pages [--quick] [--items N]

Each figure is the whole page (`/projects/…/comparisons/`, a manager logged in, rendered) through Django's test
client, without the network: the 95th percentile over places drawn at random among all comparisons. Beside it stands
one query that leaves the choice of a plan to PostgreSQL: all conditions, newest first, 41 rows. `--quick` takes 50,000
comparisons instead of a million. Rows ``{"case", "metric", "ours", "rival", "rival_name", "ratio"}`` go to
``$BENCH_OUT`` (default var/bench/items_pages.json).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.data.database import app_on_postgres  # noqa: E402
from benchmarks.data.figures import figure  # noqa: E402

WANTED_MS = 100
PLACES = 30
GIVEN_UP_MS = 10_000
CHUNK = 20_000
HAN = "溶解度压力高温反应物理化学模型语言数据训练奖励比较回答问题安全法律医学历史地理经济哲学艺术音乐编程算法"
TOPICS = ("law", "maths", "code", "chat", "medicine")


class Texts:
    """Texts of words whose frequencies fall as in a language, some of them Chinese."""

    def __init__(self, seed: int = 1) -> None:
        self.draw = np.random.default_rng(seed)
        letters = random.Random(seed)
        words = [
            "".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=letters.randint(2, 9)))
            for _ in range(30_000)
        ]
        self.words = np.array([*words, *("".join(letters.choices(HAN, k=3)) for _ in range(3_000))])
        weights = 1 / np.arange(3, len(self.words) + 3)
        letters.shuffle(order := list(range(len(self.words))))
        self.shares = np.zeros(len(self.words))
        self.shares[order] = weights / weights.sum()

    def passages(self, count: int, words: int) -> list[str]:
        picked = self.draw.choice(len(self.words), size=(count, words), p=self.shares)
        return [" ".join(row) for row in self.words[picked]]

    def of_share(self, share: float) -> str:
        """The word that about such a share of texts of 160 words holds."""
        return str(self.words[np.abs(1 - (1 - self.shares) ** 160 - share).argmin()])


def copy_rows(table: str, columns: str, rows: Iterator[tuple[Any, ...]]) -> None:
    from django.db import connection

    with connection.cursor() as cursor, cursor.cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def fill(project: Any, count: int, texts: Texts) -> float:
    """Prompts, responses, comparisons by COPY; votes, resolutions and voices by SQL; the index by its own walker.
    Returns comparisons a second of that walker."""
    for start in range(0, count, CHUNK):
        number = min(CHUNK, count - start)
        _texts(project.pk, start, number, texts)
    _rest(project.pk)
    from labeling.search.indexing import index_chunk

    began, done = time.perf_counter(), 0
    from datetime import timedelta

    from django.utils import timezone

    later = timezone.now() + timedelta(days=1)
    while number := index_chunk(project, before=later):
        done += number
        if done % 100_000 == 0:
            print(f"indexed {done:,}", flush=True)
    rate = done / (time.perf_counter() - began)
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return rate


def _texts(project: int, start: int, number: int, texts: Texts) -> None:
    """One prompt and two responses for each number; a topic fills a fifth of the numbers, one after the other."""
    now = "2026-03-01T00:00:00Z"
    prompts, first, second = (
        texts.passages(number, 40),
        texts.passages(number, 60),
        texts.passages(number, 60),
    )
    ids = range(start + 1, start + number + 1)
    copy_rows(
        "labeling_prompt",
        'id, project_id, messages, content_hash, "group", language, topic, external_id, metadata, created_at',
        (
            (n, project, json.dumps([{"role": "user", "content": text}]), f"p{n}", "",
             "zh" if n % 10 == 0 else "en", TOPICS[min(4, n * 5 // TOTAL[0])], "", "{}", now)
            for n, text in zip(ids, prompts, strict=True)
        ),
    )  # fmt: skip
    copy_rows(
        "labeling_response",
        "id, prompt_id, text, content_hash, model_name, created_at",
        (
            (2 * n + side - 1, n, text, f"r{side}", f"model-{(n + side) % 4 if n % 500 else 'rare'}", now)
            for n, pair in zip(ids, zip(first, second, strict=True), strict=True)
            for side, text in enumerate(pair)
        ),
    )
    columns = (
        "id, project_id, prompt_id, response_a_id, response_b_id, state, needed, open_slots, label_count, skip_count,"
        " priority, priority_reason, random_key, gold_outcome, use, created_at"
    )
    copy_rows(
        "labeling_comparison",
        columns,
        (
            (n, project, n, 2 * n - 1, 2 * n, *(("done", 2, 0, 2) if n <= TOTAL[0] // 2 else ("open", 2, 2, 0)), 0,
             (n * 7919 % 1000) / 1000, "", (n * 104_729 % 99_991) / 99_991, "", "work", now)
            for n in ids
        ),
    )  # fmt: skip


TOTAL = [0]


# The older half is labeled by two of ten people on one of a hundred days; a judge has spoken on most, the reward model
# on all.
VOTES = """
INSERT INTO labeling_preference (uid, project_id, comparison_id, labeler_id, revision, outcome, aspects, reasons,
    skip_reason, rationale, after_reveal, source, idempotency_key, request_hash, created_at)
SELECT gen_random_uuid(), %s, c.id, 1 + (c.id * 7 + k * 3) %% 10, 1,
    CASE (c.id * 31 + k * 11) %% 20 WHEN 0 THEN 'tie' WHEN 1 THEN 'both_bad'
        ELSE CASE (c.id * 13 + k * 5) %% 3 WHEN 0 THEN 'b' ELSE 'a' END END,
    '{}', '[]', '', '', false, 'import', c.id || ':' || k, '',
    timestamptz '2026-03-01' + c.id %% 100 * interval '1 day'
FROM labeling_comparison c, generate_series(0, 1) k WHERE c.state = 'done'
"""
VOICES = """
INSERT INTO labeling_voice (project_id, comparison_id, kind, source, name, outcome, p_a, value_a, value_b, updated_at)
SELECT %s, id, 'model', 'champion', 'v1', CASE WHEN p > 0.5 THEN 'a' ELSE 'b' END, p, a, b, now()
FROM (SELECT id, random() p, random() * 8 - 4 a, random() * 8 - 4 b FROM labeling_comparison) s
UNION ALL
SELECT %s, id, 'judge', 'j', 'Judge', (ARRAY['a', 'b', 'tie', ''])[1 + (id * 17 %% 101) %% 4], NULL, NULL, NULL, now()
FROM labeling_comparison WHERE id %% 5 > 0
"""
LABELERS = """
INSERT INTO labeling_labeler (id, uid, project_id, name, kind, created_at, passed_epoch)
SELECT n, gen_random_uuid(), %s, 'Labeler ' || n, 'imported', now(), 0 FROM generate_series(1, 10) n
"""
NEXT = "SELECT setval(pg_get_serial_sequence('labeling_{0}', 'id'), (SELECT max(id) FROM labeling_{0}))"


def _rest(project: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(LABELERS, [project])
        cursor.execute(VOTES, [project])
        cursor.execute(VOICES, [project, project])
        for table in ("prompt", "response", "comparison", "labeler"):
            cursor.execute(NEXT.format(table))
        cursor.execute("ANALYZE")
    from labeling.models import Comparison
    from labeling.services.resolution import resolve_comparisons

    resolve_comparisons(Comparison.objects.filter(state="done").values_list("pk", flat=True))


def filters(project: Any, texts: Texts) -> dict[str, Any]:
    from datetime import date

    from labeling.items.filters import ItemFilter

    person = project.labelers.get(name="Labeler 3").uid
    rare, common = texts.of_share(0.0002), texts.of_share(0.05)
    han = texts.words[30_000:][texts.shares[30_000:].argmin()]
    return {
        "no filter": ItemFilter(),
        f"text, a word of 0.02 %: {rare}": ItemFilter(q=rare),
        f"text, a word of 5 %: {common}": ItemFilter(q=common),
        f"text, Chinese: {han}": ItemFilter(q=str(han)),
        "outcome tie": ItemFilter(outcome="tie"),
        "agreement below 0.6": ItemFilter(agreement_max=0.6),
        "judge says A": ItemFilter(judge="j", verdict="a"),
        "score above 3.9": ItemFilter(score_min=3.9),
        "P(A) from 0.49 to 0.51": ItemFilter(p_min=0.49, p_max=0.51),
        "model, of 0.4 %": ItemFilter(model="model-rare"),
        "model, of half": ItemFilter(model="model-1"),
        "topic, the oldest fifth": ItemFilter(topic="law"),
        "a labeler in one week": ItemFilter(
            labeler=person, labeled_from=date(2026, 4, 1), labeled_to=date(2026, 4, 7)
        ),
        "ties, judge says A, a model, a topic": ItemFilter(
            outcome="tie", judge="j", verdict="a", model="model-1", topic="maths"
        ),
        "text of 5 %, ties, a labeler": ItemFilter(q=common, outcome="tie", labeler=person),
        "two that exclude each other": ItemFilter(state="open", outcome="a"),
    }


@contextmanager
def time_limit() -> Iterator[None]:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {GIVEN_UP_MS}")
        yield


def planner_alone(project: Any, wanted: Any, before: int) -> float:
    """Milliseconds of one query that the planner chooses the way of; GIVEN_UP_MS where it was stopped."""
    from django.db.utils import OperationalError

    from labeling.items.conditions import conditions_of
    from labeling.items.finding import SHOWN, _found

    began = time.perf_counter()
    try:
        with time_limit():
            rows = _found(project, conditions_of(project, wanted)).filter(pk__lt=before)
            list(rows.select_related(*SHOWN).order_by("-pk")[:41])
    except OperationalError:
        return float(GIVEN_UP_MS)
    return (time.perf_counter() - began) * 1000


def measure(project: Any, client: Any, wanted: Any, count: int) -> dict[str, float]:
    chance = random.Random(7)
    address = f"/projects/{project.slug}/comparisons/"
    shown, times = [], []
    for number in range(PLACES + 2):
        before = "" if number % 5 == 0 else f"&before={chance.randint(1, count)}"
        began = time.perf_counter()
        response = client.get(f"{address}?{wanted.to_query()}{before}")
        if number > 1:  # the first ones load templates and fill caches
            times.append((time.perf_counter() - began) * 1000)
            shown.append(len(response.context["page"].rows))
        assert response.status_code == 200
    alone = [planner_alone(project, wanted, chance.randint(1, count)) for _ in range(3)]
    middle, late = np.percentile(times, [50, 95])
    return {"p50": middle, "p95": late, "rows": float(np.mean(shown)), "alone": max(alone)}


def run(count: int) -> list[dict[str, Any]]:
    """Fill, measure, print."""
    from django.test import Client
    from django.test.utils import setup_test_environment

    from labeling.models import Membership, Project
    from webapp.users.models import User

    setup_test_environment()  # so that responses tell what their templates were given
    project, texts = Project.objects.create(name="Bench", slug="bench", overlap=2), Texts()
    user = User.objects.create_user("manager")
    Membership.objects.create(project=project, user=user, role="manager")
    rate = fill(project, count, texts)
    client = Client(headers={"host": "localhost", "x-forwarded-proto": "https"})
    client.force_login(user)
    print(f"\n{count:,} comparisons on PostgreSQL, {os.cpu_count()} cores; indexed {rate:,.0f} a second")
    print(f"{'filter':<42}{'p50 ms':>9}{'p95 ms':>9}{'rows':>7}{'planner alone, slowest of 3':>30}")
    rows = [figure("index", "comparisons/s", rate)]
    for name, wanted in filters(project, texts).items():
        found = measure(project, client, wanted, count)
        stopped = " (stopped)" if found["alone"] >= GIVEN_UP_MS else ""
        figures = f"{found['p50']:>9.0f}{found['p95']:>9.0f}{found['rows']:>7.0f}{found['alone']:>20.0f}"
        print(f"{name:<42}{figures}{stopped}", flush=True)
        rows.append(
            figure(
                name,
                "page p95 ms",
                found["p95"],
                found["alone"],
                "one query, planned by PostgreSQL",
                is_less_better=True,
            )
        )
    print(f"wanted: p95 at most {WANTED_MS} ms")
    return rows


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    parser.add_argument("--items", type=int)
    options = parser.parse_args()
    count = TOTAL[0] = options.items or (50_000 if options.quick else 1_000_000)
    with app_on_postgres():
        rows = run(count)
    target = Path(os.environ.get("BENCH_OUT", ROOT / "var" / "bench" / "items_pages.json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
