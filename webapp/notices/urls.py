"""Addresses of the notices."""

from django.urls import path

from webapp.notices import views

app_name = "notices"
urlpatterns = [
    path("notices/", views.notice_list, name="list"),
    path("notices/count", views.count, name="count"),
    path("notices/read-all", views.read_all, name="read-all"),
    path("notices/<int:pk>/", views.notice_open, name="open"),
]
