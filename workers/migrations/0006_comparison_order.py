from typing import Any

from django.db import migrations, models
from django.db.models import F, Q


def drop_other_order(apps: Any, schema_editor: Any) -> None:
    """A comparison is kept once, the newer model first; its report is made again where somebody asks."""
    rows = apps.get_model("workers", "ModelComparison").objects.using(schema_editor.connection.alias)
    rows.filter(model_a__lt=F("model_b")).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("workers", "0005_scorer_kinds"),
    ]

    operations = [
        migrations.RunPython(drop_other_order, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="modelcomparison", name="model_comparison_of_two"),
        migrations.AddConstraint(
            model_name="modelcomparison",
            constraint=models.CheckConstraint(
                condition=Q(model_a__gt=F("model_b")), name="model_comparison_newer_first"
            ),
        ),
    ]
