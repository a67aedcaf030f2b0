"""Voices, disagreements, adjudications (append-only) and comments."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

# All columns but the reviewer, who is forgotten with the account.
FIXED = (
    "id, uid, project_id, comparison_id, outcome, strength, reason, idempotency_key, request_hash, created_at"
)
SQLITE = (
    f"""
CREATE TRIGGER adjudication_append_only BEFORE UPDATE OF {FIXED} ON labeling_adjudication
BEGIN
    SELECT RAISE(ABORT, 'adjudications are append-only: add a row');
END;
""",
    """
CREATE TRIGGER adjudication_reviewer_stays BEFORE UPDATE OF reviewer_id ON labeling_adjudication
WHEN NEW.reviewer_id IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'adjudications are append-only: add a row');
END;
""",
)
POSTGRES = (
    f"""
CREATE FUNCTION adjudication_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'adjudications are append-only: add a row' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER adjudication_append_only BEFORE UPDATE OF {FIXED} ON labeling_adjudication
FOR EACH ROW EXECUTE FUNCTION adjudication_append_only();
CREATE TRIGGER adjudication_reviewer_stays BEFORE UPDATE OF reviewer_id ON labeling_adjudication
FOR EACH ROW WHEN (NEW.reviewer_id IS NOT NULL) EXECUTE FUNCTION adjudication_append_only();
""",
)
SQLITE_DROP = ("DROP TRIGGER adjudication_append_only;", "DROP TRIGGER adjudication_reviewer_stays;")
POSTGRES_DROP = (
    """
DROP TRIGGER adjudication_append_only ON labeling_adjudication;
DROP TRIGGER adjudication_reviewer_stays ON labeling_adjudication;
DROP FUNCTION adjudication_append_only();
""",
)
# What people have said before there was a queue; judges and models join with what they say next.
BACKFILL = (
    """
INSERT INTO labeling_disagreement (project_id, comparison_id, kind, size)
SELECT found.project_id, found.comparison_id, 'people',
       1.0 - ABS(2.0 * CAST(found.votes_a AS double precision) / (found.votes_a + found.votes_b) - 1.0)
FROM labeling_resolution found JOIN labeling_comparison one ON one.id = found.comparison_id
WHERE found.votes_a > 0 AND found.votes_b > 0 AND found.method <> 'adjudicated' AND one.state <> 'retired'
""",
    """
INSERT INTO labeling_disagreement (project_id, comparison_id, kind, size)
SELECT one.project_id, one.id, 'skipped',
       CASE WHEN one.skip_count >= project.skip_limit THEN 1.0
            ELSE CAST(one.skip_count AS double precision) / project.skip_limit END
FROM labeling_comparison one JOIN labeling_project project ON project.id = one.project_id
WHERE one.state = 'review' AND one.skip_count > 0 AND project.skip_limit > 0
""",
)


def create(apps, schema_editor):
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES:
        schema_editor.execute(statement)
    for statement in BACKFILL:
        schema_editor.execute(statement)


def drop(apps, schema_editor):
    for statement in SQLITE_DROP if schema_editor.connection.vendor == "sqlite" else POSTGRES_DROP:
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0006_ranking'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Comment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('text', models.TextField(blank=True, max_length=5000, verbose_name='text')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='at')),
                ('deleted_at', models.DateTimeField(blank=True, null=True, verbose_name='deleted')),
                ('author', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='comments', to=settings.AUTH_USER_MODEL)),
                ('comparison', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='labeling.comparison')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='labeling.project')),
            ],
            options={
                'verbose_name': 'comment',
                'verbose_name_plural': 'comments',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='CommentMention',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('comment', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='mentions', to='labeling.comment')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comment_mentions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'mention',
                'verbose_name_plural': 'mentions',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='Disagreement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('people', 'people and people'), ('judge', 'people and judge'), ('model', 'people and reward model'), ('judges', 'judge and judge'), ('skipped', 'skipped too often'), ('sent_back', 'sent back')], max_length=9, verbose_name='kind')),
                ('size', models.FloatField(verbose_name='size')),
                ('settled_at', models.DateTimeField(blank=True, null=True, verbose_name='settled')),
                ('comparison', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='disagreements', to='labeling.comparison')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='disagreements', to='labeling.project')),
            ],
            options={
                'verbose_name': 'disagreement',
                'verbose_name_plural': 'disagreements',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='Voice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('judge', 'judge'), ('model', 'reward model')], max_length=5, verbose_name='kind')),
                ('source', models.CharField(max_length=40)),
                ('name', models.CharField(max_length=120, verbose_name='name')),
                ('outcome', models.CharField(blank=True, choices=[('a', 'A better'), ('b', 'B better'), ('tie', 'tie'), ('', 'not read')], max_length=4, verbose_name='outcome')),
                ('p_a', models.FloatField(blank=True, null=True, verbose_name='P(A better)')),
                ('value_a', models.FloatField(blank=True, null=True, verbose_name='score of A')),
                ('value_b', models.FloatField(blank=True, null=True, verbose_name='score of B')),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('comparison', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='voices', to='labeling.comparison')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='voices', to='labeling.project')),
            ],
            options={
                'verbose_name': 'voice',
                'verbose_name_plural': 'voices',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='Adjudication',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('outcome', models.CharField(choices=[('a', 'A better'), ('b', 'B better'), ('tie', 'tie'), ('both_bad', 'both bad'), ('withdrawn', 'undone')], max_length=10, verbose_name='outcome')),
                ('strength', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='strength')),
                ('reason', models.TextField(verbose_name='reason')),
                ('idempotency_key', models.CharField(editable=False, max_length=80)),
                ('request_hash', models.CharField(editable=False, max_length=64)),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='at')),
                ('comparison', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='adjudications', to='labeling.comparison')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='adjudications', to='labeling.project')),
                ('reviewer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='adjudications', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'adjudication',
                'verbose_name_plural': 'adjudications',
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(fields=('reviewer', 'idempotency_key'), name='adjudication_key_once'), models.CheckConstraint(condition=models.Q(('outcome__in', ['a', 'b', 'tie', 'both_bad', 'withdrawn'])), name='adjudication_outcome_known'), models.CheckConstraint(condition=models.Q(('strength__isnull', True), models.Q(('outcome__in', ['a', 'b']), ('strength__gte', 1), ('strength__lte', 4)), _connector='OR'), name='adjudication_strength_ok'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='adjudication_has_reason')],
            },
        ),
        migrations.CreateModel(
            name='SentBack',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('to', models.CharField(choices=[('others', 'more people'), ('same', 'the same people'), ('named', 'named people')], max_length=6, verbose_name='to')),
                ('more', models.PositiveSmallIntegerField(default=0, verbose_name='labels asked for')),
                ('people', models.ManyToManyField(blank=True, related_name='sent_back', to='labeling.labeler', verbose_name='people')),
                ('note', models.TextField(blank=True, max_length=2000, verbose_name='note')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='at')),
                ('actor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='sent_back', to=settings.AUTH_USER_MODEL)),
                ('comparison', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sent_back', to='labeling.comparison')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sent_back', to='labeling.project')),
            ],
            options={
                'verbose_name': 'comparison sent back',
                'verbose_name_plural': 'comparisons sent back',
                'ordering': ['id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('to__in', ['others', 'same', 'named'])), name='sent_back_to_known')],
            },
        ),
        migrations.AddConstraint(
            model_name='comment',
            constraint=models.CheckConstraint(condition=models.Q(('deleted_at__isnull', True), ('text', ''), _connector='OR'), name='comment_deleted_is_empty'),
        ),
        migrations.AddConstraint(
            model_name='commentmention',
            constraint=models.UniqueConstraint(fields=('comment', 'user'), name='comment_mention_once'),
        ),
        migrations.AddIndex(
            model_name='disagreement',
            index=models.Index(condition=models.Q(('settled_at__isnull', True)), fields=['project', 'kind', '-size', 'comparison'], name='disagreement_queue'),
        ),
        migrations.AddConstraint(
            model_name='disagreement',
            constraint=models.UniqueConstraint(fields=('comparison', 'kind'), name='disagreement_once'),
        ),
        migrations.AddConstraint(
            model_name='disagreement',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['people', 'judge', 'model', 'judges', 'skipped', 'sent_back'])), name='disagreement_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='disagreement',
            constraint=models.CheckConstraint(condition=models.Q(('size__gt', 0), ('size__lte', 1)), name='disagreement_size_ok'),
        ),
        migrations.AddIndex(
            model_name='voice',
            index=models.Index(fields=['project', 'kind', 'source', 'outcome', 'comparison'], name='voice_outcome'),
        ),
        migrations.AddIndex(
            model_name='voice',
            index=models.Index(fields=['project', 'kind', 'source', 'p_a', 'comparison'], name='voice_share'),
        ),
        migrations.AddIndex(
            model_name='voice',
            index=models.Index(condition=models.Q(('kind', 'model')), fields=['project', 'value_a'], name='voice_value_a'),
        ),
        migrations.AddIndex(
            model_name='voice',
            index=models.Index(condition=models.Q(('kind', 'model')), fields=['project', 'value_b'], name='voice_value_b'),
        ),
        migrations.AddConstraint(
            model_name='voice',
            constraint=models.UniqueConstraint(fields=('comparison', 'kind', 'source'), name='voice_once'),
        ),
        migrations.AddConstraint(
            model_name='voice',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['judge', 'model'])), name='voice_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='voice',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['a', 'b', 'tie', ''])), name='voice_outcome_known'),
        ),
        migrations.AddConstraint(
            model_name='voice',
            constraint=models.CheckConstraint(condition=models.Q(('p_a__isnull', True), models.Q(('p_a__gte', 0), ('p_a__lte', 1)), _connector='OR'), name='voice_share_ok'),
        ),
        migrations.RunPython(create, drop),
    ]
