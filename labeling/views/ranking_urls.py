"""Addresses of ranking responses."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
