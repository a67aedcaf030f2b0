"""Reliabilities of labelers, and the rule by which votes are settled."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0010_exporting'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='project',
            name='resolution_rule',
            field=models.CharField(choices=[('majority', 'majority'), ('reliability', 'reliability')], default='majority', max_length=12, verbose_name='settled by'),
        ),
        migrations.AlterField(
            model_name='resolution',
            name='method',
            field=models.CharField(choices=[('majority', 'majority'), ('adjudicated', 'adjudication'), ('reliability', 'reliability')], default='majority', max_length=12, verbose_name='settled by'),
        ),
        migrations.CreateModel(
            name='ReliabilityFit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('up_to', models.BigIntegerField(default=0, verbose_name='up to preference')),
                ('preference_count', models.PositiveBigIntegerField(default=0, verbose_name='votes')),
                ('people', models.JSONField(default=dict, verbose_name='people')),
                ('prior', models.JSONField(default=list, verbose_name='prior')),
                ('iterations', models.PositiveIntegerField(default=0, verbose_name='iterations')),
                ('log_likelihood', models.FloatField(verbose_name='log-likelihood')),
                ('rows', models.PositiveBigIntegerField(default=0, verbose_name='comparisons')),
                ('job_uid', models.UUIDField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reliability_fits', to='labeling.project')),
            ],
            options={
                'verbose_name': 'reliability fit',
                'verbose_name_plural': 'reliability fits',
                'ordering': ['-id'],
            },
        ),
        migrations.AddConstraint(
            model_name='project',
            constraint=models.CheckConstraint(condition=models.Q(('resolution_rule__in', ['majority', 'reliability'])), name='project_rule_known'),
        ),
    ]
