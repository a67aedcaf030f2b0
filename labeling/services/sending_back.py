"""Sending a comparison back: more people are asked, or the same ones are asked to look again."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from labeling.models import (
    IN_QUEUE,
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    Disagreement,
    DisagreementKind,
    Resolution,
    Role,
    SentBack,
    SentTo,
)
from labeling.services.adjudication import RetiredError, text_cleaned
from labeling.services.allocation import LabelingError, slots_recount
from labeling.services.resolution import ADJUDICATED
from labeling.services.review import disagreements_refresh
from webapp.audit.services import record
from webapp.jobs.messages import message
from webapp.notices.services import notice_send
from webapp.users.models import User

NEEDED_MAX = 50
NOTE_MAX = 2000
LABELING_ROLES = (Role.MANAGER, Role.REVIEWER, Role.LABELER)


class AdjudicatedAlreadyError(LabelingError):
    code = "adjudicated"
    message = gettext_lazy("A reviewer has settled this comparison. Take that back before you send it back.")


class NobodyToAskError(LabelingError):
    code = "nobody_to_ask"
    message = gettext_lazy("No member has a standing answer to this comparison, so nobody can look again.")


@transaction.atomic
def send_back(*, comparison: Comparison, actor: User, to: str, more: int = 1, note: str = "") -> SentBack:
    """Ask `more` other people, at the top of the queue (`to` "others"), or those who answered to look again ("same").

    Until they have, the comparison waits beside the queues of disagreement. Those who answered are told, and read
    the note; what they say then counts as said after others' voices. Raises ValidationError, RetiredError,
    AdjudicatedAlreadyError, NobodyToAskError.
    """
    note = text_cleaned(note)
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
        _open(locked, more)
    else:
        more = 0
        _tell(locked)
    row = SentBack.objects.create(
        project_id=locked.project_id, comparison=locked, actor=actor, to=to, more=more, note=note
    )
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


def _open(comparison: Comparison, more: int) -> None:
    # A comparison that was skipped too often may lack labels that nobody waits for.
    awaited = comparison.needed if comparison.state != ComparisonState.REVIEW else 0
    needed = max(comparison.label_count, awaited) + more
    if more < 1 or needed > NEEDED_MAX:
        most = {"most": NEEDED_MAX}
        raise ValidationError({"more": _("Ask one person or more; %(most)d labels at most in all.") % most})
    waiting = Comparison.objects.filter(IN_QUEUE, project_id=comparison.project_id)
    top = waiting.aggregate(top=Max("priority"))["top"]
    rows = Comparison.objects.filter(pk=comparison.pk)
    rows.update(
        needed=needed,
        state=ComparisonState.OPEN,
        priority=max(comparison.priority, comparison.priority if top is None else top + 1),
        priority_reason="sent back",
        # The people of its batch may all have answered.
        batch=None,
        freed_at=Now(),
    )
    slots_recount(rows)


def _tell(comparison: Comparison) -> None:
    """A notice to each member who has answered, with the way to the own answer and not a word of what others said."""
    answered = Assignment.objects.filter(
        comparison=comparison,
        state=AssignmentState.SUBMITTED,
        labeler__user__is_active=True,
        labeler__user__memberships__project_id=comparison.project_id,
        labeler__user__memberships__role__in=LABELING_ROLES,
    ).select_related("labeler__user", "comparison__project")
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
