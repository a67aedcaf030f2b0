"""Addresses of the label page."""

from django.urls import path

from labeling.views import label

urlpatterns = [
    path("projects/<slug:slug>/label/", label.label_page, name="label"),
    path("projects/<slug:slug>/label/heartbeat", label.label_heartbeat, name="label-heartbeat"),
    path("projects/<slug:slug>/label/<uuid:uid>/submit", label.label_submit, name="label-submit"),
    path("projects/<slug:slug>/label/<uuid:uid>/change", label.label_change, name="label-change"),
    path("projects/<slug:slug>/label/<uuid:uid>/undo", label.label_undo, name="label-undo"),
    path("projects/<slug:slug>/label/<uuid:uid>/draft", label.label_draft, name="label-draft"),
]
