"""Where an import comes from, and how its keys are mapped."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0008_items'),
    ]

    operations = [
        migrations.AddField(
            model_name='import',
            name='mapping',
            field=models.JSONField(blank=True, default=dict, verbose_name='mapping'),
        ),
        migrations.AddField(
            model_name='import',
            name='members',
            field=models.JSONField(blank=True, default=list, verbose_name='files within'),
        ),
        migrations.AddField(
            model_name='import',
            name='sample',
            field=models.JSONField(blank=True, default=list, editable=False),
        ),
        migrations.AddField(
            model_name='import',
            name='source',
            field=models.CharField(choices=[('upload', 'uploaded file'), ('hub', 'data set of a hub')], default='upload', max_length=12, verbose_name='source'),
        ),
    ]
