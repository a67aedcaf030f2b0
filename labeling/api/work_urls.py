"""REST addresses of batches and people's work."""

from django.urls import path

from labeling.api import work

urlpatterns = [
    path("projects/<slug:slug>/batches", work.BatchesView.as_view(), name="api-batches"),
    path("projects/<slug:slug>/batches/<uuid:uid>", work.BatchView.as_view(), name="api-batch"),
    path("projects/<slug:slug>/work/people", work.WorkersView.as_view(), name="api-work-people"),
    path("projects/<slug:slug>/allocation", work.AllocationView.as_view(), name="api-allocation"),
]
