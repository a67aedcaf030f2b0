"""What items are found by: full text, models, agreement, saved filters."""

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
from django.conf import settings
from django.db import migrations, models

# All but the manager, who may be forgotten.
FIXED = "id, comparison_id, kind, value, text, created_at"
# The words are cut already: the tokenizer only parts them at the spaces. Where in a text a word stands is not kept.
SQLITE = (
    """
CREATE VIRTUAL TABLE search_fts USING fts5(
    words, content='labeling_searchtext', content_rowid='prompt_id',
    tokenize="unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'", detail=none, columnsize=0
);
""",
    """
CREATE TRIGGER search_text_added AFTER INSERT ON labeling_searchtext
BEGIN
    INSERT INTO search_fts(rowid, words) VALUES (NEW.prompt_id, NEW.words);
END;
""",
    """
CREATE TRIGGER search_text_changed AFTER UPDATE ON labeling_searchtext
BEGIN
    INSERT INTO search_fts(search_fts, rowid, words) VALUES ('delete', OLD.prompt_id, OLD.words);
    INSERT INTO search_fts(rowid, words) VALUES (NEW.prompt_id, NEW.words);
END;
""",
    """
CREATE TRIGGER search_text_removed AFTER DELETE ON labeling_searchtext
BEGIN
    INSERT INTO search_fts(search_fts, rowid, words) VALUES ('delete', OLD.prompt_id, OLD.words);
END;
""",
    f"""
CREATE TRIGGER item_deed_append_only BEFORE UPDATE OF {FIXED} ON labeling_itemdeed
BEGIN
    SELECT RAISE(ABORT, 'deeds are append-only: add a row');
END;
""",
)
# Past the parser of texts, which would read "v1.2" or "a-b" its own way. The function is no SQL one, which would be
# put in place and lose its cost: a plan that made the vectors of many rows, instead of reading the index, looks as
# dear to the planner as it is.
POSTGRES = (
    """
CREATE FUNCTION labeling_search_words(words text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000
AS $$ BEGIN RETURN array_to_tsvector(string_to_array(btrim(words), ' ')); END $$;
""",
    """
CREATE INDEX search_text_words ON labeling_searchtext USING gin (labeling_search_words(words));
""",
    f"""
CREATE FUNCTION item_deed_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'deeds are append-only: add a row' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER item_deed_append_only BEFORE UPDATE OF {FIXED} ON labeling_itemdeed
FOR EACH ROW EXECUTE FUNCTION item_deed_append_only();
""",
)
SQLITE_DROP = (
    "DROP TRIGGER item_deed_append_only;",
    "DROP TRIGGER search_text_removed;",
    "DROP TRIGGER search_text_changed;",
    "DROP TRIGGER search_text_added;",
    "DROP TABLE search_fts;",
)
POSTGRES_DROP = (
    "DROP TRIGGER item_deed_append_only ON labeling_itemdeed;",
    "DROP FUNCTION item_deed_append_only();",
    "DROP INDEX search_text_words;",
    "DROP FUNCTION labeling_search_words(text);",
)


def create(apps, schema_editor):
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES:
        schema_editor.execute(statement)


def drop(apps, schema_editor):
    for statement in SQLITE_DROP if schema_editor.connection.vendor == "sqlite" else POSTGRES_DROP:
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0007_review'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='project',
            name='search_cursor',
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.CreateModel(
            name='ItemFacet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('model', 'model'), ('language', 'language'), ('topic', 'topic')], max_length=8, verbose_name='kind')),
                ('value', models.CharField(max_length=160, verbose_name='value')),
                ('comparison', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='facets', to='labeling.comparison')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='item_facets', to='labeling.project')),
            ],
            options={
                'verbose_name': 'facet of an item',
                'verbose_name_plural': 'facets of items',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, verbose_name='name')),
                ('query', models.JSONField(default=dict, verbose_name='filter')),
                ('is_shared', models.BooleanField(default=False, verbose_name='shared')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_filters', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='saved_filters', to='labeling.project')),
            ],
            options={
                'verbose_name': 'saved filter',
                'verbose_name_plural': 'saved filters',
                'ordering': ['name', 'id'],
            },
        ),
        migrations.CreateModel(
            name='SearchText',
            fields=[
                ('prompt', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='search_text', serialize=False, to='labeling.prompt')),
                ('words', models.TextField(blank=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='search_texts', to='labeling.project')),
            ],
            options={
                'verbose_name': 'search text',
                'verbose_name_plural': 'search texts',
                'ordering': ['prompt'],
            },
        ),
        migrations.CreateModel(
            name='ItemDeed',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('priority', 'priority by hand'), ('people', 'more people'), ('gold', 'used as gold'), ('qualification', 'used for the qualification'), ('work', 'used for work again'), ('retire', 'retired'), ('restore', 'brought back'), ('batch', 'put into a batch'), ('freed', 'given back to everybody')], max_length=13, verbose_name='deed')),
                ('value', models.FloatField(null=True)),
                ('text', models.CharField(blank=True, max_length=120)),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='at')),
                ('actor', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('comparison', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deeds', to='labeling.comparison')),
            ],
            options={
                'verbose_name': 'deed of a manager',
                'verbose_name_plural': 'deeds of managers',
                'ordering': ['id'],
            },
        ),
        migrations.AddField(
            model_name='resolution',
            name='agreement',
            field=models.GeneratedField(db_persist=True, expression=django.db.models.expressions.CombinedExpression(django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.Greatest('votes_a', 'votes_b', 'votes_tie', 'votes_both_bad'), models.FloatField()), '/', django.db.models.functions.comparison.NullIf(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('votes_a'), '+', models.F('votes_b')), '+', models.F('votes_tie')), '+', models.F('votes_both_bad')), 0)), output_field=models.FloatField(null=True), verbose_name='agreement'),
        ),
        migrations.AddIndex(
            model_name='resolution',
            index=models.Index(fields=['project', 'outcome', 'comparison'], name='resolution_outcome'),
        ),
        migrations.AddIndex(
            model_name='resolution',
            index=models.Index(fields=['project', 'agreement', 'comparison'], name='resolution_agreement'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=models.Index(fields=['project', '-id'], name='comparison_project_id'),
        ),
        migrations.AddIndex(
            model_name='comparison',
            index=models.Index(condition=models.Q(('use', 'work'), _negated=True), fields=['project', 'use', 'id'], name='comparison_use'),
        ),
        migrations.AddConstraint(
            model_name='itemfacet',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['model', 'language', 'topic'])), name='item_facet_known'),
        ),
        migrations.AddConstraint(
            model_name='itemfacet',
            constraint=models.UniqueConstraint(fields=('project', 'kind', 'value', 'comparison'), name='item_facet_once'),
        ),
        migrations.AddConstraint(
            model_name='savedfilter',
            constraint=models.UniqueConstraint(fields=('project', 'owner', 'name'), name='saved_filter_name_once'),
        ),
        migrations.RunPython(create, drop),
    ]
