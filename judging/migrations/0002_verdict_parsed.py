"""The word for a verdict that was parsed; what is stored stays the same."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("judging", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="verdict",
            name="status",
            field=models.CharField(
                choices=[
                    ("ok", "parsed"),
                    ("repaired", "parsed after repair"),
                    ("conflict", "two labels"),
                    ("unparsed", "no verdict found"),
                    ("truncated", "cut off"),
                    ("refused", "refused"),
                    ("suspected_injection", "suspected injection"),
                    ("error", "call failed"),
                ],
                max_length=20,
                verbose_name="status",
            ),
        ),
    ]
