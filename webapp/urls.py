"""Addresses. The apps are named only as dotted strings: the ground does not import the storeys above."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from webapp.api.docs import reference_page
from webapp.api.schema import KeptSchemaGenerator
from webapp.ui.health import health
from webapp.ui.pages import help_page

urlpatterns = [
    path("health", health, name="health"),
    path("help/", help_page, name="help"),
    path("admin/", admin.site.urls),
    path("account/", include("webapp.users.urls")),
    path("account/", include("allauth.urls")),
    path("api/schema", SpectacularAPIView.as_view(generator_class=KeptSchemaGenerator), name="api-schema"),
    path("api/docs", reference_page, name="api-docs"),
    path("api/v1/", include("webapp.api.urls")),
    path("api/v1/", include("webapp.webhooks.api_urls")),
    path("api/v1/", include("webapp.notices.api_urls")),
    path("api/v1/", include("labeling.api.urls")),
    path("api/v1/", include("judging.api.urls")),
    path("api/v1/", include("workers.api.urls")),
    path("", include("webapp.jobs.urls")),
    path("", include("webapp.webhooks.urls")),
    path("", include("webapp.notices.urls")),
    path("", include("labeling.urls")),
    path("", include("judging.urls")),
    path("", include("workers.urls")),
]
