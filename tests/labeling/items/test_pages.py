"""The pages and REST of items: filters, ticks, bulk actions, judges, and what somebody who labels must not learn."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.urls import reverse

from judging.forms import RunForm
from judging.models import JudgeRun
from judging.selectors.selection import SelectionError, selected_ids, selection_from_json
from labeling.items.filters import ItemFilter
from labeling.models import Batch, Comparison, Reveal, Voice
from labeling.services.allocation import lease_next
from labeling.services.batches import batch_release
from labeling.services.resolution import resolve_comparisons
from tests.factories import make_comparison, make_labeler, make_team
from tests.judging.factories import make_version
from tests.labeling.items.builders import JUDGES, found, index_all, mixed_project, slowly
from tests.labeling.resolution.builders import vote
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def team():
    return make_team(overlap=2)


@pytest.fixture
def manager(client, team):
    client.force_login(team.manager)
    return client


def url(team, name="comparison-list", *args):
    return reverse(f"labeling:{name}", args=[team.project.slug, *args])


def post_bulk(client, team, **fields):
    return client.post(url(team, "comparisons-bulk"), fields, follow=True)


def test_the_journey_from_a_word_to_a_judge(manager, team):
    """Twelve pairs among the others by a Chinese word; narrowed down, made urgent, sent to a judge."""
    for number in range(12):
        make_comparison(team.project, texts=(f"溶解度是 {number}", f"不知道 {number}"))
    for _ in range(8):
        make_comparison(team.project)
    index_all(team.project)
    page = manager.get(url(team), {"q": "溶解度"}).content.decode()
    assert "<b>12</b> comparisons found" in page
    asked = {"filter": json.dumps({"q": "溶解度"}), "scope": "all"}
    preview = post_bulk(manager, team, **asked, action="priority", priority="9").content.decode()
    assert "12 comparisons were found" in preview
    assert "Do it with 12 comparisons" in preview
    assert not Comparison.objects.filter(priority=9).exists()
    newest = team.project.comparisons.order_by("pk").last().pk
    done = post_bulk(manager, team, **asked, action="priority", priority="9", confirm="1", up_to=newest)
    assert "12 comparisons were changed" in done.content.decode()
    assert Comparison.objects.filter(priority=9, priority_reason="by hand").count() == 12
    version = make_version(team.project)
    judges = post_bulk(manager, team, **asked, action="judge")
    assert "Choose the judge" in judges.content.decode()
    address = reverse("judging:judge-detail", args=[team.project.slug, version.judge.uid])
    query = {"filter": json.dumps({"q": "溶解度"}, ensure_ascii=False)}
    form = manager.get(address, query).context["run_form"]
    assert form["what"].field.choices[0][0] == "filter"
    started = reverse("judging:run-new", args=[team.project.slug, version.judge.uid, version.number])
    manager.post(started, {"what": "filter", "limit": "", "filter": form["filter"].value()})
    run = JudgeRun.objects.get()
    assert run.selection["filter"] == {"q": "溶解度"}
    ids = selected_ids(team.project, selection_from_json(run.selection))
    assert ids == found(team.project, ItemFilter(q="溶解度"))
    assert len(ids) == 12


def test_ticked_rows_alone_are_treated(manager, team):
    rows = [make_comparison(team.project) for _ in range(4)]
    ticked = [rows[0].pk, rows[2].pk]
    fields = {"scope": "chosen", "id": ticked, "action": "retire", "filter": '{"state": "open"}'}
    preview = post_bulk(manager, team, **fields)
    hidden = preview.context["filter_json"]
    newest = preview.context["preview"].up_to
    post_bulk(manager, team, filter=hidden, action="retire", confirm="1", up_to=newest)
    assert sorted(team.project.comparisons.filter(state="retired").values_list("pk", flat=True)) == ticked


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": "retire", "scope": "chosen"}, "Tick the comparisons first"),
        ({"action": "explode", "scope": "all"}, "Choose what to do"),
        ({"action": "priority", "scope": "all", "priority": "nan"}, "Choose what to do"),
        ({"action": "priority", "scope": "all"}, "Enter a number"),
        ({"action": "people", "scope": "all", "more": "50"}, "1 to 20 more people"),
        ({"action": "retire", "scope": "all", "filter": '{"state": "x"}'}, "state"),
        ({"action": "retire", "scope": "all", "filter": "{"}, "cannot be read"),
        ({"action": "retire", "scope": "chosen", "id": ["1", "x"]}, "Numbers with commas"),
    ],
)
def test_what_cannot_be_done_says_why_and_does_nothing(manager, team, fields, said):
    make_comparison(team.project)
    response = post_bulk(manager, team, **fields, confirm="1", up_to=10**9)
    assert response.redirect_chain
    assert said in response.content.decode()
    assert not team.project.comparisons.filter(state="retired").exists()


def test_more_than_some_become_a_job_whose_page_follows(manager, team, monkeypatch):
    monkeypatch.setattr("labeling.services.bulk.AT_ONCE", 2)
    rows = [make_comparison(team.project) for _ in range(3)]
    response = post_bulk(manager, team, filter="{}", action="retire", confirm="1", up_to=rows[-1].pk)
    job = Job.objects.get(kind="items.bulk")
    assert response.redirect_chain[-1][0] == reverse("jobs:detail", args=[job.uid])
    assert "Retiring many comparisons" in response.content.decode()


def test_ticked_rows_go_into_a_new_batch_or_an_open_one(manager, team):
    rows = [make_comparison(team.project) for _ in range(3)]
    asked = {"scope": "chosen", "id": [rows[0].pk, rows[1].pk], "action": "batch", "filter": "{}"}
    preview = post_bulk(manager, team, **asked)
    assert "Nothing has been changed yet" in preview.content.decode()
    assert "numbers of this moment" in preview.content.decode()
    sent = {"filter": preview.context["filter_json"], "action": "batch", "confirm": "1"}
    sent["up_to"] = preview.context["preview"].up_to
    nameless = post_bulk(manager, team, **sent)
    assert nameless.context["form"].errors.keys() == {"name"}
    [person] = [str(m.pk) for m in team.project.memberships.filter(user=team.labeler)]
    nobody = post_bulk(manager, team, **sent, name="Friday")
    assert "Name somebody whom the batch is for" in nobody.content.decode()
    assert not Batch.objects.exists()
    done = post_bulk(manager, team, **sent, name="Friday", people=[person], deadline="2099-01-01T10:00")
    assert "2 comparisons were changed" in done.content.decode()
    batch = Batch.objects.get()
    assert (batch.name, batch.deadline.year, batch.people.get().labeler.user) == (
        "Friday",
        2099,
        team.labeler,
    )
    assert set(team.project.comparisons.filter(batch=batch)) == set(rows[:2])
    preview = post_bulk(manager, team, scope="all", action="batch", filter="{}")
    assert (preview.context["preview"].fitting, preview.context["preview"].left_out) == (1, 2)
    assert str(batch.uid) in preview.content.decode()
    sent["filter"] = preview.context["filter_json"]
    strange = post_bulk(manager, team, **sent, batch=str(uuid4()))
    assert "batch" in strange.context["form"].errors
    post_bulk(manager, team, **sent, batch=str(batch.uid))
    assert team.project.comparisons.filter(batch=batch).count() == 3
    assert Batch.objects.count() == 1


def test_only_managers_are_offered_the_boxes(client, team):
    make_comparison(team.project)
    client.force_login(team.viewer)
    assert 'form="bulk"' not in client.get(url(team)).content.decode()
    client.force_login(team.manager)
    assert 'form="bulk"' in client.get(url(team)).content.decode()


def test_a_filter_tells_nobody_what_others_say_of_what_is_in_their_hand(client, team):
    for _ in range(3):
        row = make_comparison(team.project)
        vote(row, make_labeler(team.project), "a")
        Voice.objects.create(
            project=team.project, comparison=row, kind="judge", source="j", name="J", outcome="b", p_a=0.1
        )
        resolve_comparisons([row.pk])
    index_all(team.project)
    [lease] = lease_next(make_labeler(team.project, user=team.reviewer), count=1)
    client.force_login(team.reviewer)

    def shown(**query):
        return {row.pk for row in client.get(url(team), query).context["page"].rows}

    hidden = lease.comparison_id
    assert hidden in shown()
    seen = set(Reveal.objects.filter(user=team.reviewer).values_list("comparison_id", flat=True))
    assert seen == shown() - {hidden}
    assert hidden in shown(state="open")
    for query in ({"outcome": "a"}, {"judge": "j", "verdict": "b"}, {"agreement_min": "1"}):
        assert shown(**query) == set(team.project.comparisons.values_list("pk", flat=True)) - {hidden}
    client.force_login(team.viewer)
    assert hidden in shown(outcome="a")
    [lease] = lease_next(make_labeler(team.project, user=team.manager), count=1)
    client.force_login(team.manager)

    def counted(action, **wanted):
        body = {"filter": {"ids": str(lease.comparison_id), **wanted}, "action": action, "preview": True}
        address = f"/api/v1/projects/{team.project.slug}/comparisons/bulk"
        return client.post(address, body, content_type="application/json").json()["total"]

    assert [counted("retire"), counted("gold"), counted("retire", judge="j", verdict="b")] == [1, 0, 0]


def test_rest_pages_through_a_filter_and_back(client, team):
    project = mixed_project(80)
    team.project.memberships.filter(user=team.viewer).update(project=project)
    client.force_login(team.viewer)
    address, ids, steps = f"/api/v1/projects/{project.slug}/comparisons?outcome=a&page_size=4", [], 0
    while address:
        body = client.get(address).json()
        ids += [row["id"] for row in body["results"]]
        address, back, steps = body["next"], body["previous"], steps + 1
    assert ids == slowly(project, ItemFilter(outcome="a"))[::-1]
    assert steps > 2
    last = (len(ids) - 1) // 4 * 4
    assert [row["id"] for row in client.get(back).json()["results"]] == ids[last - 4 : last]
    wrong = client.get(f"/api/v1/projects/{project.slug}/comparisons", {"agreement_min": "2"})
    assert (wrong.status_code, list(wrong.json()["error"]["detail"])) == (400, ["agreement_min"])
    assert client.get(f"/api/v1/projects/{project.slug}/comparisons?cursor=x9").status_code == 404


def test_rest_bulk_counts_then_does_it(manager, team):
    for number in range(3):
        make_comparison(team.project, state="open" if number else "retired")
    address = f"/api/v1/projects/{team.project.slug}/comparisons/bulk"

    def ask(**body):
        return manager.post(address, body, content_type="application/json")

    preview = ask(filter={}, action="retire", preview=True).json()
    assert (preview["total"], preview["fitting"], preview["treated"]) == (3, 2, None)
    assert ask(filter={"state": "open"}, action="retire").json()["treated"] == 2
    assert ask(action="retire").status_code == 400
    assert ask(filter={"nonsense": 1}, action="retire").json()["error"]["detail"] == {
        "nonsense": ["There is no such filter."]
    }
    assert ask(filter={}, action="people", value=0).status_code == 400


def test_rest_bulk_fills_a_batch_that_it_makes_or_finds(manager, team):
    rows = [make_comparison(team.project) for _ in range(3)]
    address = f"/api/v1/projects/{team.project.slug}/comparisons/bulk"

    def ask(**body):
        answer = manager.post(address, {"action": "batch", **body}, content_type="application/json")
        return answer.status_code, answer.json()

    new = {"name": "Friday", "people": [team.labeler.username]}
    one = {"filter": {"ids": str(rows[0].pk)}}
    assert ask(filter={}, preview=True)[1]["fitting"] == 3
    status, said = ask(**one)
    assert (status, list(said["error"]["detail"])) == (400, ["batch"])
    assert ask(**one, new_batch=new, batch=str(uuid4()))[0] == 400
    assert ask(**one, new_batch={**new, "people": ["nobody"]})[0] == 400
    assert ask(**one, new_batch={**new, "name": ""})[0] == 400
    assert not Batch.objects.exists()
    status, said = ask(**one, new_batch=new)
    batch = Batch.objects.get()
    assert (status, said["treated"], said["batch"]) == (200, 1, str(batch.uid))
    assert ask(filter={}, batch=str(batch.uid))[1]["treated"] == 2
    assert ask(filter={}, batch=str(uuid4()))[0] == 404
    batch_release(batch=batch, actor=team.manager)
    status, said = ask(filter={}, batch=str(batch.uid))
    assert (status, list(said["error"]["detail"])) == (400, ["batch"])
    assert Batch.objects.count() == 1


@pytest.mark.parametrize("known", [None, [], {"state": "x"}, {"password": "x"}])
def test_a_judges_selection_by_a_filter_that_cannot_be_read_is_refused(known):
    with pytest.raises(SelectionError):
        selection_from_json({"kind": "filter", "filter": known})


def test_a_judge_is_not_asked_about_retired_items_unless_they_are_asked_for(team):
    project = mixed_project(30)
    chosen = selection_from_json({"kind": "filter", "filter": {"judge": JUDGES[0]}})
    states = set(
        Comparison.objects.filter(pk__in=selected_ids(project, chosen)).values_list("state", flat=True)
    )
    assert "retired" not in states
    retired = selection_from_json({"kind": "filter", "filter": {"state": "retired"}})
    assert selected_ids(project, retired) == slowly(project, ItemFilter(state="retired"))
    assert retired.to_json()["filter"] == {"state": "retired"}
    assert RunForm(project=team.project)["what"].field.choices[0][0] == "labeled"


def test_the_page_says_what_is_not_searchable_yet(manager, team):
    make_comparison(team.project)
    make_comparison(team.project)
    assert (
        "newest 2 comparisons are not searchable yet" in manager.get(url(team), {"q": "x"}).content.decode()
    )
    assert "not searchable yet" not in manager.get(url(team)).content.decode()
    index_all(team.project)
    assert "not searchable yet" not in manager.get(url(team), {"q": "x"}).content.decode()


def test_a_bad_filter_is_named(manager, team):
    make_comparison(team.project)
    page = manager.get(url(team), {"agreement_min": "7"}).content.decode()
    assert "This filter cannot be read" in page
    assert "less than or equal to 1" in page
