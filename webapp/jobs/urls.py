"""Addresses of the jobs pages."""

from django.urls import path

from webapp.jobs import views

app_name = "jobs"
urlpatterns = [
    path("jobs/", views.job_list, name="list"),
    path("jobs/<uuid:uid>/", views.job_detail, name="detail"),
    path("jobs/<uuid:uid>/progress", views.job_progress, name="progress"),
    path("jobs/<uuid:uid>/cancel", views.cancel, name="cancel"),
    path("jobs/<uuid:uid>/retry", views.retry, name="retry"),
]
