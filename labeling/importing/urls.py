"""Addresses of the import pages."""

from django.urls import path

from labeling.importing import mapping_views, views

urlpatterns = [
    path("projects/<slug:slug>/imports/", views.import_list, name="import-list"),
    path("projects/<slug:slug>/imports/new/", views.import_new, name="import-new"),
    path("projects/<slug:slug>/imports/hub/", views.import_hub, name="import-hub"),
    path("projects/<slug:slug>/imports/<uuid:uid>/", views.import_detail, name="import-detail"),
    path(
        "projects/<slug:slug>/imports/<uuid:uid>/confirm/", views.import_confirm_view, name="import-confirm"
    ),
    path("projects/<slug:slug>/imports/<uuid:uid>/check/", views.import_recheck_view, name="import-recheck"),
    path(
        "projects/<slug:slug>/imports/<uuid:uid>/mapping/",
        mapping_views.import_mapping,
        name="import-mapping",
    ),
    path("projects/<slug:slug>/imports/<uuid:uid>/retry/", views.import_retry_view, name="import-retry"),
    path(
        "projects/<slug:slug>/imports/<uuid:uid>/discard/", views.import_discard_view, name="import-discard"
    ),
]
