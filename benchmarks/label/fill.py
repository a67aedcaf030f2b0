"""Projects of many comparisons, made by the database itself. Run in a process in which Django is set up."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction

from labeling.models import Labeler, LabelerKind, Membership, Project, Role
from webapp.users.models import ApiToken, User

# Comparisons of one prompt: all pairs of five responses.
RESPONSES, PAIRS = 5, 10


@dataclass(frozen=True)
class Person:
    labeler: Labeler
    token: str


def make_project(slug: str, pairs: int, *, text: int, overlap: int = 1, is_alone: bool = True) -> Project:
    """A project with `pairs` comparisons of two responses of `text` characters each.

    `is_alone`: each with a prompt of its own (of 200 characters, so that text of 600 makes 1.4 kB); else ten share one.
    """
    project = Project.objects.create(name=slug, slug=slug, overlap=overlap)
    if connection.vendor == "postgresql":
        rows, noise = "generate_series(1, {n}) AS n(i)", "substr(repeat(md5({seed}::text), {m}), 1, {k})"
        digest, chance = "md5({seed}::text) || md5(({seed} + 1)::text)", "random()"
    else:
        rows = (
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) SELECT i FROM n)"
        )
        noise, digest = "substr(hex(randomblob({k})), 1, {k})", "hex(randomblob(32))"
        chance = "(abs(random()) / 9223372036854775808.0)"

    def words(seed: str, size: int) -> str:
        return noise.format(seed=seed, k=size, m=size // 32 + 1)

    per_prompt, per_pair = (2, 1) if is_alone else (RESPONSES, PAIRS)
    prompts = pairs // per_pair
    with transaction.atomic(), connection.cursor() as cursor:
        first = {table: _next_id(cursor, table) for table in ("prompt", "response", "comparison")}
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")  # no look-up for each reference
        cursor.execute(
            'INSERT INTO labeling_prompt (id, project_id, messages, content_hash, "group", language, topic,'
            f" external_id, metadata, created_at) SELECT {first['prompt']} - 1 + i, {project.pk},"
            f" {_json(words('i', 200 if is_alone else 12))}, {digest.format(seed='i')}, '', '', '', '',"
            f" {_constant('{}')}, CURRENT_TIMESTAMP FROM {rows.format(n=prompts)}"
        )
        cursor.execute(
            "INSERT INTO labeling_response (id, prompt_id, text, content_hash, model_name, created_at)"
            f" SELECT {first['response']} - 1 + i, {first['prompt']} + (i - 1) / {per_prompt},"
            f" {words('(i + 7)', text)}, {digest.format(seed='i')}, '', CURRENT_TIMESTAMP"
            f" FROM {rows.format(n=prompts * per_prompt)}"
        )
        a, b = _sides(is_alone)
        base = f"{first['response']} + {per_prompt} * ((i - 1) / {per_pair})"
        cursor.execute(
            "INSERT INTO labeling_comparison (id, project_id, prompt_id, response_a_id, response_b_id, state,"
            " needed, open_slots, label_count, skip_count, priority, priority_reason, random_key, gold_outcome,"
            f' "use", created_at) SELECT {first["comparison"]} - 1 + i, {project.pk},'
            f" {first['prompt']} + (i - 1) / {per_pair}, {base} + {a}, {base} + {b}, 'open', {overlap}, {overlap},"
            f" 0, 0, {chance}, '', {chance}, '', 'work', CURRENT_TIMESTAMP FROM {rows.format(n=pairs)}"
        )
        if connection.vendor == "postgresql":
            for table in first:
                name = f"labeling_{table}"
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))"
                )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)" if connection.vendor == "postgresql" else "ANALYZE")
    return project


def _next_id(cursor: object, table: str) -> int:
    cursor.execute(f"SELECT coalesce(max(id), 0) + 1 FROM labeling_{table}")  # type: ignore[attr-defined]
    return int(cursor.fetchone()[0])  # type: ignore[attr-defined]


def _json(text: str) -> str:
    content = f'\'[{{"role": "user", "content": "\' || {text} || \'"}}]\''
    return f"({content})::jsonb" if connection.vendor == "postgresql" else content


def _constant(json: str) -> str:
    return f"'{json}'::jsonb" if connection.vendor == "postgresql" else f"'{json}'"


def _sides(is_alone: bool) -> tuple[str, str]:
    """Which two of the prompt's responses the i-th comparison has, as SQL."""
    if is_alone:
        return "0", "1"
    pairs = [(a, b) for a in range(RESPONSES) for b in range(a + 1, RESPONSES)]
    a, b = (
        "CASE (i - 1) % 10 "
        + " ".join(f"WHEN {n} THEN {pair[side]}" for n, pair in enumerate(pairs))
        + " END"
        for side in (0, 1)
    )
    return a, b


def make_people(project: Project, number: int) -> list[Person]:
    """Members who label, each with a token."""
    people = []
    for index in range(number):
        user = User(username=f"{project.slug}-{index}")
        user.set_unusable_password()
        user.save()
        Membership.objects.create(project=project, user=user, role=Role.LABELER)
        labeler = Labeler.objects.create(project=project, user=user, name=str(user), kind=LabelerKind.MEMBER)
        _row, token = ApiToken.objects.create(user=user, name="benchmark", scopes=["label"])
        people.append(Person(labeler, token))
    return people


def label_the_top(labeler: Labeler, number: int) -> None:
    """The first `number` of the queue count as labeled by this person, and stay open for others."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO labeling_assignment (uid, comparison_id, labeler_id, state, swapped, drawn, draft,"
            " lease_expires_at, created_at) SELECT gen_random_uuid(), id, %s, 'submitted', false, 'priority',"
            " '{}'::jsonb, now(), now() FROM labeling_comparison WHERE project_id = %s"
            " ORDER BY priority DESC, id LIMIT %s",
            [labeler.pk, labeler.project_id, number],
        )
        cursor.execute("VACUUM (ANALYZE) labeling_assignment")
