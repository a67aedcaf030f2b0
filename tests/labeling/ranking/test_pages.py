"""The ranking page as plain forms and as its script uses it, and the same over REST."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from django.test import Client

from labeling.models import Comparison, Preference, Ranking, RankingTask, Response
from labeling.services.allocation import lease_next
from labeling.services.batches import Choice, batch_create
from labeling.services.checks import checks_mark
from labeling.services.ranking import ranking_next
from tests.factories import make_member, make_prompt
from tests.labeling.label.test_rest import client_of
from tests.labeling.ranking.builders import add_prompt, make_labeler, rank, ranking_project, said

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}


@pytest.fixture
def labeler():
    project = ranking_project(guidelines="Look for **facts**.")
    add_prompt(project, 4)
    return make_labeler(project)


@pytest.fixture
def seat(labeler):
    client = Client()
    client.force_login(labeler.user)
    return client, f"/projects/{labeler.project.slug}/rank/"


def test_the_page_shows_the_responses_in_the_persons_order(seat):
    client, url = seat
    page = client.get(url).content.decode()
    task = RankingTask.objects.get()
    texts = dict(Response.objects.values_list("pk", "text"))
    at = [page.index(texts[pk]) for pk in task.order]
    assert at == sorted(at)
    assert "<strong>facts</strong>" in page
    assert task.opened_at is not None


def test_canary_nothing_tells_which_response_is_which(seat, labeler):
    """Ids follow the order of the file, and with it often the model."""
    client, url = seat
    prompt = make_prompt(labeler.project, external_id="canary1", topic="canary2", group="canary3")
    rows = [
        Response.objects.create(
            pk=98_765_430 + at,
            prompt=prompt,
            text=f"Text {at}",
            model_name="canary4",
            content_hash=f"canary{at}",
        )
        for at in range(3)
    ]
    for first, second in combinations(rows, 2):
        Comparison.objects.create(
            project=labeler.project, prompt=prompt, response_a=first, response_b=second, priority=0.987654321
        )
    page = client.get(url).content.decode()
    rest = client_of(labeler).post(f"/api/v1/projects/{labeler.project.slug}/rankings/next")
    for sent in (page, rest.content.decode()):
        assert "Text 1" in sent
        assert [word for word in ("canary", "9876543", "0.98765") if word in sent] == []


def test_a_plain_form_ranks_and_comes_back_with_undo(seat, labeler):
    client, url = seat
    client.get(url)
    task = RankingTask.objects.get()
    fields = {"place-A": "2", "place-B": "1", "place-C": "2", "place-D": "", "idempotency_key": "form"}
    answer = client.post(f"{url}{task.uid}/submit", fields)
    assert (answer.status_code, answer["Location"]) == (302, url)
    client.post(f"{url}{task.uid}/submit", fields)
    assert said(task) == {(0, 1): "<", (0, 2): "=", (1, 2): ">"}
    page = client.get(url).content.decode()
    assert "B &gt; A = C" in page
    undo = re.search(r'action="([^"]+/undo)"', page).group(1)
    assert client.post(undo).status_code == 302
    assert said(task) == {}
    page = client.get(url).content.decode()
    assert '<option value="1" selected>1</option>' in page.split('name="place-B"')[1].split("</select>")[0]


def test_a_refused_ranking_says_why_and_keeps_what_was_entered(seat):
    client, url = seat
    client.get(url)
    task = RankingTask.objects.get()
    refused = client.post(f"{url}{task.uid}/submit", {"place-A": "1", "rationale": "so far"}, headers=JSON)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "Rank at least two responses."
    task.refresh_from_db()
    assert task.draft == {"places": [1, None, None, None], "rationale": "so far"}
    page = client.post(f"{url}{task.uid}/submit", {"place-A": "1"}, follow=True).content.decode()
    assert "Rank at least two responses." in page


def test_draft_and_skip(seat):
    client, url = seat
    client.get(url)
    task = RankingTask.objects.get()
    kept = client.post(f"{url}{task.uid}/draft", {"place-C": "1"}, headers=JSON)
    assert kept.json() == {"kept": True, "held": True}
    assert client.post(f"{url}{task.uid}/draft", {"renew": "1"}, headers=JSON).json() == {"held": True}
    task.refresh_from_db()
    assert task.draft["places"] == [None, None, 1, None]
    skipped = client.post(f"{url}{task.uid}/skip", {"skip_reason": "language"}, headers=JSON)
    assert skipped.json() == {"saved": True}
    assert set(Preference.objects.values_list("outcome", flat=True)) == {"skip"}
    assert client.post(f"{url}{task.uid}/draft", {}, headers=JSON).json() == {"kept": False, "held": False}
    assert 'data-nothing="nothing"' in client.get(url).content.decode()


def test_pairs_alone_and_rankings_alone(seat, labeler):
    client, url = seat
    project = labeler.project
    label = url.replace("/rank/", "/label/")
    assert f'href="{url}"' in client.get(label).content.decode()
    project.scheme = {"screen": "ranking"}
    project.save()
    answer_pair(client, url)  # what is in hand comes first
    answer_pair(client, url)
    assert client.get(label)["Location"] == url
    project.scheme = {}
    project.save()
    assert 'data-nothing="ranking_off"' in client.get(url).content.decode()
    assert f'href="{url}"' not in client.get(label).content.decode()


@pytest.fixture
def ranks_alone(labeler):
    """Labelers rank, and nothing else; two pairs of other prompts have known outcomes."""
    project = labeler.project
    project.scheme = {"screen": "ranking"}
    project.save()
    for _ in range(2):
        add_prompt(project, 2)
    known = Comparison.objects.order_by("-pk")[:2]
    Comparison.objects.filter(pk__in=[row.pk for row in known]).update(gold_outcome="tie")
    return project


def answer_pair(client, url, choice="tie") -> None:
    """The pair that the label page shows now."""
    page = client.get(url.replace("/rank/", "/label/")).content.decode()
    uid = re.search(r'data-uid="([^"]+)"', page)[1]
    answered = client.post(
        f"{url.replace('/rank/', '/label/')}{uid}/submit", {"choice": choice, "key": uid}, headers=JSON
    )
    assert answered.status_code == 200, answered.content


def known_ids() -> list[int]:
    return list(Comparison.objects.exclude(gold_outcome="").values_list("pk", flat=True))


def test_who_ranks_alone_can_qualify(seat, ranks_alone, django_user_model):
    client, url = seat
    manager = django_user_model.objects.create_user("manager")
    checks_mark(project=ranks_alone, comparison_ids=known_ids(), use="qualification", actor=manager)
    type(ranks_alone).objects.update(qualification_size=2, qualification_pass=0.5)
    page = client.get(url).content.decode()
    assert 'data-nothing="not_qualified"' in page
    assert f'href="{url.replace("/rank/", "/label/")}"' in page
    answer_pair(client, url)
    answer_pair(client, url)
    assert client.get(url.replace("/rank/", "/label/"))["Location"] == url
    assert RankingTask.objects.count() == 0
    client.get(url)
    assert RankingTask.objects.count() == 1


def test_who_ranks_alone_and_has_not_qualified_is_told_so_and_not_sent_round(
    seat, ranks_alone, django_user_model
):
    client, url = seat
    manager = django_user_model.objects.create_user("manager")
    checks_mark(project=ranks_alone, comparison_ids=known_ids(), use="qualification", actor=manager)
    type(ranks_alone).objects.update(qualification_size=2)
    answer_pair(client, url, "2")
    answer_pair(client, url, "2")
    page = client.get(url.replace("/rank/", "/label/"))
    assert 'data-nothing="qualified_wait"' in page.content.decode()
    assert client.get(url).status_code == 200


def test_a_batch_for_who_ranks_alone_comes_first_and_the_rest_is_ranked(
    seat, labeler, ranks_alone, django_user_model
):
    client, url = seat
    manager = django_user_model.objects.create_user("manager")
    Comparison.objects.filter(pk__in=known_ids()).update(priority=9.0)
    batch_create(
        project=ranks_alone, name="b", people=[labeler], deadline=None, choice=Choice(2), actor=manager
    )
    assert client.get(url)["Location"] == url.replace("/rank/", "/label/")
    rest = client_of(labeler).post(f"/api/v1/projects/{ranks_alone.slug}/rankings/next")
    assert (rest.status_code, rest.json()["error"]["code"]) == (409, "pairs_first")
    answer_pair(client, url)
    answer_pair(client, url)
    assert set(Preference.objects.values_list("comparison_id", flat=True)) == set(known_ids())
    assert client.get(url.replace("/rank/", "/label/"))["Location"] == url
    assert client.get(url).status_code == 200
    assert RankingTask.objects.count() == 1


def test_gold_and_rankings_alone_refuse_each_other(client, ranks_alone):
    """A pair that comes between rankings would be known as gold."""
    manager = make_member(ranks_alone, "manager")
    client.force_login(manager)
    checks_mark(project=ranks_alone, comparison_ids=known_ids(), use="gold", actor=manager)
    settings = f"/projects/{ranks_alone.slug}/settings/"
    rates = {"gold_share": "0.1", "qualification_size": "0", "qualification_pass": "0.8"}
    assert "Where people only rank, a single pair" in client.get(f"{settings}allocation/").content.decode()
    refused = client.post(f"{settings}allocation/", rates)
    assert list(refused.context["form"].errors) == ["gold_share"]
    type(ranks_alone).objects.update(scheme={"screen": "both"})
    assert "Where people only rank" not in client.get(f"{settings}allocation/").content.decode()
    assert client.post(f"{settings}allocation/", rates).status_code == 302
    alone = {
        "name": "Other",
        "overlap": 1,
        "random_share": 0.2,
        "lease_s": 900,
        "skip_limit": 3,
        "rationale": "off",
    }
    alone |= {"screen": "ranking"}
    assert list(client.post(settings, alone).context["form"].errors) == ["screen"]
    client.post(f"{settings}allocation/", rates | {"gold_share": "0"})
    assert client.post(settings, alone).status_code == 302


def test_a_project_that_has_both_all_the_same_hands_out_no_gold(labeler, ranks_alone):
    manager = make_member(ranks_alone, "manager")
    checks_mark(project=ranks_alone, comparison_ids=known_ids(), use="gold", actor=manager)
    assert known_ids()
    type(ranks_alone).objects.update(gold_share=1.0)
    assert {lease.drawn for lease in lease_next(labeler)}.isdisjoint({"gold"})
    type(ranks_alone).objects.update(scheme={"screen": "both"})
    assert {lease.drawn for lease in lease_next(labeler)} == {"gold"}


def test_before_pairs_the_last_ranking_can_still_be_undone(seat, labeler, ranks_alone, django_user_model):
    client, url = seat
    label = url.replace("/rank/", "/label/")
    task = ranking_next(labeler)
    rank(task, [1, 2, *[None] * (len(task.order) - 2)])
    page = client.get(url).content.decode()
    assert 'data-nothing="pairs_first"' in page  # two pairs of other prompts that nobody can rank
    assert f'href="{label}" autofocus' in page
    assert f'action="{url}{task.uid}/undo"' in page
    assert client.post(f"{url}{task.uid}/undo", {"key": "u"}, headers=JSON).status_code == 200
    answer_pair(client, url)
    answer_pair(client, url)
    assert f'data-uid="{task.uid}"' in client.get(url).content.decode()


def test_what_nobody_can_rank_is_answered_in_pairs_and_stops_nobody(seat, labeler, ranks_alone, monkeypatch):
    """Three plain pairs stand before the prompts that can be ranked, and two are looked at."""
    monkeypatch.setattr("labeling.services.rankable.LOOK_AHEAD", 2)
    client, url = seat
    label = url.replace("/rank/", "/label/")
    add_prompt(ranks_alone, 2)
    plain = [row.pk for row in Comparison.objects.order_by("-pk")[:3]]
    Comparison.objects.filter(pk__in=plain).update(priority=9.0)
    assert client.get(url)["Location"] == label
    answer_pair(client, url)
    answer_pair(client, url)
    assert client.get(label)["Location"] == url
    client.get(url)
    rank(RankingTask.objects.get(), [1, 2, 3, 4])
    assert client.get(label).status_code == 200
    answer_pair(client, url)
    assert set(Comparison.objects.values_list("state", flat=True)) == {"done"}
    assert client.get(label)["Location"] == url
    assert client_of(labeler).post(f"/api/v1/projects/{ranks_alone.slug}/rankings/next").json() == {
        "result": None
    }


def test_somebody_elses_ranking_does_not_exist(seat, labeler):
    client, url = seat
    add_prompt(labeler.project, 3)
    theirs = ranking_next(make_labeler(labeler.project))
    for action in ("submit", "skip", "undo", "draft"):
        assert client.post(f"{url}{theirs.uid}/{action}").status_code == 404
        rest = client_of(labeler).post(f"/api/v1/rankings/{theirs.uid}/{action}", {}, format="json")
        assert rest.status_code == 404
    assert Ranking.objects.count() == 0


def test_a_round_over_rest(labeler):
    client = client_of(labeler)
    base = "/api/v1"
    found = client.post(f"{base}/projects/{labeler.project.slug}/rankings/next").json()["result"]
    assert set(found) == {"ranking", "messages", "responses", "draft", "lease_expires_at"}
    assert len(found["responses"]) == 4
    ranking = f"{base}/rankings/{found['ranking']}"
    draft = {"places": [1, None, None, None], "rationale": "hm"}
    assert client.post(f"{ranking}/draft", draft, format="json").json() == {"kept": True, "held": True}
    again = client.post(f"{base}/projects/{labeler.project.slug}/rankings/next").json()["result"]
    assert (again["ranking"], again["draft"]) == (found["ranking"], draft)
    key = {"Idempotency-Key": "one"}
    answer = {"places": [1, 3, None, 3], "duration_ms": 900}
    first = client.post(f"{ranking}/submit", answer, format="json", headers=key)
    assert first.json() | {"uid": ""} == {
        "uid": "", "tiers": [[0], [1, 3]], "unranked": [2], "written": 3, "left_out": [],
    }  # fmt: skip
    assert client.post(f"{ranking}/submit", answer, format="json", headers=key).json() == first.json()
    other = client.post(f"{ranking}/submit", answer | {"places": [1, 2, 3, 4]}, format="json", headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert set(Preference.objects.values_list("source", flat=True)) == {"api"}
    undone = client.post(f"{ranking}/undo", headers={"Idempotency-Key": "two"}).json()
    assert undone["draft"]["places"] == [1, 3, None, 3]
    skipped = client.post(
        f"{ranking}/skip", {"skip_reason": "broken"}, format="json", headers={"Idempotency-Key": "three"}
    )
    assert skipped.json() == {"skipped": True}
    assert client.post(f"{base}/projects/{labeler.project.slug}/rankings/next").json() == {"result": None}


@pytest.mark.parametrize("places", [None, [], [1, 2, 3], [1, 2, 3, 9], [1, None, None, None], "x", {"a": 1}])
def test_bad_places_over_rest_are_a_400_with_the_field(labeler, places):
    client = client_of(labeler)
    task = ranking_next(labeler)
    answer = client.post(
        f"/api/v1/rankings/{task.uid}/submit",
        {"places": places},
        format="json",
        headers={"Idempotency-Key": "k"},
    )
    assert answer.status_code == 400
    assert "places" in str(answer.json())
    no_key = client.post(f"/api/v1/rankings/{task.uid}/submit", {"places": [1, 2, 3, 4]}, format="json")
    assert no_key.status_code == 400


def test_a_ranked_pair_is_not_the_last_answer_of_the_pair_page(seat, labeler):
    client, url = seat
    rank(ranking_next(labeler), [1, 2, 3, 4])
    page = client.get(url.replace("/rank/", "/label/")).content.decode()
    assert "data-last=" not in page
