"""Addresses of ranking and rewriting responses."""

from django.urls import path

from labeling.views import ranking, rewriting

urlpatterns = [
    path("projects/<slug:slug>/rank/", ranking.rank_page, name="rank"),
    path("projects/<slug:slug>/rank/<uuid:uid>/submit", ranking.rank_submit, name="rank-submit"),
    path("projects/<slug:slug>/rank/<uuid:uid>/skip", ranking.rank_skip, name="rank-skip"),
    path("projects/<slug:slug>/rank/<uuid:uid>/undo", ranking.rank_undo, name="rank-undo"),
    path("projects/<slug:slug>/rank/<uuid:uid>/draft", ranking.rank_draft, name="rank-draft"),
    path("projects/<slug:slug>/label/<uuid:uid>/rewrite", rewriting.label_rewrite, name="rewrite"),
    path(
        "projects/<slug:slug>/label/<uuid:uid>/rewrite/draft",
        rewriting.label_rewrite_draft,
        name="rewrite-draft",
    ),
    path(
        "projects/<slug:slug>/label/<uuid:uid>/rewrite/undo",
        rewriting.label_rewrite_undo,
        name="rewrite-undo",
    ),
]
