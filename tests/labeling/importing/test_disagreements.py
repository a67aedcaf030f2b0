"""Imported votes that differ stand in the queue of review at once, whichever import brought them."""

from __future__ import annotations

import pytest

from labeling.importing.services import import_run
from labeling.models import Comparison, Disagreement, Resolution
from tests.labeling.importing.helpers import jsonl
from tests.shared_data import shared_file

pytestmark = pytest.mark.django_db


def row(number: int, **votes: str) -> dict[str, object]:
    return {
        "prompt": f"Which {number}?",
        "response_a": f"left {number}",
        "response_b": f"right {number}",
        "votes": [{"annotator": name, "value": value} for name, value in votes.items()],
    }


def waiting() -> dict[str, float]:
    rows = Disagreement.objects.filter(kind="people", settled_at=None)
    found = rows.values_list("comparison__prompt__messages", "size")
    return {messages[0]["content"]: round(size, 6) for messages, size in found}


def test_one_import_and_the_next(bring):
    import_run(bring(jsonl([row(1, w1="a", w2="b"), row(2, w1="a", w2="a"), row(3, w1="a")])))
    assert waiting() == {"Which 1?": 1.0}
    import_run(bring(jsonl([row(3, w2="b"), row(2, w3="b"), row(1, w3="a")]), "more.jsonl"))
    assert waiting() == {"Which 1?": 0.666667, "Which 2?": 0.666667, "Which 3?": 1.0}
    assert Comparison.objects.count() == 3


def test_pandalms_annotators(bring):
    import_run(bring(shared_file("pandalm/testset-v1.json").read_bytes(), "testset-v1.json"))
    disputed = Resolution.objects.filter(is_disputed=True).count()
    assert Disagreement.objects.count() == disputed
    assert disputed > 0
