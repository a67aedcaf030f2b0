"""REST addresses of the notices."""

from django.urls import path

from webapp.notices import api

urlpatterns = [
    path("notices", api.NoticesView.as_view()),
    path("notices/read", api.NoticesReadView.as_view()),
]
