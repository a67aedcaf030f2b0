"""What the ranking page shows. Invariant 3 lives here, too: a prompt's texts, in an order that tells nothing.

Responses are known to the page by their position alone: ids and models tell who wrote what.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone

from labeling.models import Labeler, Preference, Ranking, RankingTask, Response
from labeling.ranks import pairs_of
from labeling.selectors.label import Turn
from labeling.services.preferences import UNDO_S

LETTERS = "ABCDEFGH"


@dataclass(frozen=True)
class ShownResponse:
    """`place` is that of the person's own draft."""

    letter: str
    text: str
    place: int | None


@dataclass(frozen=True)
class RankingShown:
    """All that a labeler may see of a prompt to rank."""

    uid: str
    # The browser's name for its draft: that of these responses in this order, and of no others.
    kept: str
    history: list[Turn]
    prompt: Turn
    responses: list[ShownResponse]
    rationale: str
    lease_expires_at: datetime
    # The idempotency key of a form that is posted without the page's script.
    form_key: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def places(self) -> range:
        return range(1, len(self.responses) + 1)

    def to_json(self) -> dict[str, Any]:
        """The REST form."""
        return {
            "ranking": self.uid,
            "messages": [
                {"role": turn.role, "content": turn.content} for turn in (*self.history, self.prompt)
            ],
            "responses": [response.text for response in self.responses],
            "draft": {
                "places": [response.place for response in self.responses],
                "rationale": self.rationale,
            },
            "lease_expires_at": self.lease_expires_at.isoformat(),
        }


def ranking_shown(task: RankingTask) -> RankingShown:
    """The page's form of a ranking task. One query, for the texts."""
    turns = [
        Turn(role=str(message.get("role", "")), content=str(message.get("content", "")))
        for message in task.prompt.messages
    ] or [Turn(role="user", content="")]
    texts = dict(Response.objects.filter(pk__in=task.order).values_list("pk", "text"))
    places = task.draft.get("places") or [None] * len(task.order)
    return RankingShown(
        uid=str(task.uid),
        kept=f"{task.uid}.{_digest(task)}",
        history=turns[:-1],
        prompt=turns[-1],
        responses=[
            ShownResponse(letter, texts[pk], place)
            for letter, pk, place in zip(LETTERS, task.order, places, strict=False)
        ],
        rationale=str(task.draft.get("rationale", "")),
        lease_expires_at=task.lease_expires_at,
    )


def _digest(task: RankingTask) -> str:
    return hashlib.sha256(f"{task.uid}:{task.order}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class RankingSaved:
    """What a ranking says and did, by position on the screen from 0. `left_out`: pairs that were not written, because
    others have finished them or the person had answered them before."""

    uid: str
    tiers: list[list[int]]
    unranked: list[int]
    written: int
    left_out: list[tuple[int, int]]

    @property
    def order(self) -> str:
        """As "B > A = C"."""
        return " > ".join(" = ".join(LETTERS[at] for at in tier) for tier in self.tiers)

    @property
    def unsaid(self) -> str:
        return ", ".join(LETTERS[at] for at in self.unranked)

    @property
    def pairs_left_out(self) -> str:
        return ", ".join(f"{LETTERS[first]}–{LETTERS[second]}" for first, second in self.left_out)


def ranking_saved(ranking: Ranking, order: list[int]) -> RankingSaved:
    """`order` is that of the ranking's task. One query."""
    at = {pk: position for position, pk in enumerate(order)}
    rows = Preference.objects.filter(ranking=ranking)
    pairs = rows.values_list("comparison__response_a_id", "comparison__response_b_id")
    written = {frozenset(pair) for pair in pairs}
    said = [pair[:2] for pair in pairs_of(ranking.ranks)]
    return RankingSaved(
        uid=str(ranking.uid),
        tiers=[sorted(at[pk] for pk in tier) for tier in ranking.ranks],
        unranked=sorted(at[pk] for pk in ranking.unranked),
        written=len(written),
        left_out=sorted(
            (min(at[a], at[b]), max(at[a], at[b])) for a, b in said if frozenset((a, b)) not in written
        ),
    )


@dataclass(frozen=True)
class LastRanking:
    task_uid: str
    is_skip: bool
    saved: RankingSaved
    undo_s: int


def last_ranking(labeler: Labeler, now: datetime | None = None) -> LastRanking | None:
    """What this person ranked or skipped last, unless it was undone. Two queries."""
    tasks = RankingTask.objects.filter(labeler=labeler, finished_at__isnull=False)
    task = tasks.order_by(F("finished_at").desc(), "-pk").first()
    row = task.rankings.order_by("-revision").first() if task is not None else None
    if task is None or row is None:
        return None
    age = ((now or timezone.now()) - row.created_at).total_seconds()
    return LastRanking(
        task_uid=str(task.uid),
        is_skip=not row.ranks,
        saved=ranking_saved(row, task.order),
        undo_s=max(0, min(UNDO_S, round(UNDO_S - age))),
    )
