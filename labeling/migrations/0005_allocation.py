"""Gold and qualification, batches for named people, and the bookmark by which a labeler's queue goes on."""

import django.core.validators
import django.db.models.deletion
import labeling.models.items
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0004_reveals'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Batch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(max_length=120, verbose_name='name')),
                ('deadline', models.DateTimeField(blank=True, null=True, verbose_name='deadline')),
                ('is_paused', models.BooleanField(default=False, verbose_name='paused')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('closed_at', models.DateTimeField(blank=True, null=True, verbose_name='closed')),
                ('due_told_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('over_told_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('stuck_told_at', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                'verbose_name': 'batch',
                'verbose_name_plural': 'batches',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='BatchPerson',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('passed_priority', models.FloatField(blank=True, editable=False, null=True)),
                ('passed_id', models.BigIntegerField(blank=True, editable=False, null=True)),
                ('passed_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('passed_epoch', models.PositiveBigIntegerField(default=0, editable=False)),
            ],
            options={
                'verbose_name': 'person of a batch',
                'verbose_name_plural': 'people of batches',
                'ordering': ['id'],
            },
        ),
        migrations.RemoveIndex(
            model_name='comparison',
            name='comparison_queue',
        ),
        migrations.RemoveIndex(
            model_name='comparison',
            name='comparison_random',
        ),
        migrations.AddField(
            model_name='comparison',
            name='freed_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='comparison',
            name='use',
            field=models.CharField(choices=[('work', 'work'), ('gold', 'gold'), ('qualification', 'qualification')], default='work', max_length=13, verbose_name='use'),
        ),
        migrations.AddField(
            model_name='labeler',
            name='failed_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='failed to qualify'),
        ),
        migrations.AddField(
            model_name='labeler',
            name='qualify_from',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='labeler',
            name='passed_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='labeler',
            name='passed_epoch',
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='labeler',
            name='passed_id',
            field=models.BigIntegerField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='labeler',
            name='passed_priority',
            field=models.FloatField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='labeler',
            name='paused_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='paused since'),
        ),
        migrations.AddField(
            model_name='labeler',
            name='qualified_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='qualified'),
        ),
        migrations.AddField(
            model_name='project',
            name='gold_share',
            field=models.FloatField(default=0.0, help_text='Share of comparisons drawn from those with a known outcome, to check on labelers.', validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(1.0)], verbose_name='gold share'),
        ),
        migrations.AddField(
            model_name='project',
            name='qualification_pass',
            field=models.FloatField(default=0.8, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(1.0)], verbose_name='share to qualify'),
        ),
        migrations.AddField(
            model_name='project',
            name='qualification_size',
            field=models.PositiveSmallIntegerField(default=0, help_text='How many known comparisons somebody answers before any other. 0: none.', verbose_name='comparisons to qualify'),
        ),
        migrations.AddField(
            model_name='project',
            name='work_epoch',
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='assignment',
            name='lapses',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='assignment',
            name='drawn',
            field=models.CharField(choices=[('priority', 'priority'), ('random', 'random'), ('batch', 'batch'), ('gold', 'gold'), ('qualify', 'qualification'), ('ranking', 'ranking')], max_length=10),
        ),
        migrations.AddField(
            model_name='batch',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='batch',
            name='project',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='batches', to='labeling.project'),
        ),
        migrations.AddField(
            model_name='comparison',
            name='batch',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='comparisons', to='labeling.batch', verbose_name='batch'),
        ),
        migrations.AddField(
            model_name='batchperson',
            name='batch',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='people', to='labeling.batch'),
        ),
        migrations.AddField(
            model_name='batchperson',
            name='labeler',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='batch_places', to='labeling.labeler'),
        ),
        migrations.AddConstraint(
            model_name='project',
            constraint=models.CheckConstraint(condition=models.Q(('gold_share__gte', 0), ('gold_share__lte', 1)), name='project_gold_share_ok'),
        ),
        migrations.AddConstraint(
            model_name='project',
            constraint=models.CheckConstraint(condition=models.Q(('qualification_pass__gte', 0), ('qualification_pass__lte', 1)), name='project_qualification_ok'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=labeling.models.items.QueueIndex(condition=models.Q(('batch__isnull', True), ('open_slots__gt', 0), ('state', 'open'), ('use', 'work')), fields=['project', '-priority', 'id'], name='comparison_queue'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=models.Index(condition=models.Q(('batch__isnull', True), ('open_slots__gt', 0), ('state', 'open'), ('use', 'work')), fields=['project', 'random_key', 'id'], name='comparison_random'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=models.Index(condition=models.Q(('batch__isnull', True), ('open_slots__gt', 0), ('state', 'open'), ('use', 'work'), ('freed_at__isnull', False)), fields=['project', 'freed_at'], name='comparison_freed'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=labeling.models.items.QueueIndex(condition=models.Q(('batch__isnull', False), ('open_slots__gt', 0), ('state', 'open')), fields=['batch', '-priority', 'id'], name='comparison_batch'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=models.Index(condition=models.Q(('batch__isnull', False), ('freed_at__isnull', False), ('open_slots__gt', 0), ('state', 'open')), fields=['batch', 'freed_at'], name='comparison_batch_freed'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=models.Index(condition=models.Q(('batch__isnull', False)), fields=['batch', 'state'], name='comparison_batch_state'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=models.Index(condition=models.Q(models.Q(('use', 'work'), _negated=True), ('state', 'open')), fields=['project', 'use', 'random_key', 'id'], name='comparison_check'),
        ),
        migrations.AddConstraint(
            model_name='comparison',
            constraint=models.CheckConstraint(condition=models.Q(('use__in', ['work', 'gold', 'qualification'])), name='comparison_use_known'),
        ),
        migrations.AddConstraint(
            model_name='comparison',
            constraint=models.CheckConstraint(condition=models.Q(('use', 'work'), models.Q(('gold_outcome', ''), _negated=True), _connector='OR'), name='comparison_check_is_known'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.UniqueConstraint(fields=('project', 'name'), name='batch_name_once'),
        ),
        migrations.AddConstraint(
            model_name='batchperson',
            constraint=models.UniqueConstraint(fields=('batch', 'labeler'), name='batch_person_once'),
        ),
    ]
