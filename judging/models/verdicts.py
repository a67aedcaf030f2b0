"""Verdicts: what a judge version said about one comparison in one order, parsed or not."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from judging.models.judges import JudgeRun, JudgeVersion
from judging.parsing import READ_STATUSES
from labeling.models import Comparison


class VerdictStatus(models.TextChoices):
    OK = "ok", _("parsed")
    REPAIRED = "repaired", _("parsed after repair")
    CONFLICT = "conflict", _("two labels")
    UNPARSED = "unparsed", _("no verdict found")
    TRUNCATED = "truncated", _("cut off")
    REFUSED = "refused", pgettext_lazy("verdict", "refused")
    SUSPECTED_INJECTION = "suspected_injection", _("suspected injection")
    ERROR = "error", _("call failed")


class VerdictOutcome(models.TextChoices):
    A = "a", _("A better")
    B = "b", _("B better")
    TIE = "tie", _("tie")


class Order(models.TextChoices):
    AB = "ab", _("response A first")
    BA = "ba", _("response B first")


class Verdict(models.Model):
    """`outcome` and `p_a` are against the comparison's own responses, whatever stood first.

    The database holds the rule that a failure is a status and never an outcome (invariant 6). `raw_text`,
    `label_logprobs`, `finish_reason` and `planted` are all that is needed to read the answer again with a
    newer parser. `provenance_hash` is the cache key: the same call is never made twice.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    judge_version = models.ForeignKey(JudgeVersion, on_delete=models.CASCADE, related_name="verdicts")
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="verdicts")
    run = models.ForeignKey(JudgeRun, null=True, on_delete=models.SET_NULL, related_name="verdicts")
    order = models.CharField(_("order"), max_length=2, choices=Order)
    status = models.CharField(_("status"), max_length=20, choices=VerdictStatus)
    outcome = models.CharField(_("outcome"), max_length=4, choices=VerdictOutcome, blank=True)
    p_a = models.FloatField(_("P(A better)"), null=True, blank=True)
    label_mass = models.FloatField(_("label mass"), null=True, blank=True)
    detail = models.CharField(_("detail"), max_length=500, blank=True)
    raw_text = models.TextField(_("raw text"), blank=True)
    reasoning = models.TextField(_("reasoning"), blank=True)
    finish_reason = models.CharField(_("how the answer ended"), max_length=40, blank=True)
    label_logprobs = models.JSONField(_("label log-probabilities"), null=True, blank=True)
    planted = models.JSONField(_("verdicts inside the responses"), default=list)
    was_clipped = models.BooleanField(_("texts were clipped"), default=False)
    parser_version = models.CharField(_("parser"), max_length=20)
    provenance_hash = models.CharField(max_length=64, unique=True, editable=False)
    usage = models.JSONField(_("tokens"), default=dict)
    latency_ms = models.PositiveIntegerField(_("milliseconds"), default=0)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("verdict")
        verbose_name_plural = _("verdicts")
        constraints = [
            models.UniqueConstraint(fields=["comparison", "judge_version", "order"], name="verdict_once"),
            models.CheckConstraint(
                condition=Q(status__in=READ_STATUSES, outcome__in=VerdictOutcome.values)
                | (~Q(status__in=READ_STATUSES) & Q(outcome="", p_a__isnull=True)),
                name="verdict_failure_is_no_outcome",
            ),
            models.CheckConstraint(condition=Q(status__in=VerdictStatus.values), name="verdict_status_known"),
            models.CheckConstraint(condition=Q(order__in=Order.values), name="verdict_order_known"),
            models.CheckConstraint(
                condition=Q(p_a__isnull=True) | Q(p_a__gte=0, p_a__lte=1), name="verdict_p_in_range"
            ),
        ]
        indexes = [models.Index(fields=["judge_version", "-id"], name="verdict_version")]

    def __str__(self) -> str:
        return f"{self.comparison_id} {self.order} {self.status}"

    @property
    def is_read(self) -> bool:
        return self.status in READ_STATUSES
