"""The reference of REST: all of the schema is in it, readable without a script."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from webapp.api.reference import found_in, reference
from webapp.api.schema import kept_schema
from webapp.api.shapes import Shapes, prose
from webapp.api.subjects import SUBJECTS, subject_of

pytestmark = pytest.mark.django_db
INDEX_BYTES = 120_000


def operations() -> list[tuple[str, str, str]]:
    """Method, path and id of all that the schema has."""
    return [
        (method.upper(), path, said["operationId"])
        for path, methods in kept_schema("en")["paths"].items()
        for method, said in methods.items()
    ]


def test_the_pages_show_every_operation_of_the_schema(client):
    index = client.get("/api/docs").content.decode()
    pages = {one.key: client.get(f"/api/docs?subject={one.key}").content.decode() for one in SUBJECTS}
    listed = operations()
    assert len(listed) > 100
    for method, path, name in listed:
        [key] = [key for key, page in pages.items() if f'id="{name}"' in page]
        assert f"?subject={key}#{name}" in index, name
        article = pages[key].split(f'id="{name}"')[1].split("</article>")[0]
        assert f">{method}</span>" in article
        assert path in re.sub("<[^>]*>", "", article)
        assert "curl " in article
    assert len(re.findall(r'<article class="[^"]*operation', "".join(pages.values()))) == len(listed)
    assert len(index.encode()) < INDEX_BYTES


def test_every_operation_says_what_it_does_and_which_scope_it_needs():
    rows = [row for chapter in reference("en") for row in chapter.operations]
    assert [row.id for row in rows if not row.text] == []
    assert {row.scope for row in rows} == {"read", "write", "label"}
    assert {row.id: row.scope for row in rows}["comparisons_next"] == "label"


def test_a_submit_is_shown_whole():
    [row] = [row for one in reference("en") for row in one.operations if row.id == "assignments_submit"]
    assert [one.name for one in row.parameters if one.is_required and one.place == "header"] == [
        "Idempotency-Key"
    ]
    fields = {field.name: field for field in row.request.whole.fields}
    assert "both_bad" in fields["choice"].choices
    assert "left" in fields["aspects"].choices
    assert fields["rationale"].limits == ("at most 5,000 characters",)
    before, after = row.curl
    assert before == 'curl -X POST "'
    assert after.startswith('/api/v1/assignments/6f1c2a9e-3b7d-4c58-9a41-d2e07b5c8f13/submit"')
    body = json.loads(re.search(r"-d '(.*)'", after)[1])
    assert set(body) == {field.name for field in fields.values() if field.is_required}


def test_the_search_reads_addresses_texts_and_names_of_fields(client):
    chapters = reference("en")
    assert [row.id for one in found_in(chapters, "Send-BACK post") for row in one.operations] == [
        "comparison_send_back"
    ]
    with_field = {row.id for one in found_in(chapters, "idempotency-key") for row in one.operations}
    assert "assignments_submit" in with_field
    page = client.get("/api/docs", {"q": "heartbeat"})
    assert 'href="/api/docs?subject=labeling#assignments_heartbeat"' in page.content.decode()
    assert "assignments_undo" not in page.content.decode()
    part = client.get("/api/docs", {"q": "nothing <b>like</b> this"}, headers={"HX-Request": "true"})
    assert b"<html" not in part.content
    assert "No operation has all of these words" in part.content.decode()
    assert client.get("/api/docs?subject=nothing").status_code == 404


def test_it_speaks_the_readers_language_and_keeps_what_it_has_made():
    chinese = Client(headers={"Accept-Language": "zh-hans"})
    assert '<html lang="zh-hans">' in chinese.get("/api/docs").content.decode()
    assert reference("en") is reference("en")
    assert kept_schema("zh-hans") is kept_schema("zh-hans") is not kept_schema("en")
    assert chinese.get("/api/schema?format=json&lang=xx").json() == kept_schema("en")


def test_a_shape_tells_kind_limits_choices_and_what_is_within():
    tree = {
        "type": "object",
        "description": "A node.",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 2000},
            "below": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}, "maxItems": 3},
            "side": {
                "oneOf": [{"$ref": "#/components/schemas/Side"}, {"enum": [None]}],
                "description": "Which.",
            },
            "scores": {
                "type": "object",
                "additionalProperties": {"type": "number", "nullable": True, "minimum": 0, "maximum": 1},
            },
            "places": {"type": "array", "items": {"type": "integer", "minimum": 1}, "default": [1]},
            "id": {"type": "integer", "maximum": 2**63 - 1},
        },
    }
    side = {"enum": ["left", "right"], "type": "string", "description": "* `left` - Left\n* `right` - Right"}
    shape = Shapes({"Tree": tree, "Side": side}).shape({"$ref": "#/components/schemas/Tree"})
    assert (shape.kind, shape.text, shape.example) == ("object", "A node.", {"name": "…"})
    fields = {field.name: field for field in shape.fields}
    assert {name: field.kind for name, field in fields.items()} == {
        "name": "string",
        "below": "object[]",
        "side": "string | null",
        "scores": "{key: number | null}",
        "places": "integer[]",
        "id": "integer",
    }
    assert fields["name"].limits == ("not empty", "at most 2,000 characters")
    assert fields["name"].is_required
    assert fields["below"].fields == ()  # within itself
    assert fields["below"].limits == ("at most 3 entries",)
    assert (fields["side"].choices, fields["side"].text) == (("left", "right"), "Which.")
    assert fields["places"].limits == ("[1] if left out", "each at least 1")
    assert fields["id"].limits == ()
    assert list(shape.names()) == ["", *fields]


def test_texts_that_were_wrapped_for_the_source_are_whole_paragraphs():
    assert prose("One line\nof two.\n\nAnother.\n\n* `a` - A\n* `b` - B") == "One line of two.\n\nAnother."
    assert prose("* `a` - A") == ""


def test_a_view_under_no_subject_is_told():
    with pytest.raises(LookupError, match="it in webapp/api"):
        subject_of("labeling.apis")
    assert subject_of("workers.api.views").key == "models"
