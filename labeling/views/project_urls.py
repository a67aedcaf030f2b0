"""Addresses of home, project, people."""

from django.urls import path

from labeling.views import members, projects

urlpatterns = [
    path("", projects.home, name="home"),
    path("projects/new/", projects.project_new, name="project-new"),
    path("projects/<slug:slug>/", projects.project, name="project"),
    path("projects/<slug:slug>/settings/", projects.project_settings, name="project-settings"),
    path("projects/<slug:slug>/settings/preview/", projects.scheme_preview, name="scheme-preview"),
    path("projects/<slug:slug>/people/", members.members, name="members"),
    path("projects/<slug:slug>/people/<int:pk>/", members.member_change, name="member-change"),
    path("invitations/<str:token>/", members.invitation, name="invitation"),
]
