"""Projects, the people in them, and the labelers whose preferences they hold."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.scheme import default_scheme


class ResolutionRule(models.TextChoices):
    """How votes become an outcome. RELIABILITY weighs them by the newest `ReliabilityFit`."""

    MAJORITY = "majority", _("majority")
    RELIABILITY = "reliability", _("reliability")


class Project(models.Model):
    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(_("address"), max_length=80, unique=True)
    description = models.TextField(_("description"), blank=True)
    guidelines = models.TextField(
        _("guidelines"), blank=True, help_text=_("Markdown, shown beside every pair.")
    )
    scheme = models.JSONField(_("label scheme"), default=default_scheme)
    overlap = models.PositiveSmallIntegerField(
        _("labels for each comparison"), default=1, validators=[MinValueValidator(1), MaxValueValidator(50)]
    )
    random_share = models.FloatField(
        _("random share"),
        default=0.2,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text=_(
            "Share of comparisons drawn at random instead of by priority, so that rates stay unbiased."
        ),
    )
    gold_share = models.FloatField(
        _("gold share"),
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text=_("Share of comparisons drawn from those with a known outcome, to check on labelers."),
    )
    qualification_size = models.PositiveSmallIntegerField(
        _("comparisons to qualify"),
        default=0,
        help_text=_("How many known comparisons somebody answers before any other. 0: none."),
    )
    qualification_pass = models.FloatField(
        _("share to qualify"),
        default=0.8,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
    )
    resolution_rule = models.CharField(
        _("settled by"), max_length=12, choices=ResolutionRule, default=ResolutionRule.MAJORITY
    )
    lease_s = models.PositiveIntegerField(
        _("lease in seconds"), default=900, validators=[MinValueValidator(30), MaxValueValidator(86_400)]
    )
    skip_limit = models.PositiveSmallIntegerField(_("skips before review"), default=3)
    reveal_after_vote = models.BooleanField(_("show judges and reward model after the vote"), default=True)
    is_paused = models.BooleanField(_("labeling paused"), default=False)
    # Goes up with each change of the queue: what a labeler's bookmark (`Labeler.passed_id`) knew is void then.
    work_epoch = models.PositiveBigIntegerField(default=0, editable=False)
    # Prompts up to this one are in the search index.
    search_cursor = models.PositiveBigIntegerField(default=0, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        constraints = [
            models.CheckConstraint(
                condition=Q(random_share__gte=0, random_share__lte=1), name="project_share_ok"
            ),
            models.CheckConstraint(condition=Q(overlap__gte=1), name="project_overlap_ok"),
            models.CheckConstraint(
                condition=Q(gold_share__gte=0, gold_share__lte=1), name="project_gold_share_ok"
            ),
            models.CheckConstraint(
                condition=Q(qualification_pass__gte=0, qualification_pass__lte=1),
                name="project_qualification_ok",
            ),
            models.CheckConstraint(
                condition=Q(resolution_rule__in=ResolutionRule.values), name="project_rule_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    MANAGER = "manager", _("manager")
    REVIEWER = "reviewer", _("reviewer")
    LABELER = "labeler", _("labeler")
    VIEWER = "viewer", _("viewer")


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=12, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class Invitation(models.Model):
    """A single-use link with which a manager lets somebody make an account and join. Only its hash is stored."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(_("e-mail"), blank=True)
    role = models.CharField(_("role"), max_length=12, choices=Role, default=Role.LABELER)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return f"{self.email or '?'} ({self.role})"


class LabelerKind(models.TextChoices):
    MEMBER = "member", _("member")
    IMPORTED = "imported", _("imported")
    SIMULATED = "simulated", _("simulated")


class Labeler(models.Model):
    """Whoever's preferences a project holds: a member, a name in an imported file, or a simulation."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="labelers")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="labelers"
    )
    name = models.CharField(_("name"), max_length=160)
    kind = models.CharField(_("kind"), max_length=12, choices=LabelerKind, default=LabelerKind.MEMBER)
    qualified_at = models.DateTimeField(_("qualified"), null=True, blank=True)
    # Not qualified: a manager decides. Answers from `qualify_from` on belong to the present try.
    failed_at = models.DateTimeField(_("failed to qualify"), null=True, blank=True)
    qualify_from = models.DateTimeField(null=True, blank=True, editable=False)
    paused_at = models.DateTimeField(_("paused since"), null=True, blank=True)
    # The bookmark: all of the queue before this place was had by this person, or had no place, at `passed_at`.
    passed_priority = models.FloatField(null=True, blank=True, editable=False)
    passed_id = models.BigIntegerField(null=True, blank=True, editable=False)
    passed_at = models.DateTimeField(null=True, blank=True, editable=False)
    passed_epoch = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("labeler")
        verbose_name_plural = _("labelers")
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"], name="labeler_user_once", condition=Q(user__isnull=False)
            ),
            models.UniqueConstraint(
                fields=["project", "name", "kind"], name="labeler_name_once", condition=Q(user__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return self.name
