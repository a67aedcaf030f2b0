"""What an answer needs to know before it is written: read under the comparison's lock, so that it is the present.

What a locking statement of PostgreSQL joins or looks up may be older than the row it waited for. Therefore the first
statement only locks, and the second reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from labeling.models import Assignment, Comparison, Disagreement, Preference, ResolutionRule, Voice
from labeling.selectors.reveals import has_seen_voices
from labeling.services.leases import LabelingError
from labeling.services.sources import OF_OTHERS
from webapp.kept import Kept

_LOCK = Kept(
    lambda pk: Comparison.objects.filter(pk=pk).select_for_update(no_key=True).values_list("pk"), pk=None
)


def _annotated(pk: Any, key: Any, user: Any, prompt: Any, a: Any, b: Any) -> QuerySet[Assignment]:
    own = Preference.objects.filter(labeler=OuterRef("labeler"))
    last = own.filter(comparison=OuterRef("comparison")).order_by("-revision").values("revision")[:1]
    rows = Assignment.objects.filter(pk=pk).select_related("comparison__resolution")
    rows = rows.defer(*(f"comparison__{name}" for name in OF_OTHERS))
    return rows.select_for_update(of=("self",)).annotate(
        known_id=Subquery(own.filter(idempotency_key=key).order_by().values("pk")[:1]),
        last_revision=Coalesce(Subquery(last), 0),
        has_seen=has_seen_voices(user, prompt, a, b),
        is_untouched=_is_untouched(),
    )


def _is_untouched() -> Q:
    # A vote that stands has a resolution beside it, always.
    of_it = {"comparison": OuterRef("comparison")}
    said = Exists(Voice.objects.filter(**of_it)) | Exists(Disagreement.objects.filter(**of_it))
    by_count = Q(comparison__project__resolution_rule=ResolutionRule.MAJORITY)
    return by_count & Q(comparison__resolution__isnull=True) & ~said


_CURRENT = Kept(_annotated, pk=None, key=CharField(), user=None, prompt=None, a=None, b=None)


class IdempotencyConflictError(LabelingError):
    """The key was used before, with another body or for another comparison."""

    code = "idempotency_conflict"
    message = _("This idempotency key was already used for another answer.")


@dataclass(frozen=True)
class Before:
    """What there is of the person on a comparison before an answer."""

    assignment: Assignment  # locked, and its comparison, with the resolution that it has
    known_id: int | None  # of the row that this idempotency key has made
    last_revision: int  # 0 without one
    has_seen: bool  # what others say of one of its responses
    # No vote stands, no voice was heard, nobody has to look at it, and votes are counted: a vote settles it alone.
    is_untouched: bool


def before_answer(assignment: Assignment, key: str) -> Before:
    """Lock the comparison, then the assignment, and read what an answer under this key needs to know: two statements.
    Everything that happens to one comparison happens in a line."""
    pair = assignment.comparison
    _LOCK.rows(pk=pair.pk)
    found = _CURRENT.first(
        pk=assignment.pk,
        key=key,
        user=assignment.labeler.user_id,
        prompt=pair.prompt_id,
        a=pair.response_a_id,
        b=pair.response_b_id,
    )
    if found is None:
        raise Assignment.DoesNotExist
    extra = vars(found)
    return Before(found, extra["known_id"], extra["last_revision"], extra["has_seen"], extra["is_untouched"])


@contextmanager
def under_key(known: Callable[[], object]) -> Iterator[None]:
    """A transaction that writes under an idempotency key. Of two deeds under one key at the same moment the unique
    index lets one through; `known` raises IdempotencyConflictError for the other."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        known()
        raise


def known_answer(assignment: Assignment, key: str, digest: str) -> Preference | None:
    """The row this request has made before. Raises IdempotencyConflictError where the key made another."""
    row = Preference.objects.filter(labeler_id=assignment.labeler_id, idempotency_key=key).first()
    if row is not None and row.request_hash != digest:
        raise IdempotencyConflictError
    return row
