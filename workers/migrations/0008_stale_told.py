from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workers", "0007_generative_kind")]

    operations = [
        migrations.AddField(
            model_name="rewardmodel",
            name="stale_told_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="told as stale"),
        ),
    ]
