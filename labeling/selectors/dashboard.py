"""What labeling adds to the operators' dashboard."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.models import LABEL_OUTCOMES, Preference
from webapp.ui.charts import bar_chart, day_label
from webapp.ui.dashboard import Panel

DAYS = 14


def labels_panel() -> Panel:
    """Labels of people on each of the last 14 days, over all projects; imported ones are left out."""
    today = timezone.localdate()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    rows = (
        Preference.objects.filter(created_at__date__gte=days[0], revision=1, outcome__in=LABEL_OUTCOMES)
        .exclude(source="import")
        .annotate(day=TruncDate("created_at"))
        .values("day")
        .annotate(n=Count("id"))
    )
    counts = {row["day"]: row["n"] for row in rows}
    bars = [(day_label(day), float(counts.get(day, 0))) for day in days]
    return Panel(_("Labels a day"), chart=bar_chart(bars, title=_("Labels a day")))
