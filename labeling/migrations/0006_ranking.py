"""Rankings, rewrites, marked passages. Rankings are append-only, as preferences are."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

SQLITE = """
CREATE TRIGGER ranking_append_only BEFORE UPDATE ON labeling_ranking
BEGIN
    SELECT RAISE(ABORT, 'rankings are append-only: add a revision');
END;
"""
POSTGRES = """
CREATE FUNCTION ranking_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rankings are append-only: add a revision' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER ranking_append_only BEFORE UPDATE ON labeling_ranking
FOR EACH ROW EXECUTE FUNCTION ranking_append_only();
"""
SQLITE_DROP = "DROP TRIGGER ranking_append_only;"
POSTGRES_DROP = """
DROP TRIGGER ranking_append_only ON labeling_ranking;
DROP FUNCTION ranking_append_only();
"""
PREFERENCES_ON_SQLITE = """
CREATE TRIGGER IF NOT EXISTS preference_append_only BEFORE UPDATE ON labeling_preference
BEGIN
    SELECT RAISE(ABORT, 'preferences are append-only: add a revision');
END;
"""


def create(apps, schema_editor):
    schema_editor.execute(SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES)


def drop(apps, schema_editor):
    schema_editor.execute(SQLITE_DROP if schema_editor.connection.vendor == "sqlite" else POSTGRES_DROP)


def guard_preferences_again(apps, schema_editor):
    """Taking the columns away rebuilds the table on SQLite, and the trigger of 0002 goes with the old one."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(PREFERENCES_ON_SQLITE)


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0005_allocation'),
    ]

    operations = [
        migrations.RunPython(migrations.RunPython.noop, guard_preferences_again),
        migrations.AddField(
            model_name='assignment',
            name='rewrites',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='preference',
            name='aspect_strengths',
            field=models.JSONField(blank=True, null=True, verbose_name='strengths of aspects'),
        ),
        migrations.AddField(
            model_name='preference',
            name='spans',
            field=models.JSONField(blank=True, null=True, verbose_name='marked passages'),
        ),
        migrations.AddField(
            model_name='response',
            name='author',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='rewrites', to='labeling.labeler'),
        ),
        migrations.AddField(
            model_name='response',
            name='parent',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='rewrites', to='labeling.response'),
        ),
        migrations.CreateModel(
            name='Ranking',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('revision', models.PositiveSmallIntegerField(default=1, verbose_name='revision')),
                ('ranks', models.JSONField(default=list, verbose_name='ranks')),
                ('unranked', models.JSONField(default=list, verbose_name='not ranked')),
                ('rationale', models.TextField(blank=True, verbose_name='rationale')),
                ('duration_ms', models.PositiveIntegerField(blank=True, null=True, verbose_name='milliseconds')),
                ('source', models.CharField(choices=[('web', 'label page'), ('api', 'REST'), ('import', 'import'), ('simulation', 'simulation')], max_length=12, verbose_name='source')),
                ('idempotency_key', models.CharField(editable=False, max_length=80)),
                ('request_hash', models.CharField(editable=False, max_length=64)),
                ('created_at', models.DateTimeField(verbose_name='at')),
                ('labeler', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='rankings', to='labeling.labeler')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rankings', to='labeling.project')),
                ('prompt', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='rankings', to='labeling.prompt')),
            ],
            options={
                'verbose_name': 'ranking',
                'verbose_name_plural': 'rankings',
                'ordering': ['id'],
            },
        ),
        migrations.AddField(
            model_name='preference',
            name='ranking',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='preferences', to='labeling.ranking', verbose_name='ranking'),
        ),
        migrations.CreateModel(
            name='RankingTask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('state', models.CharField(choices=[('leased', 'leased'), ('submitted', 'submitted'), ('skipped', 'skipped'), ('expired', 'expired')], default='leased', max_length=10)),
                ('order', models.JSONField(default=list)),
                ('draft', models.JSONField(blank=True, default=dict)),
                ('lease_expires_at', models.DateTimeField()),
                ('opened_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('labeler', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='ranking_tasks', to='labeling.labeler')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='ranking_tasks', to='labeling.project')),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='ranking_tasks', to='labeling.prompt')),
            ],
            options={
                'verbose_name': 'ranking task',
                'verbose_name_plural': 'ranking tasks',
                'ordering': ['id'],
            },
        ),
        migrations.AddField(
            model_name='ranking',
            name='task',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='rankings', to='labeling.rankingtask'),
        ),
        migrations.AddIndex(
            model_name='response',
            index=models.Index(condition=models.Q(('parent__isnull', False)), fields=['parent'], name='response_parent'),
        ),
        migrations.AddIndex(
            model_name='response',
            index=models.Index(condition=models.Q(('author__isnull', False)), fields=['author'], name='response_author'),
        ),
        migrations.AddIndex(
            model_name='preference',
            index=models.Index(condition=models.Q(('ranking__isnull', False)), fields=['ranking'], name='preference_ranking'),
        ),
        migrations.AddIndex(
            model_name='rankingtask',
            index=models.Index(condition=models.Q(('state', 'leased')), fields=['lease_expires_at'], name='ranking_task_lease'),
        ),
        migrations.AddConstraint(
            model_name='rankingtask',
            constraint=models.UniqueConstraint(fields=('labeler', 'prompt'), name='ranking_task_once'),
        ),
        migrations.AddConstraint(
            model_name='rankingtask',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['leased', 'submitted', 'skipped', 'expired'])), name='ranking_task_state_known'),
        ),
        migrations.AddConstraint(
            model_name='ranking',
            constraint=models.UniqueConstraint(fields=('prompt', 'labeler', 'revision'), name='ranking_revision_once'),
        ),
        migrations.AddConstraint(
            model_name='ranking',
            constraint=models.UniqueConstraint(fields=('labeler', 'idempotency_key'), name='ranking_key_once'),
        ),
        migrations.RunPython(create, drop),
    ]
