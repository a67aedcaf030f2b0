"""Sending a comparison back: more people are asked, the same ones are asked to look again, or people are named.

Who is named and has not answered yet gets it next: it is kept for them in a batch that review makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from labeling.models import (
    IN_QUEUE,
    PRIORITY_SENT_BACK,
    Assignment,
    AssignmentState,
    Batch,
    Comparison,
    ComparisonState,
    Disagreement,
    DisagreementKind,
    Labeler,
    Project,
    Resolution,
    Role,
    SentBack,
    SentTo,
)
from labeling.selectors.asking import AGAIN, NEXT, people_to_ask
from labeling.services.adjudication import RetiredError
from labeling.services.allocation import LabelingError, slots_recount
from labeling.services.batch_notices import people_tell
from labeling.services.batches import batch_create
from labeling.services.resolution import ADJUDICATED
from labeling.services.review import disagreements_refresh
from labeling.texts import clean_text
from webapp.audit.services import record
from webapp.jobs.messages import message
from webapp.notices.services import notice_send
from webapp.users.models import User

NEEDED_MAX = 50
NOTE_MAX = 2000
BATCH_NAME_MAX = 110
LABELING_ROLES = (Role.MANAGER, Role.REVIEWER, Role.LABELER)


class AdjudicatedAlreadyError(LabelingError):
    code = "adjudicated"
    message = gettext_lazy("A reviewer has settled this comparison. Take that back before you send it back.")


class NobodyToAskError(LabelingError):
    code = "nobody_to_ask"
    message = gettext_lazy("No member has a standing answer to this comparison, so nobody can look again.")


@transaction.atomic
def send_back(
    *,
    comparison: Comparison,
    actor: User,
    to: str,
    more: int = 1,
    note: str = "",
    people: Sequence[Labeler] = (),
) -> SentBack:
    """Ask `more` other people, at the top of the queue (`to` "others"), those who answered to look again ("same"), or
    `people` ("named"): those of them who answered to look again, the rest next of all.

    Until they have, the comparison waits beside the queues of disagreement. Those who answered are told, and read
    the note; what they say then counts as said after others' voices. Raises ValidationError, RetiredError,
    AdjudicatedAlreadyError, NobodyToAskError.
    """
    note = clean_text(note)
    if len(note) > NOTE_MAX:
        raise ValidationError({"note": _("At most %(most)d characters.") % {"most": NOTE_MAX}})
    if to not in SentTo.values:
        raise ValidationError({"to": _("Choose whom to ask.")})
    locked = Comparison.objects.select_for_update(no_key=True).get(pk=comparison.pk)
    if locked.state == ComparisonState.RETIRED:
        raise RetiredError
    if Resolution.objects.filter(comparison=locked, method=ADJUDICATED).exists():
        raise AdjudicatedAlreadyError
    if to == SentTo.OTHERS:
        _ask_others(locked, more)
    elif to == SentTo.SAME:
        more = 0
        _tell(locked, _answered(locked))
    else:
        more = _ask_named(locked, people, actor)
    row = SentBack.objects.create(
        project_id=locked.project_id, comparison=locked, actor=actor, to=to, more=more, note=note
    )
    row.people.set(people if to == SentTo.NAMED else ())
    Disagreement.objects.update_or_create(
        comparison=locked,
        kind=DisagreementKind.SENT_BACK,
        defaults={"project_id": locked.project_id, "size": 1.0, "settled_at": None},
    )
    disagreements_refresh([locked.pk])
    record(
        action="comparison.send_back",
        subject=f"#{locked.pk}",
        actor=actor,
        project_id=locked.project_id,
        to=to,
        more=more,
    )
    return row


def _ask_others(comparison: Comparison, more: int) -> None:
    # A comparison that was skipped too often may lack labels that nobody waits for.
    awaited = comparison.needed if comparison.state != ComparisonState.REVIEW else 0
    # The people of its batch may all have answered.
    _open(comparison, max(comparison.label_count, awaited) + more if more >= 1 else 0, batch=None)


def _ask_named(comparison: Comparison, people: Sequence[Labeler], actor: User) -> int:
    """Returns how many of them get it anew. Raises ValidationError."""
    if not people:
        raise ValidationError({"people": _("Name somebody to ask.")})
    known = {asked.member.user_id: asked.how for asked in people_to_ask(comparison, actor)}
    how = {person.pk: known.get(person.user_id or 0, "") for person in people}
    barred = [person.name for person in people if not how[person.pk]]
    if barred:
        words = _("%(names)s cannot be asked: paused, not qualified yet, or done with it in another way.")
        raise ValidationError({"people": words % {"names": ", ".join(barred)}})
    again = [person.pk for person in people if how[person.pk] == AGAIN]
    anew = [person for person in people if how[person.pk] == NEXT]
    if not again and not anew:
        raise ValidationError({"people": _("They have it in hand already.")})
    if again:
        _tell(comparison, _answered(comparison).filter(labeler__in=again))
    if anew:
        _keep_for(comparison, anew, actor)
    return len(anew)


def _keep_for(comparison: Comparison, people: Sequence[Labeler], actor: User) -> None:
    """A place for each of them, beside those who have it in hand; and a word that tells nothing of the comparison."""
    in_hand = Assignment.objects.filter(comparison=comparison, state=AssignmentState.LEASED).count()
    _open(
        comparison,
        comparison.label_count + in_hand + len(people),
        batch=_batch_of(comparison.project, people, actor),
    )


def _batch_of(project: Project, people: Sequence[Labeler], actor: User) -> Batch:
    """The open batch that review keeps for exactly these people, made where there is none. They are told of either."""
    names = ", ".join(sorted(person.name for person in people))
    name = (_("Review: %(names)s") % {"names": names})[:BATCH_NAME_MAX]
    alike = Batch.objects.filter(project=project, name__startswith=name)
    wanted = {person.pk for person in people}
    for batch in alike.filter(closed_at__isnull=True, is_paused=False).order_by("pk"):
        if set(batch.people.values_list("labeler", flat=True)) == wanted:
            people_tell(batch, User.objects.filter(labelers__in=people))
            return batch
    taken = set(alike.values_list("name", flat=True))
    free = next(text for text in chain([name], (f"{name} {n}" for n in count(2))) if text not in taken)
    return batch_create(project=project, name=free, people=people, deadline=None, choice=None, actor=actor)


def _open(comparison: Comparison, needed: int, *, batch: Batch | None) -> None:
    if not 1 <= needed <= NEEDED_MAX:
        most = {"most": NEEDED_MAX}
        raise ValidationError({"more": _("Ask one person or more; %(most)d labels at most in all.") % most})
    waiting = Comparison.objects.filter(IN_QUEUE, project_id=comparison.project_id)
    top = waiting.aggregate(top=Max("priority"))["top"]
    rows = Comparison.objects.filter(pk=comparison.pk)
    rows.update(
        needed=needed,
        # Skips until now belong to those who were asked until now.
        skip_count=0,
        state=ComparisonState.OPEN,
        priority=max(comparison.priority, comparison.priority if top is None else top + 1),
        priority_reason=PRIORITY_SENT_BACK,
        batch=batch,
        freed_at=Now(),
    )
    slots_recount(rows)


def _answered(comparison: Comparison) -> QuerySet[Assignment]:
    """The answers of those who may still label here."""
    return Assignment.objects.filter(
        comparison=comparison,
        state=AssignmentState.SUBMITTED,
        labeler__user__is_active=True,
        labeler__user__memberships__project_id=comparison.project_id,
        labeler__user__memberships__role__in=LABELING_ROLES,
    ).select_related("labeler__user", "comparison__project")


def _tell(comparison: Comparison, answered: QuerySet[Assignment]) -> None:
    """A notice to each of these, with the way to the own answer and not a word of what others said."""
    told = 0
    for assignment in answered.order_by("pk"):
        user = assignment.labeler.user
        slug = assignment.comparison.project.slug
        told += notice_send(
            users=[user] if user is not None else [],
            kind="review.again",
            text=message(
                gettext_noop("A reviewer asks you to look again at an answer of yours in %(project)s."),
                project=assignment.comparison.project.name,
            ),
            url=reverse("labeling:label-again", args=[slug, assignment.uid]),
            project_id=comparison.project_id,
        )
    if not told:
        raise NobodyToAskError
