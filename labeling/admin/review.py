"""Voices, where they disagree, what reviewers settled, and comments."""

from __future__ import annotations

from django.contrib import admin

from labeling.models import Adjudication, Comment, CommentMention, Disagreement, ItemDeed, SentBack, Voice
from webapp.ui.admin import PersonsOwnAdmin, ReadOnlyAdmin


@admin.register(Voice)
class VoiceAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "project", "kind", "name", "outcome", "p_a", "updated_at")
    list_filter = ("kind", "outcome")
    list_select_related = ("project",)


@admin.register(Disagreement)
class DisagreementAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "project", "kind", "size", "settled_at")
    list_filter = ("kind",)
    list_select_related = ("project",)


@admin.register(Adjudication)
class AdjudicationAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "project", "reviewer", "outcome", "strength", "created_at")
    list_filter = ("outcome",)
    list_select_related = ("project", "reviewer")


@admin.register(SentBack)
class SentBackAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "project", "actor", "to", "more", "created_at")
    list_filter = ("to",)
    list_select_related = ("project", "actor")


@admin.register(ItemDeed)
class ItemDeedAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "kind", "actor", "value", "text", "created_at")
    list_filter = ("kind",)
    list_select_related = ("actor",)


@admin.register(Comment)
class CommentAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "project", "author", "created_at", "deleted_at")
    list_select_related = ("project", "author")


@admin.register(CommentMention)
class CommentMentionAdmin(PersonsOwnAdmin):
    list_display = ("comment_id", "user")
    list_select_related = ("user",)
