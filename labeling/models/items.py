"""Prompts, responses and comparisons: what people look at."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from labeling.models.projects import Labeler, Project

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.backends.ddl_references import Statement


def draw_random_key() -> float:
    """A place in the random order of a project's queue, drawn once for each comparison, uniform in [0, 1)."""
    return random.random()  # noqa: S311 - an order to draw from, not a secret


class Prompt(models.Model):
    """A conversation up to the turn that the responses answer."""

    # Foreign keys that lead another index of their table need none of their own: it would cost each import and vote.
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts", db_index=False)
    messages = models.JSONField(_("messages"), help_text=_('A list of {"role", "content"}.'))
    content_hash = models.CharField(max_length=64, editable=False)
    # What keeps related prompts in one split; empty means: this prompt alone.
    group = models.CharField(_("group"), max_length=200, blank=True)
    language = models.CharField(_("language"), max_length=12, blank=True)
    topic = models.CharField(_("topic"), max_length=120, blank=True)
    external_id = models.CharField(_("id in the file"), max_length=200, blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("prompt")
        verbose_name_plural = _("prompts")
        constraints = [models.UniqueConstraint(fields=["project", "content_hash"], name="prompt_once")]

    def __str__(self) -> str:
        return str(self.messages[-1]["content"])[:80] if self.messages else str(self.pk)

    @property
    def group_key(self) -> str:
        """The key by which splits are made: the group, or the prompt itself."""
        return self.group or self.content_hash


class Response(models.Model):
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="responses", db_index=False)
    text = models.TextField(_("text"))
    content_hash = models.CharField(max_length=64, editable=False)
    # Hidden from labelers until they have voted (invariant 3).
    model_name = models.CharField(_("model"), max_length=160, blank=True)
    # Of a rewrite: the response that it betters, and who wrote it.
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="rewrites", db_index=False
    )
    author = models.ForeignKey(
        Labeler, null=True, blank=True, on_delete=models.SET_NULL, related_name="rewrites", db_index=False
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("response")
        verbose_name_plural = _("responses")
        constraints = [models.UniqueConstraint(fields=["prompt", "content_hash"], name="response_once")]
        indexes = [
            models.Index(fields=["parent"], name="response_parent", condition=Q(parent__isnull=False)),
            models.Index(fields=["author"], name="response_author", condition=Q(author__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class ComparisonState(models.TextChoices):
    OPEN = "open", _("open")
    DONE = "done", _("done")
    REVIEW = "review", _("in review")
    RETIRED = "retired", _("retired")


class Outcome(models.TextChoices):
    A = "a", _("A better")
    B = "b", _("B better")
    TIE = "tie", _("tie")
    BOTH_BAD = "both_bad", _("both bad")
    SKIP = "skip", _("skipped")
    WITHDRAWN = "withdrawn", _("undone")


LABEL_OUTCOMES = (Outcome.A, Outcome.B, Outcome.TIE, Outcome.BOTH_BAD)


class ComparisonUse(models.TextChoices):
    """What a comparison is for. Gold and qualification check on people, and have a known outcome."""

    WORK = "work", _("work")
    GOLD = "gold", _("gold")
    QUALIFICATION = "qualification", _("qualification")


# The reasons of a priority that a manager set, or a reviewer who sent it back: the loop leaves these as they are.
PRIORITY_BY_HAND = "by hand"
PRIORITY_SENT_BACK = "sent back"
PRIORITIES_OF_PEOPLE = (PRIORITY_BY_HAND, PRIORITY_SENT_BACK)

# What everybody's queue holds. Queries repeat it word for word, else the partial indexes do not serve them.
IN_QUEUE = Q(state="open", open_slots__gt=0, use="work", batch__isnull=True)
# Ids are never null. The words keep PostgreSQL, within one priority, from walking the primary key in search of the
# few rows that are in the queue: only a `QueueIndex` has this order.
QUEUE_ORDER = ("-priority", F("id").asc(nulls_first=True))


class QueueIndex(models.Index):
    """An index that ends in `QUEUE_ORDER`. SQLite, which puts nulls first by itself, takes no such words."""

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Statement:
        statement = super().create_sql(model, schema_editor, using, **kwargs)
        if schema_editor.connection.vendor == "postgresql":
            columns: Any = statement.parts["columns"]  # `Columns`, which the types do not know
            columns.col_suffixes = [*columns.col_suffixes[:-1], "NULLS FIRST"]
        return statement


class Comparison(models.Model):
    """One prompt, two responses: the unit of labeling.

    `response_a` and `response_b` stand in the order of their content hashes, so that the position in the
    row says nothing about which one a file called chosen. `open_slots` is how many more people may be
    given this comparison: it goes down with a lease and comes back when a lease lapses. The database
    holds it at zero or above, and that is what makes over-allocation impossible.
    """

    # The prompt's own, said again, as in preferences and resolutions the comparison's: that one holds the key of the
    # database, and another costs a look-up for each row and a lock that all of a project's votes share.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="comparisons", db_index=False, db_constraint=False
    )
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="comparisons")
    response_a = models.ForeignKey(Response, on_delete=models.CASCADE, related_name="+", db_index=False)
    response_b = models.ForeignKey(Response, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(_("state"), max_length=10, choices=ComparisonState, default=ComparisonState.OPEN)
    needed = models.PositiveSmallIntegerField(_("labels needed"), default=1)
    open_slots = models.SmallIntegerField(_("open places"), default=1)
    label_count = models.PositiveIntegerField(_("labels"), default=0)
    skip_count = models.PositiveSmallIntegerField(_("skips"), default=0)
    priority = models.FloatField(_("priority"), default=0.0)
    priority_reason = models.CharField(_("why this priority"), max_length=40, blank=True)
    random_key = models.FloatField(default=draw_random_key, editable=False)
    gold_outcome = models.CharField(_("gold outcome"), max_length=10, choices=Outcome, blank=True)
    use = models.CharField(_("use"), max_length=13, choices=ComparisonUse, default=ComparisonUse.WORK)
    batch = models.ForeignKey(
        "labeling.Batch",
        verbose_name=_("batch"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="comparisons",
        db_index=False,
    )
    # When a place came back last, by the database's clock.
    freed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")
        constraints = [
            models.UniqueConstraint(fields=["response_a", "response_b"], name="comparison_once"),
            models.CheckConstraint(condition=~Q(response_a=F("response_b")), name="comparison_two_responses"),
            models.CheckConstraint(condition=Q(open_slots__gte=0), name="comparison_no_overallocation"),
            models.CheckConstraint(
                condition=Q(state__in=ComparisonState.values), name="comparison_state_known"
            ),
            models.CheckConstraint(condition=Q(use__in=ComparisonUse.values), name="comparison_use_known"),
            models.CheckConstraint(
                condition=Q(use="work") | ~Q(gold_outcome=""), name="comparison_check_is_known"
            ),
        ]
        indexes = [
            QueueIndex(
                fields=["project", "-priority", "id"],
                name="comparison_queue",
                condition=IN_QUEUE,
            ),
            models.Index(
                fields=["project", "random_key", "id"],
                name="comparison_random",
                condition=IN_QUEUE,
            ),
            models.Index(
                fields=["project", "freed_at"],
                name="comparison_freed",
                condition=IN_QUEUE & Q(freed_at__isnull=False),
            ),
            QueueIndex(
                fields=["batch", "-priority", "id"],
                name="comparison_batch",
                condition=Q(state="open", open_slots__gt=0, batch__isnull=False),
            ),
            models.Index(
                fields=["batch", "freed_at"],
                name="comparison_batch_freed",
                condition=Q(state="open", open_slots__gt=0, batch__isnull=False, freed_at__isnull=False),
            ),
            models.Index(
                fields=["batch", "state"],
                name="comparison_batch_state",
                condition=Q(batch__isnull=False),
            ),
            models.Index(
                fields=["project", "use", "random_key", "id"],
                name="comparison_check",
                condition=~Q(use="work") & Q(state="open"),
            ),
            models.Index(fields=["project", "use", "id"], name="comparison_use", condition=~Q(use="work")),
            models.Index(fields=["project", "state", "id"], name="comparison_state"),
            models.Index(fields=["project", "-id"], name="comparison_project_id"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
