"""REST addresses of batches and people's work."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
