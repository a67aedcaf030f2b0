"""What the champion says reaches labeling with its scores, and a new champion replaces it."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import transaction

from labeling.models import Comparison, Disagreement, Project, Voice
from labeling.services.resolution import resolve_comparisons
from labeling.services.review import disagreements_refresh
from tests.factories import make_comparison, make_labeler, make_member, make_preference, make_project
from tests.workers.app.test_gate import make_model
from workers.models import ModelState, RewardModel, Score
from workers.services.voices import model_voices_publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("voiced")


def champion_of_number(project: Project, number: int) -> RewardModel:
    RewardModel.objects.filter(project=project).update(state=ModelState.RETIRED)
    model = make_model(project, number)
    RewardModel.objects.filter(pk=model.pk).update(state=ModelState.CHAMPION, temperature=1.0)
    model.refresh_from_db()
    return model


def score(model: RewardModel, comparison: Comparison, a: float, b: float) -> None:
    for response, value in ((comparison.response_a, a), (comparison.response_b, b)):
        heads = np.asarray([value, value], dtype="<f4").tobytes()
        Score.objects.create(reward_model=model, response=response, value=value, heads=heads)


def publish(model: RewardModel) -> int:
    return model_voices_publish(model, guard=transaction.atomic)


def test_scores_become_voices_and_stand_against_the_people(project: Project) -> None:
    pair = make_comparison(project)
    make_comparison(project)  # not scored: no voice
    make_preference(pair, make_labeler(project), "b")
    resolve_comparisons([pair.pk])
    champion = champion_of_number(project, 1)
    score(champion, pair, 2.0, 1.0)
    assert publish(champion) == 1
    voice = Voice.objects.get()
    assert (voice.kind, voice.source, voice.name) == ("model", "champion", "v1")
    assert (voice.outcome, voice.value_a, voice.value_b) == ("a", 2.0, 1.0)
    assert voice.p_a == pytest.approx(1 / (1 + np.exp(-1.0)), abs=1e-6)
    row = Disagreement.objects.get()
    assert (row.kind, row.size) == ("model", pytest.approx(voice.p_a))
    assert publish(champion) == 0
    assert disagreements_refresh([pair.pk]) == 0


def test_a_new_champion_takes_over_row_by_row(project: Project) -> None:
    first, second = make_comparison(project), make_comparison(project)
    old = champion_of_number(project, 1)
    for pair in (first, second):
        score(old, pair, 0.0, 3.0)
    assert publish(old) == 2
    new = champion_of_number(project, 2)
    score(new, first, 3.0, 0.0)
    assert publish(new) == 1
    assert list(Voice.objects.values_list("comparison_id", "name", "outcome")) == [(first.pk, "v2", "a")]


def test_every_version_is_on_the_comparisons_page(project: Project, client) -> None:
    pair = make_comparison(project)
    for number, a in ((1, 0.0), (2, 2.0)):
        score(champion_of_number(project, number), pair, a, 1.0)
    client.force_login(make_member(project, "viewer"))
    html = client.get(f"/projects/{project.slug}/panels/comparisons/{pair.pk}/scores/").content.decode()
    assert html.index(">v2</a>") < html.index(">v1</a>")
    assert "0.73 ± 0.00" in html
    assert "0.27 ± 0.00" in html
