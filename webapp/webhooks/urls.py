"""Addresses of the webhooks' pages."""

from django.urls import path

from webapp.webhooks import views

app_name = "webhooks"
_one = "projects/<slug:slug>/webhooks/<uuid:uid>/"
urlpatterns = [
    path("projects/<slug:slug>/webhooks/", views.webhook_list, name="list"),
    path(_one, views.webhook_detail, name="detail"),
    path(f"{_one}rotate", views.rotate, name="rotate"),
    path(f"{_one}test", views.test, name="test"),
    path(f"{_one}delete", views.delete, name="delete"),
    path(f"{_one}deliveries/<uuid:delivery>/retry", views.retry, name="retry"),
]
