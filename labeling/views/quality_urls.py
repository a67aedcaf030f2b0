"""Addresses of quality: agreement, labelers, reliabilities, one's own statistics."""

from django.urls import path

from labeling.views import quality

urlpatterns = [
    path("projects/<slug:slug>/agreement/", quality.agreement, name="agreement"),
    path("projects/<slug:slug>/panels/agreement/", quality.agreement_panel, name="agreement-line"),
    path("projects/<slug:slug>/quality/labelers/<uuid:uid>/", quality.labeler, name="labeler"),
    path("projects/<slug:slug>/quality/fit/", quality.fit, name="reliability-fit"),
    path("projects/<slug:slug>/mine/", quality.mine, name="mine"),
]
