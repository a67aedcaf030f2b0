"""What the people of the demo do beside voting, through the services that the pages call: known outcomes and the
qualification by them, batches, rankings, rewrites. The texts are in `labeling.demo.story`."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from labeling.demo.scheme import reason_names
from labeling.demo.story import (
    BATCHES,
    REWRITES,
    SAID,
    TIE_WITHIN,
    Said,
    text_of,
)
from labeling.models import (
    Assignment,
    Comparison,
    ComparisonUse,
    DrawnBy,
    Labeler,
    PreferenceSource,
    RankingTask,
)
from labeling.services.allocation import by_priority, lease_take
from labeling.services.batches import Choice, batch_create
from labeling.services.bookmark import IN_BATCH
from labeling.services.checks import allocation_update
from labeling.services.draws import checks
from labeling.services.preferences import preference_submit
from labeling.services.qualification import qualification_grant, qualification_settle
from labeling.services.ranked import ranking_skip, ranking_submit
from labeling.services.ranking import places_held, ranking_next
from labeling.services.rewriting import rewrite_submit
from labeling.services.sources import not_had
from workers.loop.cast import Cast, pair
from workers.loop.simulation import Simulated, lease_readable, leases_date

QUALIFY_WITH, QUALIFY_SHARE, GOLD_SHARE = 4, 0.75, 0.1
BATCH_SIZE, BATCH_DONE, BATCH_DAYS = 8, 3, 2
FROM_SIMULATION = PreferenceSource.SIMULATION


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
        moment = cast.diary.moment(lease.labeler)
        better = rewrite_submit(
            assignment=lease,
            side="left" if is_a != lease.swapped else "right",
            text=rewrite.text,
            idempotency_key=f"demo:rewrite:{lease.uid}",
            source=FROM_SIMULATION,
            now=moment,
        )
        own = Comparison.objects.filter(Q(response_a=better) | Q(response_b=better))
        own.update(created_at=moment)  # with the word on it, not after


def _say(cast: Cast, said: Said) -> Assignment:
    labeler, comparison = cast.labeler(said.who), pair(cast.project, said.prompt, said.better, said.worse)
    with transaction.atomic():
        lease = lease_take(labeler, comparison, cast.project, DrawnBy.PRIORITY)
    assert lease is not None, f"{said.prompt}: no place is left for {said.who}"
    is_a = comparison.response_a.text == text_of(said.prompt, said.better)
    is_left = is_a != lease.swapped
    worse = "right" if is_left else "left"
    reasons = reason_names(said.reasons)
    moment = cast.diary.moment(labeler)
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
        now=moment,
    )
    leases_date(Assignment.objects.filter(pk=lease.pk), moment)
    return lease


def rank(cast: Cast, who: Simulated, number: int) -> None:
    """This person ranks so many prompts of those on top of the queue, and skips what they cannot read."""
    while number:
        task = ranking_next(who.labeler)
        if task is None:
            return
        key = f"demo:rank:{task.uid}"
        moment = cast.diary.moment(who.labeler)
        leases_date(places_held(task), moment)
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
    """Maths for two people each, until the day after tomorrow; they have begun."""
    for name, username, language in BATCHES:
        pair_of_people = (
            next(who for who in cast.everybody if who.labeler == cast.labeler(username)),
            cast.reviewer,
        )
        batch = batch_create(
            project=cast.project,
            name=name,
            people=[who.labeler for who in pair_of_people],
            deadline=timezone.now() + timedelta(days=BATCH_DAYS),
            choice=Choice(number=BATCH_SIZE, topic="maths", language=language),
            actor=cast.manager,
        )
        for who in pair_of_people * BATCH_DONE:
            rows = by_priority(not_had(who.labeler, Comparison.objects.filter(IN_BATCH, batch=batch)))
            lease = lease_readable(who, rows, cast.project, DrawnBy.BATCH)
            if lease is not None:
                cast.answer(lease, who)
