"""REST addresses of the webhooks."""

from django.urls import path

from webapp.webhooks import api

_one = "projects/<slug:slug>/webhooks/<uuid:uid>"
urlpatterns = [
    path("projects/<slug:slug>/webhooks", api.WebhooksView.as_view()),
    path(_one, api.WebhookView.as_view()),
    path(f"{_one}/rotate", api.RotateView.as_view()),
    path(f"{_one}/test", api.TestView.as_view()),
    path(f"{_one}/deliveries", api.DeliveriesView.as_view()),
    path(f"{_one}/deliveries/<uuid:delivery>/retry", api.RetryView.as_view()),
]
