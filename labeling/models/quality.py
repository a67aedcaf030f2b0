"""Reliabilities of labelers, as fitted to all votes of a project."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models.projects import Project


class ReliabilityFit(models.Model):
    """One fit of Dawid and Skene's model over the outcomes a, b, tie, both_bad, in this order.

    `people` holds `{labeler uid: {"n", "accuracy", "confusion": 4 × 4}}`, a confusion's rows being the true outcome;
    `prior` the four shares of the true outcomes; `rows` how many comparisons were read, `preference_count` how many
    votes, none of them newer than the preference `up_to`.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reliability_fits")
    up_to = models.BigIntegerField(_("up to preference"), default=0)
    preference_count = models.PositiveBigIntegerField(_("votes"), default=0)
    people = models.JSONField(_("people"), default=dict)
    prior = models.JSONField(_("prior"), default=list)
    iterations = models.PositiveIntegerField(_("iterations"), default=0)
    log_likelihood = models.FloatField(_("log-likelihood"))
    rows = models.PositiveBigIntegerField(_("comparisons"), default=0)
    job_uid = models.UUIDField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("reliability fit")
        verbose_name_plural = _("reliability fits")

    def __str__(self) -> str:
        return f"#{self.pk}"
