"""Times by the database's clock, so that workers with wrong clocks cannot steal or outlive a lease."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.functions import Now


def database_time(*, plus_s: float = 0.0) -> ExpressionWrapper:
    """The database's time at the statement, moved by `plus_s` seconds (which may be negative)."""
    return ExpressionWrapper(Now() + timedelta(seconds=plus_s), output_field=DateTimeField())
