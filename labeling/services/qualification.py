"""The qualification set: known comparisons that somebody answers well enough before any other.

What was answered since `Labeler.qualify_from` counts (all of it, where that is empty). A first failure sets `failed_at`
and tells the managers, one of whom waves the person through or lets them try again, on comparisons that they have not
had. Nobody is told which answers were wrong.
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.models import Assignment, AssignmentState, Comparison, ComparisonUse, Labeler, Role
from labeling.selectors.preferences import latest_preferences
from labeling.services.draws import IS_CHECK, checks
from webapp.audit.services import record
from webapp.jobs.messages import message
from webapp.notices.services import notice_send
from webapp.users.models import User


def is_asked_to_qualify(labeler: Labeler) -> bool:
    return labeler.project.qualification_size > 0 and labeler.qualified_at is None


def answers_wanted(labeler: Labeler) -> int:
    """How many more answers the person owes; none while a manager is to look at a failure."""
    if labeler.failed_at is not None:
        return 0
    return max(0, labeler.project.qualification_size - len(_answered(labeler)))


def _answered(labeler: Labeler) -> dict[int, str]:
    """Comparison id -> known outcome, of what the person has answered in this try. Skipped ones do not count."""
    own = Assignment.objects.filter(
        labeler=labeler, comparison=OuterRef("pk"), state=AssignmentState.SUBMITTED
    )
    if labeler.qualify_from is not None:
        own = own.filter(finished_at__gte=labeler.qualify_from)
    rows = Comparison.objects.filter(
        IS_CHECK, Exists(own), project_id=labeler.project_id, use=ComparisonUse.QUALIFICATION
    )
    return dict(rows.order_by("pk").values_list("pk", "gold_outcome"))


def qualification_settle(labeler: Labeler) -> bool:
    """Compare the person's answers with the known outcomes: qualified, or for a manager to look at.

    The labeler is locked by the caller and has been given all there is. A tie is right where a tie is known. The share
    is of the answers that the project asks for, so nobody comes through by skipping what they do not know.
    """
    if labeler.failed_at is not None:
        return False
    known = _answered(labeler)
    said = latest_preferences(list(known)).filter(labeler=labeler).values_list("comparison_id", "outcome")
    right = sum(known[pk] == outcome for pk, outcome in said)
    now, share = timezone.now(), labeler.project.qualification_pass
    asked = max(len(known), labeler.project.qualification_size)
    is_good = bool(known) and right >= share * asked - 1e-9
    labeler.qualified_at, labeler.failed_at = (now, None) if is_good else (None, now)
    labeler.save(update_fields=["qualified_at", "failed_at"])
    if not is_good:
        _managers_tell(labeler)
    return is_good


def _managers_tell(labeler: Labeler) -> None:
    project = labeler.project
    notice_send(
        users=User.objects.filter(memberships__project=project, memberships__role=Role.MANAGER),
        kind="qualification.failed",
        text=message(
            gettext_noop("%(person)s has not qualified in %(project)s. Decide how it goes on."),
            person=labeler.name,
            project=project.name,
        ),
        url=reverse("labeling:work", args=[project.slug]),
        project_id=project.pk,
    )


@transaction.atomic
def qualification_grant(*, labeler: Labeler, actor: User) -> None:
    """Wave the person through."""
    Labeler.objects.filter(pk=labeler.pk).update(qualified_at=timezone.now(), failed_at=None)
    _recorded("qualification.grant", labeler, actor)


@transaction.atomic
def qualification_reset(*, labeler: Labeler, actor: User) -> None:
    """Let the person try again, on comparisons that they have not had. Raises ValidationError for too few of them."""
    size = labeler.project.qualification_size
    fresh = checks(labeler, ComparisonUse.QUALIFICATION).count()
    if fresh < size:
        raise ValidationError(
            _(
                "Only %(fresh)d qualification comparisons are left that %(person)s has not had, and %(size)d are asked."
                " Add some first, or wave the person through."
            )
            % {"fresh": fresh, "size": size, "person": labeler.name}
        )
    Labeler.objects.filter(pk=labeler.pk).update(
        qualified_at=None, failed_at=None, qualify_from=timezone.now()
    )
    _recorded("qualification.reset", labeler, actor)


@transaction.atomic
def person_pause(*, labeler: Labeler, actor: User) -> None:
    """Hand nothing more out to this person. What is in hand may be answered."""
    Labeler.objects.filter(pk=labeler.pk, paused_at__isnull=True).update(paused_at=timezone.now())
    _recorded("person.pause", labeler, actor)


@transaction.atomic
def person_resume(*, labeler: Labeler, actor: User) -> None:
    Labeler.objects.filter(pk=labeler.pk).update(paused_at=None)
    _recorded("person.resume", labeler, actor)


def _recorded(action: str, labeler: Labeler, actor: User) -> None:
    record(action=action, subject=labeler.name, actor=actor, project_id=labeler.project_id)


# What a manager may do with a person's work, by name.
PERSON_DEEDS: dict[str, Callable[..., None]] = {
    "pause": person_pause,
    "resume": person_resume,
    "grant": qualification_grant,
    "retry": qualification_reset,
}
