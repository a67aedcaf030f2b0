"""Review: the voices on a comparison, where they disagree, what a reviewer settled, and what people wrote of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.items import Comparison
from labeling.models.projects import Labeler, Project


class VoiceKind(models.TextChoices):
    JUDGE = "judge", _("judge")
    MODEL = "model", _("reward model")


class VoiceOutcome(models.TextChoices):
    A = "a", _("A better")
    B = "b", _("B better")
    TIE = "tie", _("tie")
    UNREAD = "", _("not read")


class Voice(models.Model):
    """What a judge or the reward model says of a comparison now, published from the storey above.

    `outcome` is "" where the verdict could not be read: that is a status, no vote. `p_a` is P(response_a better);
    `value_a` and `value_b` are the reward model's raw scores of both responses.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="voices", db_index=False)
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="voices", db_index=False
    )
    kind = models.CharField(_("kind"), max_length=5, choices=VoiceKind)
    # Of a judge its uid; of the reward model "champion".
    source = models.CharField(max_length=40)
    name = models.CharField(_("name"), max_length=120)
    outcome = models.CharField(_("outcome"), max_length=4, choices=VoiceOutcome, blank=True)
    p_a = models.FloatField(_("P(A better)"), null=True, blank=True)
    value_a = models.FloatField(_("score of A"), null=True, blank=True)
    value_b = models.FloatField(_("score of B"), null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("voice")
        verbose_name_plural = _("voices")
        constraints = [
            models.UniqueConstraint(fields=["comparison", "kind", "source"], name="voice_once"),
            models.CheckConstraint(condition=Q(kind__in=VoiceKind.values), name="voice_kind_known"),
            models.CheckConstraint(condition=Q(outcome__in=VoiceOutcome.values), name="voice_outcome_known"),
            models.CheckConstraint(
                condition=Q(p_a__isnull=True) | Q(p_a__gte=0, p_a__lte=1), name="voice_share_ok"
            ),
        ]
        indexes = [
            models.Index(fields=["project", "kind", "source", "outcome", "comparison"], name="voice_outcome"),
            models.Index(fields=["project", "kind", "source", "p_a", "comparison"], name="voice_share"),
            models.Index(fields=["project", "value_a"], name="voice_value_a", condition=Q(kind="model")),
            models.Index(fields=["project", "value_b"], name="voice_value_b", condition=Q(kind="model")),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.comparison_id} {self.outcome or '?'}"


class DisagreementKind(models.TextChoices):
    PEOPLE = "people", _("people and people")
    JUDGE = "judge", _("people and judge")
    MODEL = "model", _("people and reward model")
    JUDGES = "judges", _("judge and judge")
    SKIPPED = "skipped", _("skipped too often")
    SENT_BACK = "sent_back", _("sent back")


class Disagreement(models.Model):
    """A comparison on which voices differ, one row for each kind. `size` in (0, 1] orders the queue."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="disagreements")
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="disagreements", db_index=False
    )
    kind = models.CharField(_("kind"), max_length=9, choices=DisagreementKind)
    size = models.FloatField(_("size"))
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("disagreement")
        verbose_name_plural = _("disagreements")
        constraints = [
            models.UniqueConstraint(fields=["comparison", "kind"], name="disagreement_once"),
            models.CheckConstraint(
                condition=Q(kind__in=DisagreementKind.values), name="disagreement_kind_known"
            ),
            models.CheckConstraint(condition=Q(size__gt=0, size__lte=1), name="disagreement_size_ok"),
        ]
        indexes = [
            models.Index(
                fields=["project", "kind", "-size", "comparison"],
                name="disagreement_queue",
                condition=Q(settled_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id} {self.kind}"


class AdjudicatedOutcome(models.TextChoices):
    A = "a", _("A better")
    B = "b", _("B better")
    TIE = "tie", _("tie")
    BOTH_BAD = "both_bad", _("both bad")
    WITHDRAWN = "withdrawn", _("undone")


class Adjudication(models.Model):
    """A reviewer's settlement of a comparison, with the reason. Append-only: withdrawing it is a row, too.

    A database trigger refuses updates; only the reviewer may be forgotten, when the account is deleted.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="adjudications")
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="adjudications")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="adjudications"
    )
    outcome = models.CharField(_("outcome"), max_length=10, choices=AdjudicatedOutcome)
    strength = models.PositiveSmallIntegerField(_("strength"), null=True, blank=True)
    reason = models.TextField(_("reason"))
    idempotency_key = models.CharField(max_length=80, editable=False)
    request_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("adjudication")
        verbose_name_plural = _("adjudications")
        constraints = [
            models.UniqueConstraint(fields=["reviewer", "idempotency_key"], name="adjudication_key_once"),
            models.CheckConstraint(
                condition=Q(outcome__in=AdjudicatedOutcome.values), name="adjudication_outcome_known"
            ),
            models.CheckConstraint(
                condition=Q(strength__isnull=True)
                | Q(strength__gte=1, strength__lte=4, outcome__in=["a", "b"]),
                name="adjudication_strength_ok",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="adjudication_has_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id} {self.outcome}"


class SentTo(models.TextChoices):
    OTHERS = "others", _("more people")
    SAME = "same", _("the same people")
    NAMED = "named", _("named people")


class SentBack(models.Model):
    """A reviewer asks for more before settling: `more` labels of other people, a second look of the same ones, or
    either of the `people` who are named.

    Those who look again read `note`; others, who have not voted yet, never do.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sent_back")
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="sent_back")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="sent_back"
    )
    to = models.CharField(_("to"), max_length=6, choices=SentTo)
    more = models.PositiveSmallIntegerField(_("labels asked for"), default=0)
    people = models.ManyToManyField(Labeler, related_name="sent_back", blank=True, verbose_name=_("people"))
    note = models.TextField(_("note"), max_length=2000, blank=True)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("comparison sent back")
        verbose_name_plural = _("comparisons sent back")
        constraints = [models.CheckConstraint(condition=Q(to__in=SentTo.values), name="sent_back_to_known")]

    def __str__(self) -> str:
        return f"{self.comparison_id} {self.to}"


class ItemDeedKind(models.TextChoices):
    PRIORITY = "priority", _("priority by hand")
    PEOPLE = "people", _("more people")
    GOLD = "gold", _("used as gold")
    QUALIFICATION = "qualification", _("used for the qualification")
    WORK = "work", _("used for work again")
    RETIRE = "retire", _("retired")
    RESTORE = "restore", _("brought back")
    BATCH = "batch", _("put into a batch")
    FREED = "freed", _("given back to everybody")


class ItemDeed(models.Model):
    """What a manager did to one comparison: a row for each that was treated, for its history. Append-only: a database
    trigger refuses updates; only the manager may be forgotten, when the account is deleted.

    `value` is the priority, or how many more people; `text` the name of the batch.
    """

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="deeds")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    kind = models.CharField(_("deed"), max_length=13, choices=ItemDeedKind)
    value = models.FloatField(null=True)
    text = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("deed of a manager")
        verbose_name_plural = _("deeds of managers")

    def __str__(self) -> str:
        return f"{self.comparison_id} {self.kind}"


class Comment(models.Model):
    """What somebody wrote on a comparison. A deleted one keeps its row and loses its text."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="comments")
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="comments")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="comments"
    )
    text = models.TextField(_("text"), max_length=5000, blank=True)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("comment")
        verbose_name_plural = _("comments")
        constraints = [
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True) | Q(text=""), name="comment_deleted_is_empty"
            )
        ]

    def __str__(self) -> str:
        return self.text[:80]


class CommentMention(models.Model):
    """A member whom a comment names."""

    comment = models.ForeignKey(Comment, on_delete=models.CASCADE, related_name="mentions", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="comment_mentions"
    )

    class Meta:
        ordering = ["id"]
        verbose_name = _("mention")
        verbose_name_plural = _("mentions")
        constraints = [models.UniqueConstraint(fields=["comment", "user"], name="comment_mention_once")]

    def __str__(self) -> str:
        return f"{self.comment_id}:{self.user_id}"
