"""Settling a comparison by a reviewer's word, and taking it back. Append-only, idempotent, in one transaction.

Locks as everywhere: the comparison first. What the reviewer said outlives later votes, which are counted beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import (
    LABEL_OUTCOMES,
    AdjudicatedOutcome,
    Adjudication,
    Comparison,
    ComparisonState,
    Resolution,
)
from labeling.services.after_vote import resolutions_told
from labeling.services.allocation import LabelingError, slots_recount
from labeling.services.resolution import (
    ADJUDICATED,
    Tally,
    read_tallies,
    resolutions_write,
    resolve_comparisons,
)
from labeling.services.review import disagreements_refresh
from labeling.services.standing import settled_stay, states_settle
from labeling.texts import clean_text
from webapp.audit.services import record
from webapp.users.models import User

REASON_MAX = 5000
_SHARE = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}


class ReviewKeyConflictError(LabelingError):
    """The key was used before, for another settlement."""

    code = "idempotency_conflict"
    message = gettext_lazy("This idempotency key was already used for another settlement.")


class RetiredError(LabelingError):
    code = "retired"
    message = gettext_lazy("This comparison is retired: nobody is asked about it any more.")


class NotAdjudicatedError(LabelingError):
    code = "not_adjudicated"
    message = gettext_lazy("No reviewer has settled this comparison, so there is nothing to take back.")


def adjudicate(
    *,
    comparison: Comparison,
    reviewer: User,
    outcome: str,
    strength: int | None = None,
    reason: str,
    key: str,
) -> Adjudication:
    """Settle the comparison: `outcome` a, b, tie or both_bad against its responses, `strength` 1 to 4 or None.

    The same key with the same words returns the row that it made. Of two reviewers the later one counts, and both
    rows stay. Raises ValidationError, ReviewKeyConflictError, RetiredError.
    """
    if outcome not in LABEL_OUTCOMES:
        raise ValidationError({"outcome": _("Choose a step from 1 to 8, tie or both bad.")})
    if strength is not None and (outcome not in ("a", "b") or not 1 <= strength <= 4):
        raise ValidationError({"strength": _("A strength is 1 to 4, and only for A or B.")})
    return _append(comparison, reviewer, outcome, strength, reason, key)


def adjudication_withdraw(*, comparison: Comparison, reviewer: User, reason: str, key: str) -> Adjudication:
    """Take the settlement back: votes count again, and the comparison is open if it lacks some.

    Raises ValidationError, NotAdjudicatedError, ReviewKeyConflictError.
    """
    return _append(comparison, reviewer, AdjudicatedOutcome.WITHDRAWN.value, None, reason, key)


def adjudications_bring(
    *,
    project_id: int,
    settled: Mapping[int, tuple[str, int | None]],
    reviewer_id: int | None,
    reason: str,
    key: str,
) -> int:
    """Settle comparisons as a reviewer did where they are from: outcome and strength by comparison, all of them of the
    project and locked by the caller's transaction. Returns how many were settled.

    What a reviewer has settled here stays, also where that was taken back, and so does what is retired. No webhook
    hears of it. A handful of statements.
    """
    if not settled:
        return 0
    spoken = Adjudication.objects.filter(comparison_id__in=settled).values("comparison_id")
    open_ = Comparison.objects.filter(pk__in=settled).exclude(pk__in=spoken)
    ids = sorted(open_.exclude(state=ComparisonState.RETIRED).values_list("pk", flat=True))
    rows = [
        Adjudication(
            project_id=project_id,
            comparison_id=pk,
            reviewer_id=reviewer_id,
            outcome=settled[pk][0],
            strength=settled[pk][1],
            reason=reason,
            idempotency_key=f"{key}:{pk}",
            request_hash=_digest([pk, *settled[pk], reason]),
        )
        for pk in ids
    ]
    _settle(Adjudication.objects.bulk_create(rows))
    disagreements_refresh(ids)
    return len(rows)


def _append(
    comparison: Comparison, reviewer: User, outcome: str, strength: int | None, reason: str, key: str
) -> Adjudication:
    reason = clean_text(reason)
    if not reason:
        raise ValidationError({"reason": _("Say why, in a few words: others will want to know.")})
    if len(reason) > REASON_MAX:
        raise ValidationError({"reason": _("At most %(most)d characters.") % {"most": REASON_MAX}})
    said = {
        "comparison": comparison.pk,
        "outcome": outcome,
        "strength": strength,
        "reason": reason,
        "idempotency_key": key,
        "request_hash": _digest([comparison.pk, outcome, strength, reason]),
    }
    try:
        with transaction.atomic():
            return _write(comparison.pk, reviewer, said)
    except IntegrityError:
        # The same key for two comparisons at one moment: the unique index chose one.
        known = _known(reviewer, said)
        if known is None:
            raise
        return known


def _write(pk: int, reviewer: User, said: dict[str, Any]) -> Adjudication:
    comparison = Comparison.objects.select_for_update(no_key=True).get(pk=pk)
    known = _known(reviewer, said)
    if known is not None:
        return known
    is_withdrawn = said["outcome"] == AdjudicatedOutcome.WITHDRAWN
    if comparison.state == ComparisonState.RETIRED:
        raise RetiredError
    if is_withdrawn and not Resolution.objects.filter(comparison=comparison, method=ADJUDICATED).exists():
        raise NotAdjudicatedError
    row = Adjudication.objects.create(
        project_id=comparison.project_id, reviewer=reviewer, **{**said, "comparison": comparison}
    )
    if is_withdrawn:
        _unsettle(comparison)
    else:
        _settle([row])
    disagreements_refresh([comparison.pk])
    resolutions_told(comparison.project_id, [comparison.pk])
    record(
        action="comparison.withdraw" if is_withdrawn else "comparison.adjudicate",
        subject=f"#{comparison.pk}",
        actor=reviewer,
        project_id=comparison.project_id,
        outcome=row.outcome,
        strength=row.strength,
    )
    return row


def _settle(rows: Sequence[Adjudication]) -> None:
    """Makes these the resolutions of their comparisons, beside the counts of the votes."""
    tallies = read_tallies(row.comparison_id for row in rows)
    resolutions_write([_resolution(row, tallies.get(row.comparison_id, Tally())) for row in rows])
    settled_stay(row.comparison_id for row in rows)


def _resolution(row: Adjudication, tally: Tally) -> Resolution:
    return Resolution(
        comparison_id=row.comparison_id,
        project_id=row.project_id,
        outcome=row.outcome,
        p_a=_SHARE[row.outcome],
        strength=row.strength,
        method=ADJUDICATED,
        is_disputed=tally.is_disputed,
        updated_at=timezone.now(),
        **{f"votes_{outcome.value}": tally.count(outcome.value) for outcome in LABEL_OUTCOMES},
    )


def _unsettle(comparison: Comparison) -> None:
    Resolution.objects.filter(comparison=comparison).delete()
    resolve_comparisons([comparison.pk])
    rows = Comparison.objects.filter(pk=comparison.pk)
    rows.update(freed_at=Now())
    states_settle(rows, skip_limit=comparison.project.skip_limit)
    slots_recount(rows)


def _known(reviewer: User, said: dict[str, Any]) -> Adjudication | None:
    row = Adjudication.objects.filter(reviewer=reviewer, idempotency_key=said["idempotency_key"]).first()
    if row is not None and row.request_hash != said["request_hash"]:
        raise ReviewKeyConflictError
    return row


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()
