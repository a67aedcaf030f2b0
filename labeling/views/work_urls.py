"""Addresses of batches and people's work."""

from django.urls import path

from labeling.views import allocation_settings, work

urlpatterns = [
    path("projects/<slug:slug>/work/", work.work, name="work"),
    path("projects/<slug:slug>/work/new/", work.work_new, name="work-new"),
    path("projects/<slug:slug>/work/<uuid:uid>/", work.work_batch, name="work-batch"),
    path("projects/<slug:slug>/work/<uuid:uid>/extend", work.work_extend, name="work-extend"),
    path("projects/<slug:slug>/work/<uuid:uid>/release", work.work_release, name="work-release"),
    path("projects/<slug:slug>/work/<uuid:uid>/delete", work.work_delete, name="work-delete"),
    path("projects/<slug:slug>/people/<int:pk>/work", work.work_person, name="work-person"),
    path(
        "projects/<slug:slug>/settings/allocation/",
        allocation_settings.allocation_settings,
        name="allocation-settings",
    ),
    path("projects/<slug:slug>/settings/checks", allocation_settings.checks_change, name="checks-change"),
]
