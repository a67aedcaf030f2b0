"""The queue, the desk and the page of one comparison."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client

from labeling.models import Comparison, Disagreement, Resolution, Role
from labeling.selectors.history import history_of
from labeling.selectors.review import Place, QueueFilter, behind, queue, read_place
from labeling.services.adjudication import adjudicate, adjudication_withdraw
from labeling.services.allocation import lease_next
from labeling.services.comments import comment_create
from labeling.services.sending_back import send_back
from tests.factories import make_member
from tests.labeling.label.factories import add_pairs, make_labeler, make_project
from tests.labeling.review.factories import answer, answers, voice

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    """Five cases: sizes 1 (three of them), ⅔ and ½ between people; on the first a judge speaks against nobody."""
    project = make_project(5, overlap=4)
    for choices in (("2", "7"), ("2", "7"), ("2", "2", "7"), ("2", "2", "2", "7"), ("2", "7")):
        comparison = Comparison.objects.filter(project=project, label_count=0).first()
        Comparison.objects.filter(pk=comparison.pk).update(
            priority=1000, needed=len(choices), open_slots=len(choices)
        )
        answers(project, *choices)
    voice(Comparison.objects.filter(project=project).order_by("pk")[2], "b", 0.25)
    return project


@pytest.fixture
def reviewer(project):
    return make_member(project, Role.REVIEWER)


@pytest.fixture
def client(reviewer):
    client = Client()
    client.force_login(reviewer)
    return client


def cases(client, project, query="") -> list[int]:
    html = client.get(f"/projects/{project.slug}/review/{query}").content.decode()
    found = re.findall(r'<div class="case-text"><a href="[^"]*/review/(\d+)/', html)
    return [int(pk) for pk in found]


def overview(client, project) -> str:
    return client.get(f"/projects/{project.slug}/").content.decode()


def pks(project) -> list[int]:
    return list(Comparison.objects.filter(project=project).order_by("pk").values_list("pk", flat=True))


def test_the_largest_come_first_and_the_kinds_are_counted(client, project):
    one, two, three, four, five = pks(project)
    assert cases(client, project) == [one, two, five, three, four]
    assert cases(client, project, "?kind=judge") == [three]
    html = client.get(f"/projects/{project.slug}/review/").content.decode()
    assert re.findall(r'<b class="num">(\d+)</b></a>', html) == ["5", "1", "0", "0", "0", "0"]
    (todo,) = re.findall(r'<ul class="todo">(.*?)</ul>', overview(client, project), re.S)
    assert re.findall(r'<b>(\d+)</b>.*?href="([^"]*)"', todo) == [("5", f"/projects/{project.slug}/review/")]


def test_filters(client, project):
    one, two, three, four, five = pks(project)
    Comparison.objects.get(pk=two).prompt.__class__.objects.filter(comparisons=two).update(
        language="zh", topic="dosage"
    )
    assert cases(client, project, "?kind=people&language=zh") == [two]
    assert cases(client, project, "?kind=people&topic=dosage") == [two]
    assert cases(client, project, "?kind=people&least=0.6") == [one, two, five, three]
    person = Comparison.objects.get(pk=four).preferences.first().labeler_id
    assert cases(client, project, f"?kind=people&labeler={person}") == [four]
    assert cases(client, project, "?kind=people&judge=j1") == [three]
    Resolution.objects.filter(comparison=one).update(updated_at="2020-01-01T00:00:00Z")
    assert cases(client, project, "?kind=people&since=2021-01-01") == [two, five, three, four]
    assert (
        "Nothing matches"
        in client.get(f"/projects/{project.slug}/review/?kind=people&topic=x").content.decode()
    )


def test_the_queue_goes_on_behind_a_place(project):
    found = queue(project, QueueFilter())
    order = list(found.values_list("comparison_id", flat=True))
    for number, row in enumerate(found):
        place = read_place(str(Place(row.size, row.comparison_id)))
        assert list(behind(found, place).values_list("comparison_id", flat=True)) == order[number + 1 :]


@pytest.mark.parametrize("text", ["", "x", "1", "nan:3", "inf:3", "0.5:-1", "0.5:99999999999999999999", ":"])
def test_a_place_that_is_none(text):
    assert read_place(text) is None


def test_working_through_the_queue(client, project, reviewer):
    """Settle the first, land on the second, and so on to the end."""
    waiting = cases(client, project)
    at = waiting[0]
    for number, expected in enumerate(waiting):
        assert at == expected
        response = client.post(
            f"/projects/{project.slug}/comparisons/{at}/adjudicate",
            {"choice": "6", "reason": "B is right.", "queue": "kind=people", "idempotency_key": f"k{number}"},
        )
        assert response.status_code == 302
        found = re.search(r"/review/(\d+)/\?kind=people", response.headers["Location"])
        at = int(found[1]) if found else 0
    assert at == 0
    assert response.headers["Location"] == f"/projects/{project.slug}/review/?kind=people"
    assert cases(client, project) == []
    rows = Resolution.objects.values_list("outcome", "strength", "method").distinct()
    assert list(rows) == [("b", 2.0, "adjudicated")]


def test_a_refused_settlement_keeps_what_was_written(client, project):
    pk = pks(project)[0]
    url = f"/projects/{project.slug}/comparisons/{pk}/adjudicate"
    response = client.post(url, {"choice": "9", "reason": "A long and careful reason."})
    assert response.status_code == 400
    assert "A long and careful reason." in response.content.decode()
    response = client.post(url, {"choice": "3", "reason": ""})
    assert response.status_code == 400
    assert (
        'value="3" class="a2" aria-label="A slightly better" aria-pressed="true"' in response.content.decode()
    )


def test_while_a_response_is_in_hand_its_voices_are_closed(project):
    labeling = make_labeler(project, role=Role.REVIEWER)
    pk = pks(project)[0]
    Comparison.objects.filter(pk=pk).update(state="open", needed=5, open_slots=1)
    assert lease_next(labeling, count=1)[0].comparison_id == pk
    client = Client()
    client.force_login(labeling.user)
    assert client.get(f"/projects/{project.slug}/review/{pk}/").status_code == 403
    assert pk not in cases(client, project)
    assert "open after your answer" in client.get(f"/projects/{project.slug}/review/").content.decode()
    rows = client.get(f"/api/v1/projects/{project.slug}/review").json()["results"]
    closed = next(row for row in rows if row["comparison"] == pk)
    assert (closed["open"], closed["outcome"], closed["votes"], closed["voices"]) == (False, None, None, [])


def test_what_is_in_hand_is_passed_over_on_the_way_through_the_queue(project):
    """The second of the queue is in the labeling manager's hand: its desk would refuse him."""
    labeling = make_labeler(project, role=Role.MANAGER)
    first, second, third = pks(project)[0], pks(project)[1], pks(project)[4]
    Comparison.objects.filter(pk=second).update(state="open", open_slots=1, needed=9, priority=5000)
    assert lease_next(labeling, count=1)[0].comparison_id == second
    client = Client()
    client.force_login(labeling.user)
    desk = f"/projects/{project.slug}/review"
    assert client.get(f"{desk}/{second}/").status_code == 403
    page = client.get(f"{desk}/{first}/?kind=people").content.decode()
    assert f"/review/{third}/" in page
    assert f"/review/{second}/" not in page


def test_the_first_that_is_open_begins(project):
    labeling = make_labeler(project, role=Role.MANAGER)
    first, second = pks(project)[:2]
    Comparison.objects.filter(pk=first).update(state="open", open_slots=1, needed=9, priority=5000)
    assert lease_next(labeling, count=1)[0].comparison_id == first
    client = Client()
    client.force_login(labeling.user)
    page = client.get(f"/projects/{project.slug}/review/").content.decode()
    head = page.partition('<nav class="kinds"')[0]
    assert f"/review/{second}/?kind=people" in head


def test_a_viewer_reads_and_settles_nothing(project):
    viewer = make_member(project, Role.VIEWER)
    client = Client()
    client.force_login(viewer)
    html = client.get(f"/projects/{project.slug}/review/{pks(project)[0]}/").content.decode()
    assert "What everybody says" in html
    assert '<form class="settle"' not in html
    assert "comment-form" not in html


def test_nobody_disagrees_yet():
    project = make_project(1)
    client = Client()
    client.force_login(make_member(project, Role.REVIEWER))
    assert "Nobody disagrees" in client.get(f"/projects/{project.slug}/review/").content.decode()


def test_the_whole_history_of_one_comparison_in_order(project, reviewer):
    comparison = Comparison.objects.get(pk=pks(project)[0])
    by = {"comparison": comparison}
    comment_create(**by, author=reviewer, text="Is it right?")
    send_back(**by, actor=reviewer, to="others", more=1, note="One more")
    answer(make_labeler(project), "2", rationale="Because of the dosage.")
    adjudicate(**by, reviewer=reviewer, outcome="a", strength=3, reason="A is right.", key="k")
    adjudication_withdraw(**by, reviewer=reviewer, reason="Not yet.", key="w")
    events = history_of(Comparison.objects.get(pk=comparison.pk))
    assert [event.kind for event in events] == [
        "created", "leased", "vote", "leased", "vote", "comment", "sent_back", "leased", "vote", "adjudicated",
        "withdrawn",
    ]  # fmt: skip
    assert events[8].text == "Because of the dosage."
    assert (events[8].outcome, events[8].strength) == ("a", 3)
    assert (events[9].person, events[9].text) == (str(reviewer), "A is right.")
    client = Client()
    client.force_login(reviewer)
    html = client.get(f"/projects/{project.slug}/comparisons/{comparison.pk}/").content.decode()
    for text in ("Is it right?", "One more", "Because of the dosage.", "A is right.", "Not yet."):
        assert text in html
    said = client.get(f"/api/v1/projects/{project.slug}/comparisons/{comparison.pk}/history").json()[
        "results"
    ]
    # The page above showed the voices, which is an event, too.
    assert [event["kind"] for event in said] == [*(event.kind for event in events), "seen"]


def test_a_page_of_the_queue_reads_its_partial_index():
    project = make_project(1)
    pairs = add_pairs(project, 6000)
    Disagreement.objects.bulk_create(
        Disagreement(
            project=project, comparison=pair, kind=("people", "judge")[n % 2], size=(n % 97 + 1) / 97
        )
        for n, pair in enumerate(pairs)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    found = queue(project, QueueFilter())
    for page in (found, behind(found, Place(0.5, pairs[100].pk))):
        plan = page[:25].explain()
        assert "disagreement_queue" in plan, plan
        if connection.vendor == "postgresql":
            assert "Seq Scan" not in plan, plan
            assert "Sort" not in plan, plan
        else:
            assert "TEMP B-TREE" not in plan, plan
