"""Finding prompts by their words: through the database's full-text index, or row by row."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db import connection
from django.db.models import Exists, OuterRef, Q, TextField
from django.db.models.functions import Cast
from django.db.models.lookups import IContains

from labeling.models import Project, SearchText

# Every word is quoted, so that none is read as part of the query's language.
SQLITE = """
SELECT f.rowid FROM search_fts f CROSS JOIN labeling_searchtext t ON t.prompt_id = f.rowid
WHERE f.search_fts MATCH %s AND (t.project_id = %s OR %s) LIMIT %s
"""
POSTGRES = """
SELECT prompt_id FROM labeling_searchtext
WHERE labeling_search_words(words) @@ %s::tsquery AND (project_id = %s OR %s) LIMIT %s
"""


def prompts_matching(project: Project | None, words: Sequence[str], *, most: int) -> list[int] | None:
    """Ids of the prompts (of a project, or of all) that hold all of these words, in no order, from the index; None
    where there are more than `most`."""
    if connection.vendor == "sqlite":
        sql, query = SQLITE, " ".join('"' + word.replace('"', '""') + '"' for word in words)
    else:
        sql, query = POSTGRES, " & ".join("'" + word.replace("'", "''") + "'" for word in words)
    with connection.cursor() as cursor:
        cursor.execute(sql, [query, None if project is None else project.pk, project is None, most + 1])
        found = [pk for (pk,) in cursor.fetchall()]
    return found if len(found) <= most else None


def holds_words(words: Sequence[str]) -> Exists:
    """Condition of a comparison: its prompt or that one's responses hold all of these words."""
    rows = SearchText.objects.filter(prompt_id=OuterRef("prompt_id"))
    for word in words:
        rows = rows.filter(words__contains=f" {word} ")
    return Exists(rows)


def holds_phrase(text: str) -> Q:
    """Condition of a comparison: its prompt or its two responses hold the text, whatever its case (SQLite: of Latin
    letters without accents). JSON may be kept with escapes or without: messages are looked through for both."""
    messages = Cast("prompt__messages", TextField())
    return (
        Q(IContains(messages, text))
        | Q(IContains(messages, json.dumps(text)[1:-1]))
        | Q(response_a__text__icontains=text)
        | Q(response_b__text__icontains=text)
    )
