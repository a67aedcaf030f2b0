"""One deed about a ranking task (submit, skip, undo): what it locks, and the rows that it writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Outcome,
    Preference,
    PreferenceSource,
    Ranking,
    RankingTask,
    Reveal,
)
from labeling.services.after_vote import votes_settled
from labeling.services.preferences import IdempotencyConflictError
from labeling.services.resolution import resolve_comparisons


@dataclass(frozen=True)
class Deed:
    """What is about to be written about a task, by which request."""

    task: RankingTask
    key: str
    digest: str
    source: PreferenceSource
    moment: datetime

    def known(self) -> Ranking | None:
        """The row that this request has made before. Raises IdempotencyConflictError where the key made another."""
        rows = Ranking.objects.filter(labeler_id=self.task.labeler_id, idempotency_key=self.key)
        row = rows.first()
        if row is not None and row.request_hash != self.digest:
            raise IdempotencyConflictError
        return row

    def begin(self) -> dict[frozenset[int], Comparison]:
        """The comparisons between the shown responses, locked by id, and then the task."""
        order = self.task.order
        rows = Comparison.objects.filter(
            prompt_id=self.task.prompt_id, response_a_id__in=order, response_b_id__in=order
        )
        found = list(rows.select_for_update(no_key=True, of=("self",)).order_by("pk"))
        self.task.state = RankingTask.objects.select_for_update().get(pk=self.task.pk).state
        return {frozenset((row.response_a_id, row.response_b_id)): row for row in found}

    def ranking(self, **fields: Any) -> Ranking:
        """The next row of this person on this prompt."""
        rows = Ranking.objects.filter(prompt_id=self.task.prompt_id, labeler_id=self.task.labeler_id)
        newest = rows.order_by("-revision").values_list("revision", flat=True).first()
        return Ranking.objects.create(
            project_id=self.task.project_id,
            prompt_id=self.task.prompt_id,
            labeler_id=self.task.labeler_id,
            task=self.task,
            revision=(newest or 0) + 1,
            source=self.source,
            idempotency_key=self.key,
            request_hash=self.digest,
            created_at=self.moment,
            **fields,
        )

    def finish(self, state: AssignmentState, **changes: Any) -> None:
        is_leased = state == AssignmentState.LEASED
        values = {"state": state, "finished_at": None if is_leased else self.moment, **changes}
        RankingTask.objects.filter(pk=self.task.pk).update(**values)

    def last_revisions(self, comparison_ids: Collection[int]) -> dict[int, tuple[int, str]]:
        """The newest revision of this person on each comparison: its number and outcome."""
        rows = Preference.objects.filter(labeler_id=self.task.labeler_id, comparison_id__in=comparison_ids)
        ordered = rows.order_by("revision").values_list("comparison_id", "revision", "outcome")
        return {pk: (revision, outcome) for pk, revision, outcome in ordered}

    def append(
        self, ranking: Ranking, said: Sequence[tuple[Comparison, Outcome]], **fields: Any
    ) -> list[Preference]:
        """One new revision for each comparison, in one statement."""
        task = self.task
        last = self.last_revisions([row.pk for row, _outcome in said])
        seen = _responses_revealed(task)
        return Preference.objects.bulk_create(
            Preference(
                project_id=task.project_id,
                comparison=row,
                labeler=task.labeler,
                revision=last.get(row.pk, (0, ""))[0] + 1,
                outcome=outcome,
                ranking=ranking,
                after_reveal=bool(seen & {row.response_a_id, row.response_b_id}),
                source=self.source,
                idempotency_key=f"{ranking.uid}:{row.pk}",
                request_hash=self.digest,
                created_at=self.moment,
                **fields,
            )
            for row, outcome in said
        )

    def assignments_finish(self, rows: Iterable[Comparison], state: AssignmentState) -> None:
        own = Assignment.objects.filter(
            labeler_id=self.task.labeler_id, comparison_id__in=[row.pk for row in rows]
        )
        own.update(state=state, finished_at=self.moment)


def _responses_revealed(task: RankingTask) -> set[int]:
    """The responses of the prompt of which the person was shown what others say."""
    rows = Reveal.objects.filter(user__labelers=task.labeler, comparison__prompt_id=task.prompt_id)
    pairs = rows.values_list("comparison__response_a_id", "comparison__response_b_id")
    return {pk for pair in pairs for pk in pair}


def settle(rows: Sequence[Preference]) -> None:
    """Resolve the comparisons of these new preferences, and tell whoever wants to know."""
    votes_settled(rows, resolved=resolve_comparisons(row.comparison_id for row in rows))
