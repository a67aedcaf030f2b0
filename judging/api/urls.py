"""REST addresses of this storey."""

from django.urls import path

from judging.api import endpoints, views

P = "projects/<slug:slug>"

urlpatterns = [
    path(f"{P}/judges", views.JudgesView.as_view(), name="api-judges"),
    path(f"{P}/judges/train", views.TrainView.as_view(), name="api-judge-train"),
    path(f"{P}/judges/<uuid:uid>", views.JudgeView.as_view(), name="api-judge"),
    path(f"{P}/judges/<uuid:uid>/versions", views.VersionsView.as_view(), name="api-judge-versions"),
    path(f"{P}/judge-runs", views.RunsView.as_view(), name="api-judge-runs"),
    path(f"{P}/judge-runs/<uuid:uid>", views.RunView.as_view(), name="api-judge-run"),
    path(f"{P}/verdicts", views.VerdictsView.as_view(), name="api-verdicts"),
    path(f"{P}/verdicts/<uuid:uid>", views.VerdictView.as_view(), name="api-verdict"),
    path(f"{P}/judge-endpoints", endpoints.EndpointsView.as_view(), name="api-judge-endpoints"),
    path(f"{P}/judge-endpoints/<uuid:uid>", endpoints.EndpointView.as_view(), name="api-judge-endpoint"),
    path(
        f"{P}/judge-endpoints/<uuid:uid>/probe",
        endpoints.EndpointProbeView.as_view(),
        name="api-judge-endpoint-probe",
    ),
]
