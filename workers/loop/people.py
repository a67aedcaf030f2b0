"""What the people of the demo do beside voting, through the services that the pages call: known outcomes and the
qualification by them, batches, rankings, rewrites, review. The texts are in `labeling.demo.story`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from labeling.access import labeler_for
from labeling.demo.scheme import reason_names
from labeling.demo.simulate import LABELERS
from labeling.demo.story import (
    BATCHES,
    COMMENTS,
    FILTER_NAME,
    MEMBERS,
    OVERLOOKED,
    REWRITES,
    SAID,
    SENT_BACK_NOTE,
    SETTLED,
    SETTLED_REASON,
    TASTE,
    TIE_WITHIN,
    Said,
    text_of,
)
from labeling.items.filters import ItemFilter
from labeling.models import (
    Assignment,
    Batch,
    BatchPerson,
    Comparison,
    ComparisonUse,
    DrawnBy,
    Labeler,
    PreferenceSource,
    Project,
    RankingTask,
    SentTo,
)
from labeling.services.adjudication import adjudicate
from labeling.services.allocation import by_priority, lease_take
from labeling.services.batches import Choice, batch_create
from labeling.services.checks import allocation_update
from labeling.services.comments import comment_create
from labeling.services.draws import checks, of_batch
from labeling.services.preferences import preference_submit
from labeling.services.qualification import qualification_grant, qualification_settle
from labeling.services.ranked import ranking_skip, ranking_submit
from labeling.services.ranking import ranking_next
from labeling.services.rewriting import rewrite_submit
from labeling.services.saved_filters import saved_filter_create
from labeling.services.sending_back import send_back
from webapp.users.models import User
from workers.loop.simulation import (
    Diary,
    Simulated,
    Truth,
    lease_readable,
    simulate_answer,
    simulated,
)

QUALIFY_WITH, QUALIFY_SHARE, GOLD_SHARE = 4, 0.75, 0.1
BATCH_SIZE, BATCH_DONE, BATCH_DAYS = 8, 3, 3
FROM_SIMULATION = PreferenceSource.SIMULATION


@dataclass(frozen=True)
class Cast:
    """Everybody who labels in the demo, and how the simulated ones see the responses."""

    project: Project
    users: Mapping[str, User]
    everybody: Sequence[Simulated]
    truth: Truth
    diary: Diary

    @property
    def manager(self) -> User:
        return self.users["manager"]

    def named(self, name: str) -> Simulated:
        return next(who for who in self.everybody if who.person.name == name)

    def labeler(self, name: str) -> Labeler:
        """Of an account, or of a simulated labeler."""
        is_account = name in self.users
        return labeler_for(self.users[name], self.project) if is_account else self.named(name).labeler

    def answer(self, lease: Assignment, who: Simulated) -> None:
        simulate_answer(lease, who.person, self.truth, diary=self.diary)


def cast_of(project: Project, users: Mapping[str, User], truth: Truth) -> Cast:
    """The simulated labelers, and the accounts that some of them speak for."""
    members = [Simulated(person, labeler_for(users[name], project)) for name, person in MEMBERS.items()]
    others = [simulated(project, person) for person in LABELERS]
    began = timezone.localtime().replace(hour=9, minute=0, second=0, microsecond=0) - timedelta(days=7)
    return Cast(project, users, [*members, *others], truth, Diary(began))


def qualify(cast: Cast) -> None:
    """Everybody answers the qualification set, then the gold comparisons in their languages. The manager knows the
    members, and waves through who failed; the notice of it stays."""
    project = cast.project
    allocation_update(
        project=project,
        actor=cast.manager,
        gold_share=GOLD_SHARE,
        qualification_size=QUALIFY_WITH,
        qualification_pass=QUALIFY_SHARE,
    )
    for name in cast.users.keys() & {member.user.username for member in project.memberships.all()}:
        qualification_grant(labeler=cast.labeler(name), actor=cast.manager)
    for who in cast.everybody:
        if who.labeler.user_id is None:
            _answer_some(cast, who, ComparisonUse.QUALIFICATION, DrawnBy.QUALIFY, QUALIFY_WITH)
            with transaction.atomic():
                locked = Labeler.objects.select_for_update().get(pk=who.labeler.pk)
                if not qualification_settle(locked):
                    qualification_grant(labeler=locked, actor=cast.manager)
        who.labeler.refresh_from_db()
        _answer_some(cast, who, ComparisonUse.GOLD, DrawnBy.GOLD, 100)


def _answer_some(cast: Cast, who: Simulated, use: ComparisonUse, drawn: str, most: int) -> None:
    for _number in range(most):
        rows = checks(who.labeler, use).order_by("random_key", "id")
        lease = lease_readable(who, rows, cast.project, drawn)
        if lease is None:
            return
        cast.answer(lease, who)


def say(cast: Cast) -> None:
    """The answers that are written out, and the better responses that two people make of what they read."""
    leases = {(said.who, said.prompt): _say(cast, said) for said in SAID}
    for rewrite in REWRITES:
        lease = leases[rewrite.who, rewrite.prompt]
        text = text_of(rewrite.prompt, rewrite.model)
        is_a = lease.comparison.response_a.text == text
        rewrite_submit(
            assignment=lease,
            side="left" if is_a != lease.swapped else "right",
            text=rewrite.text,
            idempotency_key=f"demo:rewrite:{lease.uid}",
            source=FROM_SIMULATION,
            now=cast.diary.moment(lease.labeler),
        )


def _say(cast: Cast, said: Said) -> Assignment:
    labeler, comparison = cast.labeler(said.who), pair(cast.project, said.prompt, said.better, said.worse)
    with transaction.atomic():
        lease = lease_take(labeler, comparison, cast.project, DrawnBy.PRIORITY)
    assert lease is not None, f"{said.prompt}: no place is left for {said.who}"
    is_a = comparison.response_a.text == text_of(said.prompt, said.better)
    is_left = is_a != lease.swapped
    worse = "right" if is_left else "left"
    reasons = reason_names(said.reasons)
    quoted = {"side": worse, "quote": said.quote, "nth": 0, "reason": reasons[0]}
    preference_submit(
        assignment=lease,
        data={
            "choice": str(5 - said.strength if is_left else 4 + said.strength),
            "reasons": reasons,
            "rationale": said.rationale,
            "spans": [quoted] if said.quote else [],
            "duration_ms": 1000 * (40 + len(said.rationale)),
        },
        idempotency_key=f"demo:said:{lease.uid}",
        source=FROM_SIMULATION,
        now=cast.diary.moment(labeler),
    )
    return lease


def pair(project: Project, prompt_id: str, model: str, other: str) -> Comparison:
    """The comparison of what these two models answer to this prompt of the sample."""
    texts = [text_of(prompt_id, name) for name in (model, other)]
    rows = Comparison.objects.select_related("prompt", "response_a", "response_b", "project")
    return rows.get(project=project, response_a__text__in=texts, response_b__text__in=texts)


def rank(cast: Cast, who: Simulated, number: int) -> None:
    """This person ranks so many prompts of those on top of the queue, and skips what they cannot read."""
    while number:
        task = ranking_next(who.labeler)
        if task is None:
            return
        key = f"demo:rank:{task.uid}"
        moment = cast.diary.moment(who.labeler)
        if task.prompt.language not in who.person.languages:
            ranking_skip(
                task=task, reason="language", idempotency_key=key, source=FROM_SIMULATION, now=moment
            )
            continue
        ranking_submit(
            task=task,
            data={"places": _places(cast, task), "duration_ms": 60_000 + 15_000 * len(task.order)},
            idempotency_key=key,
            source=FROM_SIMULATION,
            now=moment,
        )
        number -= 1


def _places(cast: Cast, task: RankingTask) -> list[int]:
    """Places by planted quality, those that are close together tied."""
    quality: dict[int, float] = {}
    for row in Comparison.objects.filter(prompt=task.prompt).select_related("response_a", "response_b"):
        if row.response_a_id in task.order and row.response_b_id in task.order:
            seen = cast.truth(row)
            quality |= {row.response_a_id: seen.quality_a, row.response_b_id: seen.quality_b}
    return [1 + sum(other > quality[pk] + TIE_WITHIN for other in quality.values()) for pk in task.order]


def batches(cast: Cast) -> None:
    """Maths for two people until a day after tomorrow; each has begun."""
    deadline = timezone.now() + timedelta(days=BATCH_DAYS)
    for name, username, language in BATCHES:
        batch_create(
            project=cast.project,
            name=name,
            people=[cast.labeler(username)],
            deadline=deadline,
            choice=Choice(number=BATCH_SIZE, topic="maths", language=language),
            actor=cast.manager,
        )
    for place in BatchPerson.objects.filter(batch__in=Batch.objects.filter(project=cast.project)).order_by(
        "pk"
    ):
        who = next(who for who in cast.everybody if who.labeler.pk == place.labeler_id)
        for _number in range(BATCH_DONE):
            rows = by_priority(of_batch(who.labeler, place.batch_id))
            lease = lease_readable(who, rows, cast.project, DrawnBy.BATCH)
            if lease is not None:
                cast.answer(lease, who)


def review(cast: Cast) -> None:
    """A talk about a question of taste, one disagreement settled, one sent back; and a filter to come back to."""
    reviewer = cast.users["reviewer"]
    talked_about = pair(cast.project, *TASTE)
    for name, words in COMMENTS:
        comment_create(comparison=talked_about, author=cast.users[name], text=words)
    settled = pair(cast.project, *SETTLED)
    is_a = settled.response_a.text == text_of(*SETTLED[:2])
    adjudicate(
        comparison=settled,
        reviewer=reviewer,
        outcome="a" if is_a else "b",
        strength=2,
        reason=SETTLED_REASON,
        key="demo:adjudication",
    )
    send_back(comparison=pair(cast.project, *OVERLOOKED), actor=reviewer, to=SentTo.SAME, note=SENT_BACK_NOTE)
    saved_filter_create(
        project=cast.project,
        owner=cast.manager,
        name=FILTER_NAME,
        wanted=ItemFilter(topic="safety", disputed=True),
        is_shared=True,
    )
