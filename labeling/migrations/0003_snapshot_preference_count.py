"""How many preferences a snapshot has seen. Those made before are given the count up to their last one."""

from django.db import migrations, models


def fill(apps, schema_editor):
    Snapshot = apps.get_model("labeling", "Snapshot")
    Preference = apps.get_model("labeling", "Preference")
    for snapshot in Snapshot.objects.filter(state="ready").iterator():
        seen = Preference.objects.filter(project_id=snapshot.project_id, pk__lte=snapshot.last_preference_id)
        Snapshot.objects.filter(pk=snapshot.pk).update(preference_count=seen.count())


class Migration(migrations.Migration):
    dependencies = [("labeling", "0002_preferences_append_only")]
    operations = [
        migrations.AddField(
            model_name="snapshot",
            name="preference_count",
            field=models.PositiveBigIntegerField(default=0, verbose_name="preferences in the project"),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
