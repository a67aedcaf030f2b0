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
from typing import Any

from django.db import connections, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet

from labeling.models import (
    Adjudication,
    Comparison,
    ComparisonState,
    Labeler,
    Preference,
    Project,
    Prompt,
    Voice,
    VoiceKind,
)
from labeling.selectors.preferences import latest_revisions
from labeling.services.resolution import ADJUDICATED
from labeling.snapshots.config import SnapshotConfig
from labeling.snapshots.rows import SnapshotRow, storable
from labeling.snapshots.settling import RELIABILITY, VOTE, Said, Settled, settle
from labeling.snapshots.splits import Splitter
from labeling.snapshots.weights import weights_of

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


_READ = (
    "pk", "prompt_id", "response_a_id", "response_b_id",
    "prompt__messages", "prompt__group", "prompt__topic", "prompt__language", "prompt__content_hash",
    "response_a__text", "response_a__model_name", "response_b__text", "response_b__model_name",
    "response_a__parent_id", "response_b__parent_id",
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
    last_adjudication_id: int = 0
    weights: dict[int, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        found = self._preferences().aggregate(newest=Max("pk"), count=Count("pk"))
        self.up_to, self.preference_count = found["newest"] or 0, found["count"]
        settled = Adjudication.objects.using(self.using).filter(project=self.project)
        self.last_adjudication_id = settled.aggregate(newest=Max("pk"))["newest"] or 0
        if self.config.weights == RELIABILITY:
            self.weights = weights_of(self.project, using=self.using)

    def _preferences(self) -> QuerySet[Preference]:
        return Preference.objects.using(self.using).filter(project=self.project)

    def comparisons(self) -> QuerySet[Comparison]:
        """Comparisons that have any preference or an adjudication, or a judge's voice where that may settle one, in no
        order."""
        wanted = Q(Exists(Preference.objects.filter(comparison_id=OuterRef("pk"))))
        wanted |= Q(resolution__method=ADJUDICATED)
        if self.config.include_judge_rows:
            judged = Voice.objects.filter(comparison_id=OuterRef("pk"), kind=VoiceKind.JUDGE)
            wanted |= Q(Exists(judged.exclude(outcome="")))
        queryset = Comparison.objects.using(self.using).filter(project=self.project)
        if not self.config.include_retired:
            queryset = queryset.exclude(state=ComparisonState.RETIRED)
        if not self.config.include_rewrites:
            queryset = queryset.filter(response_a__parent=None, response_b__parent=None)
        return queryset.filter(wanted)

    def rows(self, splitter: Splitter) -> Generator[SnapshotRow, None, None]:
        """The snapshot's rows by comparison id. Two queries for each 500 comparisons, three with voices, and one for
        the names."""
        last, names = 0, self._names()
        reads_voices = self.config.include_verdicts or self.config.include_judge_rows
        # Named tuples: making model objects of the five joined tables took half of a snapshot's time.
        pages = self.comparisons().order_by("pk").values_list(*_READ, named=True)
        while page := list(pages.filter(pk__gt=last)[:CHUNK]):
            last = page[-1].pk
            ids = [found.pk for found in page]
            votes = self._votes(ids, names)
            if reads_voices:
                self._add_voices(votes, ids)
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
        rows = latest.order_by("comparison_id", "labeler__name", "labeler_id")
        for vote in rows.values_list(*VOTE, named=True):
            votes[vote.comparison_id].add(vote, names[vote.labeler_id])
        return votes

    def _add_voices(self, said: dict[int, Said], comparison_ids: list[int]) -> None:
        """What judges and the reward model say of these comparisons. A verdict that could not be read is no voice."""
        voices = Voice.objects.using(self.using).filter(comparison_id__in=comparison_ids).exclude(outcome="")
        rows = voices.order_by("comparison_id", "kind", "name", "source")
        for comparison_id, *voice in rows.values_list("comparison_id", "kind", "name", "outcome", "p_a"):
            entry = dict(zip(("kind", "name", "outcome", "p_a"), voice, strict=True))
            said[comparison_id].voices.append(entry)

    def _row(self, found: Any, said: Said, splitter: Splitter) -> SnapshotRow | None:
        """The row of one comparison (a tuple of `_READ`), or None where the settings leave it out."""
        tally = said.tally
        settled = settle(said, tally, _resolution(found), self.config, self.weights)
        if settled is None or not self._wants(settled.outcome):
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
            aspect_votes=said.aspect_votes,
            explanations=said.explanations,
            rewritten=_rewritten(found),
            origin="rewrite" if found.response_a__parent_id or found.response_b__parent_id else "import",
            weight=settled.weight,
            settled_by=settled.by,
            voices=said.voices if self.config.include_verdicts else [],
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


def _rewritten(found: Any) -> str:
    """Which response, "a" or "b", is a rewrite of the other one; "" where none is."""
    if found.response_a__parent_id == found.response_b_id:
        return "a"
    return "b" if found.response_b__parent_id == found.response_a_id else ""


def _resolution(found: Any) -> Settled | None:
    """What the comparison stands at now, if it is settled at all."""
    if not found.resolution__method:
        return None
    return Settled(
        found.resolution__outcome, found.resolution__p_a, found.resolution__strength, found.resolution__method
    )
