"""What items are found by: the words of their texts, and facts of theirs that many items share.

Both are written behind the import, by `labeling.search.indexing`.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models.items import Comparison, Prompt
from labeling.models.projects import Project


class SearchText(models.Model):
    """The words of a prompt and its responses, each with a space before and behind it (see `labeling.search.tokens`).

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

    def __str__(self) -> str:
        return self.words[:80]


class FacetKind(models.TextChoices):
    MODEL = "model", _("model")
    LANGUAGE = "language", _("language")
    TOPIC = "topic", _("topic")


class ItemFacet(models.Model):
    """A comparison's language, topic, or one of the models that wrote its responses.

    Its index gives all comparisons of a value in their order, which no index on prompts or responses could.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="item_facets", db_index=False)
    kind = models.CharField(_("kind"), max_length=8, choices=FacetKind)
    value = models.CharField(_("value"), max_length=160)
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="facets")

    class Meta:
        ordering = ["id"]
        verbose_name = _("facet of an item")
        verbose_name_plural = _("facets of items")
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=FacetKind.values), name="item_facet_known"),
            # Read backwards, its index gives a value's newest comparisons first.
            models.UniqueConstraint(
                fields=["project", "kind", "value", "comparison"], name="item_facet_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.value}: {self.comparison_id}"
