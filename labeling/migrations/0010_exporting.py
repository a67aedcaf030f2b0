"""Differences between snapshots, and up to which adjudication one has come."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0009_importing'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='snapshot',
            name='last_adjudication_id',
            field=models.BigIntegerField(default=0, verbose_name='up to adjudication'),
        ),
        migrations.CreateModel(
            name='SnapshotDiff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('making', 'being made'), ('ready', 'ready'), ('failed', 'failed')], default='making', max_length=8)),
                ('job_uid', models.UUIDField(blank=True, null=True)),
                ('summary', models.JSONField(default=dict, verbose_name='summary')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('newer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='diffs_to_older', to='labeling.snapshot')),
                ('older', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='diffs_to_newer', to='labeling.snapshot')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='snapshot_diffs', to='labeling.project')),
            ],
            options={
                'verbose_name': 'difference of snapshots',
                'verbose_name_plural': 'differences of snapshots',
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(fields=('older', 'newer'), name='snapshot_diff_once'), models.CheckConstraint(condition=models.Q(('state__in', ['making', 'ready', 'failed'])), name='snapshot_diff_state_known')],
            },
        ),
    ]
