"""Marked passages: read from the form and REST, stored against responses, brought back by an undo."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from labeling.models import Assignment, Preference, Role
from labeling.scheme import LabelScheme
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit, preference_undo
from labeling.services.sending_back import send_back
from labeling.spans import SPANS_MAX, Span, kept_spans, read_spans, spans_from_form
from tests.factories import make_member
from tests.labeling.label.test_rest import client_of
from tests.labeling.ranking.builders import SCHEME, add_prompt, make_labeler, ranking_project

SCHEME_WITH = LabelScheme(spans=True, reasons=("wrong",))
GOOD = {"side": "left", "quote": "the wrong sentence", "nth": 1, "reason": "wrong"}


@pytest.fixture
def lease(db):
    project = ranking_project(scheme={**SCHEME, "reasons": ["wrong"]})
    add_prompt(project, 2)
    return lease_next(make_labeler(project))[0]


def test_spans_are_read_once_each():
    assert read_spans([GOOD, dict(GOOD)], SCHEME_WITH) == (Span("left", "the wrong sentence", 1, "wrong"),)
    assert read_spans([{"side": "right", "quote": " 好 "}], SCHEME_WITH) == (Span("right", "好"),)
    assert read_spans(None, LabelScheme()) == read_spans([], LabelScheme()) == ()


@pytest.mark.parametrize(
    "raw",
    [
        "text", {"side": "left"}, [1], ["x"], [{}], [GOOD | {"side": "top"}], [GOOD | {"quote": ""}],
        [GOOD | {"quote": "x" * 501}], [GOOD | {"quote": 5}], [GOOD | {"nth": -1}], [GOOD | {"nth": "1"}],
        [GOOD | {"nth": True}], [GOOD | {"nth": 10**9}], [GOOD | {"reason": "unknown"}], [GOOD | {"reason": ["x"]}],
        [GOOD] * (SPANS_MAX + 1),
    ],
)  # fmt: skip
def test_bad_spans_are_refused_and_left_out_of_drafts(raw):
    with pytest.raises(ValidationError):
        read_spans(raw, SCHEME_WITH)
    kept = kept_spans(raw, SCHEME_WITH)
    assert len(kept) == (SPANS_MAX if isinstance(raw, list) and len(raw) > SPANS_MAX else 0)


def test_spans_where_there_are_none_to_give():
    with pytest.raises(ValidationError):
        read_spans([GOOD], LabelScheme())
    assert kept_spans([GOOD], LabelScheme()) == []
    assert spans_from_form(["{broken", json.dumps(GOOD)]) == ["{broken", GOOD]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_span_is_stored_against_its_response(lease, swapped):
    Assignment.objects.update(swapped=swapped)
    other = {"side": "right", "quote": "好"}
    data = {"choice": "1", "spans": [GOOD, other]}
    row = preference_submit(assignment=lease, data=data, idempotency_key="k")
    comparison = lease.comparison
    left, right = comparison.response_a_id, comparison.response_b_id
    if swapped:
        left, right = right, left
    assert row.spans == [
        {"response": left, "quote": "the wrong sentence", "nth": 1, "reason": "wrong"},
        {"response": right, "quote": "好", "nth": 0, "reason": ""},
    ]


def test_no_spans_are_stored_as_nothing_and_a_skip_has_none(lease):
    row = preference_submit(
        assignment=lease,
        data={"choice": "skip", "skip_reason": "unclear", "spans": [GOOD]},
        idempotency_key="k",
    )
    assert row.spans is None


def test_form_draft_submit_and_undo(lease):
    client = Client()
    client.force_login(lease.labeler.user)
    url = f"/projects/{lease.comparison.project.slug}/label/"
    headers = {"Accept": "application/json"}
    span = json.dumps(GOOD)
    assert client.post(f"{url}{lease.uid}/draft", {"span": [span, "junk"]}, headers=headers).json()["kept"]
    page = client.get(url).content.decode()
    assert "the wrong sentence" in page
    refused = client.post(f"{url}{lease.uid}/submit", {"choice": "1", "span": ["junk"]}, headers=headers)
    assert refused.status_code == 400
    saved = client.post(f"{url}{lease.uid}/submit", {"choice": "1", "span": [span]}, headers=headers)
    assert saved.status_code == 200
    assert Preference.objects.get().spans[0]["quote"] == GOOD["quote"]
    preference_undo(assignment=lease, idempotency_key="u")
    assert Assignment.objects.get().draft["spans"] == [GOOD]


def test_over_rest(lease):
    client, base = client_of(lease.labeler), f"/api/v1/assignments/{lease.uid}"
    key = {"Idempotency-Key": "k"}
    bad = client.post(
        f"{base}/submit", {"choice": "1", "spans": [{"side": "left"}]}, format="json", headers=key
    )
    assert bad.status_code == 400
    assert "spans" in str(bad.json())
    saved = client.post(f"{base}/submit", {"choice": "1", "spans": [GOOD]}, format="json", headers=key)
    assert saved.status_code == 200
    assert Preference.objects.get().spans[0]["nth"] == 1


def test_looking_again_keeps_what_was_marked(lease):
    preference_submit(assignment=lease, data={"choice": "1", "spans": [GOOD]}, idempotency_key="k")
    project = lease.comparison.project
    send_back(comparison=lease.comparison, actor=make_member(project, Role.REVIEWER), to="same")
    client = Client()
    client.force_login(lease.labeler.user)
    page = client.get(f"/projects/{project.slug}/again/{lease.uid}/").content.decode()
    marked = [html.unescape(found) for found in re.findall('name="span" value="([^"]+)"', page)]
    assert [json.loads(span) for span in marked] == [GOOD]
    url = f"/projects/{project.slug}/label/{lease.uid}/change"
    assert client.post(url, {"choice": "8", "span": marked}).status_code == 302
    changed = Preference.objects.latest("revision")
    assert (changed.revision, [span["quote"] for span in changed.spans]) == (2, [GOOD["quote"]])
