"""What items are found by: the words of their texts, and the models that wrote their responses."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.items import Comparison, Prompt
from labeling.models.projects import Project


class SearchText(models.Model):
    """The words of a prompt and its responses, with a space between them. "" means: still to be read.

    The full-text index over `words` is the database's own: the FTS5 table `search_fts`, which triggers keep, on
    SQLite; a GIN index on PostgreSQL.
    """

    prompt = models.OneToOneField(
        Prompt, on_delete=models.CASCADE, primary_key=True, related_name="search_text"
    )
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="search_texts")
    words = models.TextField(blank=True)

    class Meta:
        ordering = ["prompt"]
        verbose_name = _("search text")
        verbose_name_plural = _("search texts")
        indexes = [models.Index(fields=["project", "prompt"], name="search_text_todo", condition=Q(words=""))]

    def __str__(self) -> str:
        return self.words[:80]


class ItemModel(models.Model):
    """A model wrote a response of this comparison."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="item_models", db_index=False)
    model_name = models.CharField(_("model"), max_length=160)
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="item_models")

    class Meta:
        ordering = ["id"]
        verbose_name = _("model of an item")
        verbose_name_plural = _("models of items")
        # Read backwards, its index gives a model's newest comparisons first.
        constraints = [
            models.UniqueConstraint(fields=["project", "model_name", "comparison"], name="item_model_once")
        ]

    def __str__(self) -> str:
        return f"{self.model_name}: {self.comparison_id}"
