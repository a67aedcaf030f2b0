"""Storey 1, the ground: settings, users, access, API conventions, audit, jobs."""

from webapp.celery import app as celery_app

__all__ = ["celery_app"]
