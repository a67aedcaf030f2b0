"""Invariant 3 over REST for people who may view by their role and label, too: as the pages do it."""

from __future__ import annotations

import pytest
from django.test import Client

from judging.models import Verdict
from labeling.models import Assignment, Batch, Comparison, Labeler, Reveal, Role
from labeling.services.allocation import lease_next
from tests.judging.factories import add_verdict, make_version
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.label.test_reveals import answer

pytestmark = pytest.mark.django_db
SECRETS = ("secret-model", "secret reason", "Somebody")


@pytest.fixture
def lease() -> Assignment:
    """A pair in the hand of a reviewer, on which somebody else has voted. A second one was voted on, too."""
    project = make_project(2, overlap=2)
    me, other = make_labeler(project, role=Role.REVIEWER), make_labeler(project)
    Labeler.objects.filter(pk=other.pk).update(name="Somebody")
    for theirs in lease_next(other):
        theirs.comparison.response_a.model_name = "secret-model"
        theirs.comparison.response_a.save(update_fields=["model_name"])
        answer(theirs)
    Comparison.objects.update(priority_reason="secret reason", priority=0.75)
    version = make_version(project)
    for comparison in Comparison.objects.all():
        add_verdict(version, comparison)
    return lease_next(me, count=1)[0]


def read(lease: Assignment, path: str, **query):
    client = Client()
    client.force_login(lease.labeler.user)
    return client.get(f"/api/v1/projects/{lease.labeler.project.slug}/{path}", query)


def test_a_comparison_in_hand_has_its_texts_alone_and_the_look_is_recorded_after(lease):
    path = f"comparisons/{lease.comparison_id}"
    batch = Batch.objects.create(project=lease.labeler.project, name="kept")
    Comparison.objects.update(batch=batch)
    closed = read(lease, path)
    assert closed.json()["closed"] is True
    texts = {closed.json()[side]["text"] for side in ("response_a", "response_b")}
    assert texts == {lease.comparison.response_a.text, lease.comparison.response_b.text}
    hidden = ("resolution", "label_count", "priority", "use", "batch")
    assert [closed.json()[name] for name in hidden] == [None] * 5
    for secret in SECRETS:
        assert secret not in closed.content.decode()
    assert not Reveal.objects.exists()
    assert not answer(lease).after_reveal
    opened = read(lease, path)
    assert (opened.json()["closed"], opened.json()["response_a"]["model"]) == (False, "secret-model")
    assert opened.json()["batch"] == str(batch.uid)
    assert opened.json()["resolution"]["votes_a"] + opened.json()["resolution"]["votes_b"] == 2
    assert Reveal.objects.get().comparison_id == lease.comparison_id


def test_the_list_closes_what_is_in_hand_and_a_filter_that_tells_leaves_it_out(lease):
    rows = {row["id"]: row for row in read(lease, "comparisons").json()["results"]}
    assert {pk: row["closed"] for pk, row in rows.items()} == {
        pk: pk == lease.comparison_id for pk in Comparison.objects.values_list("pk", flat=True)
    }
    assert rows[lease.comparison_id]["resolution"] is None
    assert rows[lease.comparison_id]["response_a"]["model"] == ""
    by = Labeler.objects.get(name="Somebody").uid
    told = read(lease, "comparisons", labeler=by).json()["results"]
    assert [row["id"] for row in told] == [pk for pk in rows if pk != lease.comparison_id]
    assert read(lease, "comparisons", labeler=by, ids=lease.comparison_id).json()["results"] == []
    answer(lease)
    assert len(read(lease, "comparisons", labeler=by).json()["results"]) == 2


@pytest.mark.parametrize("path", ["preferences", "verdicts"])
def test_what_is_said_of_a_pair_in_hand_is_left_out(lease, path):
    told = {row["comparison"] for row in read(lease, path).json()["results"]}
    assert told == set(Comparison.objects.exclude(pk=lease.comparison_id).values_list("pk", flat=True))
    one = read(lease, path, comparison=lease.comparison_id)
    assert one.status_code == 403
    assert "after your answer" in one.content.decode()
    assert not Reveal.objects.exists()
    answer(lease)
    assert read(lease, path, comparison=lease.comparison_id).json()["results"]
    assert Reveal.objects.get().comparison_id == lease.comparison_id
    assert {row["comparison"] for row in read(lease, path).json()["results"]} > told


def test_one_verdict_and_a_score_of_a_pair_in_hand_are_refused(lease):
    verdict = Verdict.objects.get(comparison=lease.comparison)
    score = f"comparisons/{lease.comparison_id}/score"
    assert read(lease, f"verdicts/{verdict.uid}").status_code == 403
    assert read(lease, score).status_code == 403
    answer(lease)
    assert read(lease, f"verdicts/{verdict.uid}").status_code == 200
    assert read(lease, score).status_code == 404  # no champion yet


def test_the_look_over_rest_marks_the_vote_after_it(lease):
    other = Comparison.objects.exclude(pk=lease.comparison_id).get()
    assert read(lease, "preferences", comparison=other.pk).status_code == 200
    assert not answer(lease).after_reveal
    (second,) = lease_next(lease.labeler, count=1)
    assert second.comparison_id == other.pk
    assert answer(second).after_reveal


def test_the_list_page_hides_the_use_and_the_reason_of_the_priority_too(lease):
    Comparison.objects.filter(pk=lease.comparison_id).update(use="gold", gold_outcome="a")
    client = Client()
    client.force_login(lease.labeler.user)
    page = client.get(f"/projects/{lease.labeler.project.slug}/comparisons/").content.decode()
    row = next(
        part
        for part in page.split("<tr>")
        if f'value="{lease.comparison_id}"' in part or f"/{lease.comparison_id}/" in part
    )
    assert "open after your answer" in row
    assert "secret reason" not in row
    assert 'class="chip"' not in row
