"""Rows from the database, under one consistent view, in chunks by comparison id.

The view is a read transaction on a connection of its own, so that progress can be written meanwhile:
REPEATABLE READ on PostgreSQL; on SQLite a deferred transaction, which in WAL mode holds up no writer. A
label given while the snapshot is being made is in it entirely or not at all.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet

from labeling.models import Comparison, ComparisonState, Labeler, Preference, Project, Prompt
from labeling.selectors.preferences import latest_revisions
from labeling.services.resolution import ADJUDICATED, Tally
from labeling.snapshots.config import SnapshotConfig
from labeling.snapshots.rows import SnapshotRow, storable
from labeling.snapshots.splits import Splitter

CHUNK = 500
VIEW_ALIAS = "consistent_view"


@contextlib.contextmanager
def consistent_view() -> Iterator[str]:
    """The alias of a database connection on which every read sees the same moment.

    Inside a transaction of the caller's the default connection is used, and its view is the caller's.
    """
    default = connections["default"]
    if default.in_atomic_block:
        yield "default"
        return
    view = default.copy(VIEW_ALIAS)
    options = view.settings_dict["OPTIONS"] = dict(view.settings_dict.get("OPTIONS") or {})
    options.pop("pool", None)
    if view.vendor == "sqlite":
        options["transaction_mode"] = "DEFERRED"
        options.pop("init_command", None)  # the journal mode belongs to the file, and setting it takes a lock
    connections[VIEW_ALIAS] = view
    try:
        with transaction.atomic(using=VIEW_ALIAS):
            if view.vendor == "postgresql":
                with view.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield VIEW_ALIAS
    finally:
        view.close()
        del connections[VIEW_ALIAS]


class Settled(NamedTuple):
    outcome: str
    p_a: float
    strength: float | None


@dataclass
class Said:
    """The latest votes on one comparison: the `annotators` of its row, and by aspect how many found `a`, `b` or
    neither better."""

    annotators: list[dict[str, Any]] = field(default_factory=list)
    by_aspect: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, annotator: dict[str, Any], aspects: dict[str, str]) -> None:
        self.annotators.append(annotator)
        for aspect, side in aspects.items():
            self.by_aspect.setdefault(aspect, {"a": 0, "b": 0, "tie": 0})[side] += 1

    @property
    def aspects(self) -> list[dict[str, Any]]:
        """The column of a row, in the order of the aspects' keys."""
        return [
            {"aspect": aspect, **{f"votes_{side}": count for side, count in votes.items()}}
            for aspect, votes in sorted(self.by_aspect.items())
        ]


_READ = (
    "pk", "prompt_id", "response_a_id", "response_b_id",
    "prompt__messages", "prompt__group", "prompt__topic", "prompt__language", "prompt__content_hash",
    "response_a__text", "response_a__model_name", "response_b__text", "response_b__model_name",
    "resolution__method", "resolution__outcome", "resolution__p_a", "resolution__strength",
)  # fmt: skip


@dataclass
class SnapshotSource:
    """Everything that a snapshot of `project` reads, through the connection `using`, up to preference
    `up_to`.
    """

    project: Project
    config: SnapshotConfig
    using: str
    up_to: int = 0
    preference_count: int = 0

    def __post_init__(self) -> None:
        found = self._preferences().aggregate(newest=Max("pk"), count=Count("pk"))
        self.up_to, self.preference_count = found["newest"] or 0, found["count"]

    def _preferences(self) -> QuerySet[Preference]:
        return Preference.objects.using(self.using).filter(project=self.project)

    def comparisons(self) -> QuerySet[Comparison]:
        """Comparisons that have any preference or an adjudication, in no order."""
        labeled = Exists(Preference.objects.filter(comparison_id=OuterRef("pk")))
        queryset = Comparison.objects.using(self.using).filter(project=self.project)
        if not self.config.include_retired:
            queryset = queryset.exclude(state=ComparisonState.RETIRED)
        return queryset.filter(Q(labeled) | Q(resolution__method=ADJUDICATED))

    def rows(self, splitter: Splitter) -> Generator[SnapshotRow, None, None]:
        """The snapshot's rows by comparison id. Two queries for each 500 comparisons, and one for the names."""
        last, names = 0, self._names()
        # Named tuples: making model objects of the five joined tables took half of a snapshot's time.
        pages = self.comparisons().order_by("pk").values_list(*_READ, named=True)
        while page := list(pages.filter(pk__gt=last)[:CHUNK]):
            last = page[-1].pk
            votes = self._votes([found.pk for found in page], names)
            for found in page:
                row = self._row(found, votes.get(found.pk) or Said(), splitter)
                if row is not None:
                    yield row

    def _names(self) -> dict[int, str]:
        """What each labeler is called in the rows: by name, and a later one of a name that is taken with a number
        that stays the same over all rows."""
        found = Labeler.objects.using(self.using).filter(project=self.project).order_by("pk")
        labelers = list(found.values_list("pk", "name"))
        taken, met = {name for _pk, name in labelers}, set[str]()
        names: dict[int, str] = {}
        for pk, name in labelers:
            own, number = name, 2
            while name in met and own in taken:
                own, number = f"{name} ({number})", number + 1
            names[pk] = own
            met.add(name)
            taken.add(own)
        return names

    def _votes(self, comparison_ids: list[int], names: dict[int, str]) -> dict[int, Said]:
        """The latest votes on these comparisons, ordered by labeler."""
        scope = self._preferences().filter(comparison_id__in=comparison_ids)
        latest = latest_revisions(scope, up_to=self.up_to).filter(
            outcome__in=["a", "b", "tie", "both_bad"], labeler__kind__in=self.config.labeler_kinds
        )
        votes: dict[int, Said] = defaultdict(Said)
        rows = latest.order_by("comparison_id", "labeler__name", "labeler_id").values_list(
            "comparison_id", "labeler_id", "outcome", "strength", "aspects"
        )
        for comparison_id, labeler_id, outcome, strength, aspects in rows:
            annotator = {"labeler": names[labeler_id], "outcome": outcome, "strength": strength}
            votes[comparison_id].add(annotator, aspects)
        return votes

    def _row(self, found: Any, said: Said, splitter: Splitter) -> SnapshotRow | None:
        """The row of one comparison (a tuple of `_READ`), or None where the settings leave it out."""
        tally = _tally(said.annotators)
        settled = Settled(tally.outcome, tally.p_a, tally.strength)
        if found.resolution__method == ADJUDICATED:
            settled = Settled(found.resolution__outcome, found.resolution__p_a, found.resolution__strength)
        elif tally.total < self.config.min_labels:
            return None
        if not self._wants(settled.outcome):
            return None
        group = group_of(
            self.config.group_key,
            group=found.prompt__group,
            topic=found.prompt__topic,
            content_hash=found.prompt__content_hash,
        )
        return SnapshotRow(
            comparison_id=found.pk,
            prompt_id=found.prompt_id,
            messages=[
                {"role": message["role"], "content": storable(message["content"])}
                for message in found.prompt__messages
            ],
            response_a_id=found.response_a_id,
            response_a=found.response_a__text,
            response_b_id=found.response_b_id,
            response_b=found.response_b__text,
            model_a=found.response_a__model_name,
            model_b=found.response_b__model_name,
            outcome=settled.outcome,
            p_a=settled.p_a,
            strength=settled.strength,
            votes_a=tally.count("a"),
            votes_b=tally.count("b"),
            votes_tie=tally.count("tie"),
            votes_both_bad=tally.count("both_bad"),
            group=group,
            split=splitter.split_of(group),
            language=found.prompt__language,
            topic=found.prompt__topic,
            is_disputed=tally.is_disputed,
            annotators=said.annotators,
            aspects=said.aspects,
        )

    def _wants(self, outcome: str) -> bool:
        if outcome == "tie":
            return self.config.include_ties
        return outcome != "both_bad" or self.config.include_both_bad

    def splitter(self) -> Splitter:
        """The splits of this snapshot: held-out groups found first, then a group for train made sure of."""
        held_out = set(self.config.test_groups)
        marked = Prompt.objects.using(self.using).filter(project=self.project, metadata__split="test")
        for names in marked.values("group", "topic", "content_hash").iterator(chunk_size=2000):
            held_out.add(group_of(self.config.group_key, **names))
        splitter = Splitter(self.config.seed, self.config.fractions, held_out)
        groups: set[str] = set()
        for row in self.rows(splitter):
            if row.split == "train":
                return splitter  # the usual case: found among the first rows
            groups.add(row.group)
        splitter.ensure_train(groups)
        return splitter


def group_of(key: str, *, group: str, topic: str, content_hash: str) -> str:
    """A prompt's group under a key of GROUP_KEYS; the prompt's own hash where it has none."""
    return {"group": group, "topic": topic}.get(key) or content_hash


def _tally(annotators: list[dict[str, Any]]) -> Tally:
    tally = Tally()
    for vote in annotators:
        outcome, strength = vote["outcome"], vote["strength"]
        tally.votes[outcome] = tally.count(outcome) + 1
        total, number = tally.strengths.get(outcome, (0, 0))
        tally.strengths[outcome] = (total + (strength or 0), number + (strength is not None))
    return tally
