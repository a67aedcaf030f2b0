"""Addresses of this storey's pages."""

from django.urls import path

from workers.views import comparing, evaluations, models, panels, policy, previews, runs, scores

app_name = "workers"
urlpatterns = [
    path("projects/<slug:slug>/models/", models.model_list, name="model-list"),
    path("projects/<slug:slug>/models/<int:number>/", models.model_detail, name="model-detail"),
    path("projects/<slug:slug>/models/<int:number>/promote/", models.promote, name="model-promote"),
    path(
        "projects/<slug:slug>/models/<int:number>/evaluation/",
        evaluations.evaluation,
        name="model-evaluation",
    ),
    path(
        "projects/<slug:slug>/models/<int:number>/evaluation.json",
        evaluations.evaluation_file,
        name="evaluation-file",
    ),
    path("projects/<slug:slug>/models/compare/", comparing.compare, name="model-compare"),
    path("projects/<slug:slug>/models/preview/", previews.preview_new, name="preview-new"),
    path("projects/<slug:slug>/models/preview/<uuid:uid>/", previews.preview_detail, name="preview-detail"),
    path(
        "projects/<slug:slug>/models/<int:number>/scores.parquet",
        scores.scores_download,
        name="scores-download",
    ),
    path("projects/<slug:slug>/models/rollback/", models.rollback, name="model-rollback"),
    path("projects/<slug:slug>/models/score/", models.rescore, name="rescore"),
    path("projects/<slug:slug>/models/train/", runs.run_new, name="run-new"),
    path("projects/<slug:slug>/models/runs/<int:pk>/", runs.run_detail, name="run-detail"),
    path("projects/<slug:slug>/models/policy/", policy.policy, name="policy"),
    path("projects/<slug:slug>/panels/loop/", panels.loop_panel, name="loop-panel"),
    path("projects/<slug:slug>/panels/champion/", panels.champion_panel, name="champion-line"),
    path("projects/<slug:slug>/panels/accuracy/", panels.accuracy_panel, name="accuracy-panel"),
    path("projects/<slug:slug>/panels/attention/", panels.attention_panel, name="attention-panel"),
    path(
        "projects/<slug:slug>/panels/comparisons/<int:pk>/scores/",
        panels.history_panel,
        name="history-panel",
    ),
    path(
        "projects/<slug:slug>/panels/comparisons/<int:pk>/", panels.comparison_panel, name="comparison-panel"
    ),
]
