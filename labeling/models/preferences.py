"""Assignments (leased comparisons), preferences (append-only) and resolutions (settled outcomes)."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Cast, Greatest, NullIf
from django.utils.translation import gettext_lazy as _

from labeling.models.items import Comparison, Outcome, Response
from labeling.models.projects import Labeler, Project


class AssignmentState(models.TextChoices):
    LEASED = "leased", _("leased")
    SUBMITTED = "submitted", _("submitted")
    SKIPPED = "skipped", _("skipped")
    EXPIRED = "expired", _("expired")


class DrawnBy(models.TextChoices):
    """By which draw a comparison came to its labeler."""

    PRIORITY = "priority", _("priority")
    RANDOM = "random", _("random")
    BATCH = "batch", _("batch")
    GOLD = "gold", _("gold")
    QUALIFY = "qualify", _("qualification")
    RANKING = "ranking", _("ranking")


class Assignment(models.Model):
    """A comparison leased to one labeler. One row for each (comparison, labeler), ever; a lapsed one may be leased
    again. `uid` is all that a labeler's page knows of the comparison."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="assignments")
    labeler = models.ForeignKey(Labeler, on_delete=models.CASCADE, related_name="assignments", db_index=False)
    state = models.CharField(max_length=10, choices=AssignmentState, default=AssignmentState.LEASED)
    # True when response_b is shown on the left, as side A of the screen.
    swapped = models.BooleanField()
    drawn = models.CharField(max_length=10, choices=DrawnBy)
    draft = models.JSONField(default=dict, blank=True)
    # By side of the screen: the text of a rewrite that is not kept yet.
    rewrites = models.JSONField(null=True, blank=True)
    lease_expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Earlier leases of this person that ran out: [taken, ran out], oldest first.
    lapses = models.JSONField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["id"]
        verbose_name = _("assignment")
        verbose_name_plural = _("assignments")
        constraints = [
            models.UniqueConstraint(fields=["labeler", "comparison"], name="assignment_once"),
            models.CheckConstraint(
                condition=Q(state__in=AssignmentState.values), name="assignment_state_known"
            ),
        ]
        indexes = [
            models.Index(fields=["lease_expires_at"], name="assignment_lease", condition=Q(state="leased")),
            models.Index(fields=["labeler", "state", "-id"], name="assignment_labeler"),
        ]

    def __str__(self) -> str:
        return str(self.uid)


class PreferenceSource(models.TextChoices):
    WEB = "web", _("label page")
    API = "api", _("REST")
    IMPORT = "import", _("import")
    SIMULATION = "simulation", _("simulation")


class Preference(models.Model):
    """One person's outcome for one comparison. Append-only: a change of mind or an undo is a new revision.

    `outcome` is stored against the comparison's own responses (a = response_a), never against screen sides.
    `strength` is 1 (barely) to 4 (much), for outcomes a and b alone. A database trigger refuses updates.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # The comparison's own project, and one of its responses below: no keys of the database (see Comparison).
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="preferences", db_index=False, db_constraint=False
    )
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="preferences", db_index=False
    )
    labeler = models.ForeignKey(Labeler, on_delete=models.CASCADE, related_name="preferences", db_index=False)
    revision = models.PositiveSmallIntegerField(_("revision"), default=1)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome)
    strength = models.PositiveSmallIntegerField(_("strength"), null=True, blank=True)
    aspects = models.JSONField(_("aspects"), default=dict)
    # How strongly, 1 to 4, of each aspect that has a bar of its own.
    aspect_strengths = models.JSONField(_("strengths of aspects"), null=True, blank=True)
    # Marked passages: {"response", "quote", "nth", "reason"}.
    spans = models.JSONField(_("marked passages"), null=True, blank=True)
    reasons = models.JSONField(_("reasons"), default=list)
    skip_reason = models.CharField(_("reason to skip"), max_length=40, blank=True)
    rationale = models.TextField(_("rationale"), blank=True)
    shown_left = models.ForeignKey(
        Response,
        verbose_name=_("shown on the left"),
        null=True,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    duration_ms = models.PositiveIntegerField(_("milliseconds"), null=True, blank=True)
    # The ranking that said this, too. No cascade but that of the whole project takes it away.
    ranking = models.ForeignKey(
        "labeling.Ranking",
        verbose_name=_("ranking"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="preferences",
        db_index=False,
    )
    after_reveal = models.BooleanField(_("said after the reveal"), default=False)
    source = models.CharField(_("source"), max_length=12, choices=PreferenceSource)
    idempotency_key = models.CharField(max_length=80, editable=False)
    request_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("at"))

    class Meta:
        ordering = ["id"]
        verbose_name = _("preference")
        verbose_name_plural = _("preferences")
        constraints = [
            models.UniqueConstraint(
                fields=["comparison", "labeler", "revision"], name="preference_revision_once"
            ),
            models.UniqueConstraint(fields=["labeler", "idempotency_key"], name="preference_key_once"),
            models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="preference_outcome_known"),
            models.CheckConstraint(
                condition=Q(strength__isnull=True)
                | Q(strength__gte=1, strength__lte=4, outcome__in=["a", "b"]),
                name="preference_strength_ok",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-id"], name="preference_project"),
            models.Index(fields=["project", "created_at"], name="preference_day"),
            models.Index(fields=["labeler", "created_at"], name="preference_labeler_day"),
            models.Index(fields=["ranking"], name="preference_ranking", condition=Q(ranking__isnull=False)),
            models.Index(
                fields=["shown_left"], name="preference_shown", condition=Q(shown_left__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.labeler_id}:{self.comparison_id} {self.outcome}"


class Reveal(models.Model):
    """A person was shown the other voices (people, judges, reward model) of a comparison, first at `created_at`.

    What the person says from then on about this comparison, or another one with a response of it, is
    `Preference.after_reveal`.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reveals")
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="reveals")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("reveal")
        verbose_name_plural = _("reveals")
        constraints = [models.UniqueConstraint(fields=["comparison", "user"], name="reveal_once")]

    def __str__(self) -> str:
        return f"{self.user_id}:{self.comparison_id}"


class ResolvedOutcome(models.TextChoices):
    A = "a", _("A better")
    B = "b", _("B better")
    TIE = "tie", _("tie")
    BOTH_BAD = "both_bad", _("both bad")


class Resolution(models.Model):
    """The settled outcome of a comparison, derived from the latest preferences (or from an adjudication).

    `p_a` is the soft label: the share of votes for response_a, a tie or both-bad counting half to each side.
    """

    comparison = models.OneToOneField(
        Comparison, on_delete=models.CASCADE, primary_key=True, related_name="resolution"
    )
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="resolutions", db_index=False, db_constraint=False
    )
    outcome = models.CharField(_("outcome"), max_length=10, choices=ResolvedOutcome)
    p_a = models.FloatField(_("share for A"))
    strength = models.FloatField(_("mean strength"), null=True, blank=True)
    votes_a = models.PositiveIntegerField(default=0)
    votes_b = models.PositiveIntegerField(default=0)
    votes_tie = models.PositiveIntegerField(default=0)
    votes_both_bad = models.PositiveIntegerField(default=0)
    method = models.CharField(
        _("settled by"),
        max_length=12,
        choices=[
            ("majority", _("majority")),
            ("adjudicated", _("adjudication")),
            ("reliability", _("reliability")),
        ],
        default="majority",
    )
    is_disputed = models.BooleanField(_("people disagree"), default=False)
    # The share of the most frequent outcome among the votes; null without votes.
    agreement = models.GeneratedField(
        expression=Cast(Greatest("votes_a", "votes_b", "votes_tie", "votes_both_bad"), models.FloatField())
        / NullIf(F("votes_a") + F("votes_b") + F("votes_tie") + F("votes_both_bad"), 0),
        output_field=models.FloatField(null=True),
        db_persist=True,
        verbose_name=_("agreement"),
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("resolution")
        verbose_name_plural = _("resolutions")
        indexes = [
            models.Index(fields=["project", "is_disputed", "comparison"], name="resolution_disputed"),
            models.Index(fields=["project", "outcome", "comparison"], name="resolution_outcome"),
            models.Index(fields=["project", "agreement", "comparison"], name="resolution_agreement"),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id} {self.outcome}"

    @property
    def vote_count(self) -> int:
        return self.votes_a + self.votes_b + self.votes_tie + self.votes_both_bad
