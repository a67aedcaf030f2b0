"""The ranking of the models by people, judges and the reward model: figures, page, CSV, REST, and who may see it."""

from __future__ import annotations

import csv
import io
import random

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from labeling.models import Role, Snapshot, Voice
from labeling.selectors.model_ranking import length_gaps, model_ranking
from labeling.selectors.snapshot_ranking import snapshot_ranking
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots.files import snapshot_path
from tests.labeling.resolution.builders import (
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    make_user,
    vote,
)
from webapp.caches import page_cache

pytestmark = pytest.mark.django_db
MODELS = ("best-70b", "middle-8b", "=weak-1b")


def winner(comparison, model: str) -> str:
    return "a" if comparison.response_a.model_name == model else "b"


def compared(
    project, first: str, second: str, wins: int, of: int, *, person=None, judge: int | None = None, **prompt
):
    """`of` comparisons of two models; the first wins `wins` of them by the person, and `judge` of them by a judge."""
    for number in range(of):
        texts = (f"{number} " + "word " * (number % 5), f"{number} else " + "word " * (number % 3))
        comparison = make_comparison(make_prompt(project, **prompt), *texts, models=(first, second))
        if person is not None:
            vote(comparison, person, winner(comparison, first if number < wins else second))
        if judge is not None:
            outcome = winner(comparison, first if number < judge else second)
            heard(comparison, outcome)


def heard(comparison, outcome, kind="judge", name="Judge v1", source="j"):
    return Voice.objects.create(
        project_id=comparison.project_id,
        comparison=comparison,
        kind=kind,
        source=source,
        name=name,
        outcome=outcome,
    )


@pytest.fixture
def project():
    """Three models: people and the judge turn the order of the last two round."""
    project = make_project()
    person = make_labeler(project)
    best, middle, weak = MODELS
    compared(project, best, middle, 9, 12, person=person, judge=8)
    compared(project, middle, weak, 9, 12, person=person, judge=2)
    compared(project, best, weak, 11, 12, person=person, judge=8)
    return project


def test_people_and_judge_stand_side_by_side(project):
    found = model_ranking(project)
    assert found.models == MODELS
    people, judge = found.voices
    assert (people.kind, people.games, judge.name, judge.games) == ("people", 36, "Judge v1", 36)
    assert [people.standings[model].rank for model in MODELS] == [1, 2, 3]
    assert [judge.standings[model].rank for model in MODELS] == [1, 3, 2]
    for model in MODELS:
        share = people.standings[model].share
        assert share.low < share.value < share.high
        assert share.n == 24
    assert sum(standing.elo for standing in people.standings.values()) == pytest.approx(0, abs=1e-6)


def test_a_tie_and_both_bad_are_half_a_win_and_the_latter_is_counted():
    project = make_project()
    people = [make_labeler(project) for _number in range(2)]
    for _number in range(12):
        comparison = make_comparison(make_prompt(project), models=MODELS[:2])
        vote(comparison, people[0], "tie")
        vote(comparison, people[1], "both_bad")
    [voice] = model_ranking(project).voices
    assert (voice.games, voice.both_bad) == (24, 12)
    assert {standing.share.value for standing in voice.standings.values()} == {0.5}


def test_only_the_last_revision_counts_and_a_withdrawn_one_does_not():
    project = make_project()
    person = make_labeler(project)
    for number in range(22):
        comparison = make_comparison(make_prompt(project), models=MODELS[:2])
        vote(comparison, person, winner(comparison, MODELS[1]))
        vote(comparison, person, "withdrawn" if number < 2 else winner(comparison, MODELS[0]))
    [voice] = model_ranking(project).voices
    assert voice.games == 20
    assert {model: entry.only for model, entry in voice.standings.items()} == {
        MODELS[0]: "won",
        MODELS[1]: "lost",
    }


def test_nameless_and_equal_models_and_unread_verdicts_are_no_games():
    project = make_project()
    person = make_labeler(project)
    compared(project, "", MODELS[0], 30, 30, person=person)
    compared(project, MODELS[0], MODELS[0], 30, 30, person=person)
    compared(project, MODELS[0], MODELS[1], 5, 19, person=person)
    heard(project.comparisons.last(), "")
    found = model_ranking(project)
    [people] = found.voices
    assert (people.games, people.standings) == (19, {})
    assert set(found.models) == set(MODELS[:2])


def test_models_that_never_met_are_told_apart():
    project = make_project()
    person = make_labeler(project)
    compared(project, "one", "two", 7, 12, person=person)
    compared(project, "three", "four", 7, 12, person=person)
    [people] = model_ranking(project).voices
    assert people.groups == 2
    assert [people.standings[model].rank for model in ("one", "two", "three", "four")] == [1, 2, 1, 2]


def test_length_control_takes_length_out():
    """A model that only writes longer, and people who take the longer one at chance."""
    project, draw = make_project(), random.Random(4)
    person = make_labeler(project)
    for _number in range(160):
        words = draw.randint(40, 80), draw.randint(20, 60)
        texts = [" ".join(f"{draw.random():.6f}" for _word in range(count)) for count in words]
        comparison = make_comparison(make_prompt(project), *texts, models=("long", "short"))
        longer = "long" if words[0] > words[1] else "short"
        said = longer if draw.random() < 0.85 else ("short" if longer == "long" else "long")
        vote(comparison, person, winner(comparison, said))
    plain, held = (model_ranking(project, controlled=on).voices[0] for on in (False, True))
    assert plain.longer is None
    assert plain.standings["long"].share.low > 0.55
    assert held.standings["long"].share.low < 0.5 < held.standings["long"].share.high
    assert held.longer.low > 0.6


def test_lengths_are_in_units_of_their_spread():
    assert length_gaps([(30, 10), (10, 30)]) == pytest.approx([0.76159, -0.76159], abs=1e-4)
    assert list(length_gaps([(5, 5)])) == [0.0]


def test_filters_and_newer_voices_are_seen_at_once(project):
    person = make_labeler(project)
    compared(project, MODELS[2], MODELS[0], 20, 20, person=person, language="zh", topic="rivers")
    [chinese] = model_ranking(project, language="zh").voices
    assert chinese.games == 20
    assert model_ranking(project, topic="rivers").models[0] == MODELS[2]
    before = model_ranking(project).voices
    comparison = project.comparisons.first()
    heard(comparison, "tie", kind="model", name="v7", source="champion")
    assert [voice.name for voice in model_ranking(project).voices] == [
        *(voice.name for voice in before),
        "v7",
    ]


@pytest.mark.parametrize("extra", [0, 3])
def test_costs_the_same_however_many(project, django_assert_num_queries, extra):
    for number in range(extra):
        compared(project, f"more-{number}", MODELS[0], 2, 4, person=make_labeler(project))
    with django_assert_num_queries(5):  # newest voice, newest vote, comparisons, votes, voices
        model_ranking(project)
    with django_assert_num_queries(2):
        model_ranking(project)


def frozen(project, **config):
    return snapshot_build(snapshot_create(project=project, config=config, enqueue=False))


@pytest.mark.parametrize("controlled", [False, True])
def test_the_labels_of_a_snapshot_rank_as_they_did_then(project, controlled):
    """Judges speak where the snapshot was made with what they say; what was said later changes nothing."""
    before = model_ranking(project, controlled=controlled)
    bare, whole = frozen(project), frozen(project, include_verdicts=True)
    compared(project, MODELS[2], MODELS[0], 20, 20, person=make_labeler(project))
    for comparison in project.comparisons.order_by("pk")[:12]:
        vote(comparison, comparison.preferences.first().labeler, winner(comparison, MODELS[1]))
    page_cache.clear()  # a dear figure is kept for a while
    assert model_ranking(project, controlled=controlled).voices[0] != before.voices[0]
    assert snapshot_ranking(whole, controlled=controlled) == before
    assert snapshot_ranking(bare, controlled=controlled).voices == before.voices[:1]


def test_a_snapshot_is_filtered_by_language_and_topic():
    project = make_project()
    person = make_labeler(project)
    compared(project, *MODELS[:2], 15, 21, person=person, language="zh", topic="rivers")
    compared(project, *MODELS[:2], 2, 22, person=person, language="en")
    snapshot = frozen(project)
    for asked in ({"language": "zh"}, {"topic": "rivers"}):
        [people] = snapshot_ranking(snapshot, **asked).voices
        assert (people.games, people.standings[MODELS[0]].rank) == (21, 1)
    assert snapshot_ranking(snapshot).voices[0].standings[MODELS[1]].rank == 1


@pytest.mark.parametrize("name", ["model-ranking", "model-ranking-csv"])
def test_page_and_csv_of_a_snapshot(client, project, name):
    client.force_login(make_user(project, Role.VIEWER))
    snapshot = frozen(project)
    asked = {"snapshot": snapshot.number}
    then = ranked_in(client.get(address(project, name), asked))
    compared(project, "newcomer", MODELS[0], 20, 24, person=make_labeler(project))
    assert MODELS[0] in then
    assert "newcomer" not in then
    assert ranked_in(client.get(address(project, name), asked)) == then
    assert "newcomer" in ranked_in(client.get(address(project, name)))


def ranked_in(answer) -> str:
    """The table of the page, or the whole of the CSV."""
    return answer.content.decode().rpartition("<table")[2].partition("</table>")[0]


def test_a_snapshot_without_its_file_says_so(client, project):
    client.force_login(make_user(project, Role.VIEWER))
    snapshot = frozen(project)
    snapshot_path(snapshot).unlink()
    asked = {"snapshot": snapshot.number}
    page = client.get(address(project), asked)
    assert page.status_code == 200
    assert "note warn" in page.content.decode()
    assert client.get(address(project, "model-ranking-csv"), asked).status_code == 409
    assert client.get(f"/api/v1/projects/{project.slug}/model-ranking", asked).status_code == 409


def test_rest_ranks_a_snapshot_and_refuses_one_that_is_not_there(client, project):
    client.force_login(make_user(project, Role.VIEWER))
    number = frozen(project).number
    api = f"/api/v1/projects/{project.slug}/model-ranking"
    assert client.get(api, {"snapshot": number}).json()["models"] == list(MODELS)
    other = frozen(make_project())
    Snapshot.objects.filter(pk=other.pk).update(number=number + 1)
    for wrong in (number + 1, "x", 10**30):
        assert "snapshot" in client.get(api, {"snapshot": wrong}).json()["error"]["detail"]


def address(project, name="model-ranking"):
    return reverse(f"labeling:{name}", args=[project.slug])


def test_the_page_shows_the_table_and_the_switch(client, project):
    client.force_login(make_user(project, Role.VIEWER))
    page = client.get(address(project)).content.decode()
    for model in MODELS:
        assert model in page
    assert "◆" in page
    assert "What length does" not in page
    assert "What length does" in client.get(address(project), {"length_control": "on"}).content.decode()
    assert "Nobody has compared" in client.get(address(project), {"topic": "none such"}).content.decode()


def test_too_few_comparisons_and_none_at_all_say_so(client):
    project = make_project()
    client.force_login(make_user(project, Role.MANAGER))
    assert (
        "Nobody has compared responses of two named models yet"
        in client.get(address(project)).content.decode()
    )
    compared(project, *MODELS[:2], 3, 5, person=make_labeler(project))
    page = client.get(address(project)).content.decode()
    assert "Too little is known" in page
    assert "5 of 20" in page


def test_the_table_leaves_as_csv_without_formulas(client, project):
    client.force_login(make_user(project, Role.REVIEWER))
    text = client.get(address(project, "model-ranking-csv")).content.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 6
    assert {row["model"] for row in rows} == {"best-70b", "middle-8b", "'=weak-1b"}
    assert float(rows[0]["low"]) < float(rows[0]["win_share"]) < float(rows[0]["high"])


def test_rest_says_the_same(project):
    client = APIClient()
    client.force_authenticate(make_user(project, Role.VIEWER))
    found = client.get(f"/api/v1/projects/{project.slug}/model-ranking", {"length_control": "true"}).json()
    assert found["controlled"] is True
    assert found["models"] == list(MODELS)
    people = found["voices"][0]
    assert people["standings"]["best-70b"]["rank"] == 1
    assert people["longer"]["n"] == 36


@pytest.mark.parametrize("name", ["model-ranking", "model-ranking-csv"])
def test_a_labeler_sees_no_name_of_a_model(client, project, name):
    client.force_login(make_user(project, Role.LABELER))
    answer = client.get(address(project, name))
    assert answer.status_code == 403
    assert "best-70b" not in answer.content.decode()
