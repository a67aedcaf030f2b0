"""REST addresses of the ground storey."""

from django.urls import path

from webapp.jobs import api as jobs

urlpatterns = [
    path("jobs", jobs.JobsView.as_view()),
    path("jobs/<uuid:uid>", jobs.JobView.as_view()),
    path("jobs/<uuid:uid>/cancel", jobs.JobCancelView.as_view()),
    path("jobs/<uuid:uid>/retry", jobs.JobRetryView.as_view()),
]
