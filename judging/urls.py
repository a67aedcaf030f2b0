"""Addresses of this storey's pages."""

from django.urls import path

from judging.views import endpoints, pages, panels, verdicts

ALL = "projects/<slug:slug>/judges"
ONE = f"{ALL}/<uuid:uid>"
COMPARISON = "projects/<slug:slug>/comparisons/<int:pk>"
ENDPOINT = "projects/<slug:slug>/judge-endpoints"

app_name = "judging"
urlpatterns = [
    path(f"{ALL}/", pages.judge_list, name="judge-list"),
    path(f"{ALL}/new/<str:engine>/", pages.judge_new, name="judge-new"),
    path(f"{ALL}/train/", pages.judge_train, name="judge-train"),
    path(f"{ONE}/", pages.judge_detail, name="judge-detail"),
    path(f"{ONE}/delete/", pages.judge_remove, name="judge-delete"),
    path(f"{ONE}/v<int:number>/", pages.judge_detail, name="version-detail"),
    path(f"{ONE}/v<int:number>/next/", pages.version_new, name="version-new"),
    path(f"{ONE}/v<int:number>/run/", pages.run_new, name="run-new"),
    path(f"{ENDPOINT}/new/", endpoints.endpoint_new, name="endpoint-new"),
    path(f"{ENDPOINT}/<uuid:uid>/", endpoints.endpoint_detail, name="endpoint-detail"),
    path(f"{ENDPOINT}/<uuid:uid>/probe/", endpoints.endpoint_probe_view, name="endpoint-probe"),
    path(f"{ENDPOINT}/<uuid:uid>/delete/", endpoints.endpoint_remove, name="endpoint-delete"),
    path("projects/<slug:slug>/verdicts/<uuid:uid>/", verdicts.verdict_detail, name="verdict-detail"),
    path(
        "projects/<slug:slug>/panels/comparisons/<int:pk>/verdicts/",
        panels.history_panel,
        name="history-panel",
    ),
    path("projects/<slug:slug>/panels/judges/", panels.loop_panel, name="loop-panel"),
    path(
        "projects/<slug:slug>/comparisons/<int:pk>/judges/",
        verdicts.comparison_panel,
        name="comparison-panel",
    ),
]
