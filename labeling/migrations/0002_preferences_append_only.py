"""The database itself refuses to change a preference (invariant 1)."""

from django.db import migrations

SQLITE = """
CREATE TRIGGER preference_append_only BEFORE UPDATE ON labeling_preference
BEGIN
    SELECT RAISE(ABORT, 'preferences are append-only: add a revision');
END;
"""
POSTGRES = """
CREATE FUNCTION preference_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'preferences are append-only: add a revision' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER preference_append_only BEFORE UPDATE ON labeling_preference
FOR EACH ROW EXECUTE FUNCTION preference_append_only();
"""
SQLITE_DROP = "DROP TRIGGER preference_append_only;"
POSTGRES_DROP = """
DROP TRIGGER preference_append_only ON labeling_preference;
DROP FUNCTION preference_append_only();
"""


def create(apps, schema_editor):
    schema_editor.execute(SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRES)


def drop(apps, schema_editor):
    schema_editor.execute(SQLITE_DROP if schema_editor.connection.vendor == "sqlite" else POSTGRES_DROP)


class Migration(migrations.Migration):
    dependencies = [("labeling", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
