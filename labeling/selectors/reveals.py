"""When the other voices of a comparison may be shown to somebody who labels (invariant 3).

A judge's or a model's word on one pair says something about every pair with one of its responses, so "before the
vote" means: before the vote on any of them.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from labeling.models import Assignment, AssignmentState, Comparison, ComparisonState, Project, Reveal
from webapp.users.models import User


def sharing_a_response(comparison: Comparison) -> QuerySet[Comparison]:
    """The comparison itself, and those of its prompt that hold one of its two responses."""
    return _sharing(comparison.prompt_id, comparison.response_a_id, comparison.response_b_id)


def _sharing(prompt: Any, a: Any, b: Any) -> QuerySet[Comparison]:
    with_a, with_b = Q(response_a=a) | Q(response_b=a), Q(response_a=b) | Q(response_b=b)
    return Comparison.objects.filter(with_a | with_b, prompt=prompt)


def responses_in_hand(user: User, project: Project) -> set[int]:
    """Ids of the responses that the person is being asked about, now."""
    leases = Assignment.objects.filter(
        labeler__user=user, labeler__project=project, state=AssignmentState.LEASED
    ).values_list("comparison__response_a_id", "comparison__response_b_id")
    return {response for pair in leases for response in pair}


def out_of_hand(user: User, project: Project) -> Q:
    """For a list of what is said of comparisons: leaves out those with a response that the person is asked about, now.
    One query."""
    in_hand = responses_in_hand(user, project)
    held = Q(comparison__response_a__in=in_hand) | Q(comparison__response_b__in=in_hand)
    return ~held if in_hand else Q()


def is_in_hand(user: User, comparison: Comparison) -> bool:
    """Whether the person is being asked, now, about one of its responses."""
    return Assignment.objects.filter(
        labeler__user=user,
        state=AssignmentState.LEASED,
        comparison__in=sharing_a_response(comparison),
    ).exists()


def is_still_to_come(user: User, comparison: Comparison) -> bool:
    """Whether the person may yet be asked about one of its responses: in hand, or open and not answered."""
    own = Assignment.objects.filter(labeler__user=user, comparison=OuterRef("pk"))
    in_hand = own.filter(state=AssignmentState.LEASED)
    answered = own.filter(state__in=[AssignmentState.SUBMITTED, AssignmentState.SKIPPED])
    unanswered = Q(~Exists(answered), state=ComparisonState.OPEN)
    return sharing_a_response(comparison).filter(Exists(in_hand) | unanswered).exists()


def has_seen_voices(user: Any, prompt: Any, a: Any, b: Any) -> Exists:
    """For a query: whether the person was shown what others say of one of these two responses to a prompt. All by id;
    nobody (None) was shown anything."""
    return Exists(Reveal.objects.filter(user=user, comparison__in=_sharing(prompt, a, b)))
