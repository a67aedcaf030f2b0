"""What the database itself holds to: generated columns, checks, the search index, what goes with what."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from labeling.importing.bulk import rows_insert
from labeling.models import (
    Adjudication,
    Batch,
    Comment,
    CommentMention,
    Comparison,
    Disagreement,
    Preference,
    Project,
    Resolution,
    Response,
    SavedFilter,
    SearchText,
    Voice,
)
from labeling.search.matching import prompts_matching
from tests.factories import make_comparison, make_project, make_prompt, make_user
from tests.labeling.schema.rows import fill_every_table
from webapp.users.models import User

pytestmark = pytest.mark.django_db


def tables_with_rows() -> set[str]:
    models = apps.get_app_config("labeling").get_models()
    return {model.__name__ for model in models if model._default_manager.exists()}


def test_a_project_goes_with_all_that_it_has():
    team = fill_every_table()
    assert tables_with_rows() == {model.__name__ for model in apps.get_app_config("labeling").get_models()}
    team.project.delete()
    assert tables_with_rows() == set()
    assert found("one") == []


def test_a_batch_leaves_its_comparisons_behind():
    fill_every_table()
    number = Comparison.objects.count()
    Batch.objects.get().delete()
    assert Comparison.objects.filter(batch=None).count() == number


def test_a_labeler_goes_and_the_rewrite_stays():
    team = fill_every_table()
    rewrite = Response.objects.get(parent__isnull=False)
    team.project.labelers.get(user=team.labeler).delete()
    rewrite.refresh_from_db()
    assert rewrite.author is None
    assert Preference.objects.count() == 1


def test_the_admin_deletes_an_account_and_keeps_what_it_wrote_for_others():
    team = fill_every_table()
    client = Client()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    for user in (team.manager, team.viewer):
        url = reverse("admin:users_user_delete", args=[user.pk])
        assert client.post(url, {"post": "yes"}).status_code == 302
        assert not User.objects.filter(pk=user.pk).exists()
    assert not SavedFilter.objects.exists()
    assert not CommentMention.objects.exists()
    assert Adjudication.objects.get().reviewer is None
    assert Comment.objects.get().author is None


@pytest.mark.parametrize(
    ("votes", "agreement"), [({}, None), ({"a": 3, "tie": 1}, 0.75), ({"a": 1, "b": 1}, 0.5)]
)
def test_agreement_is_the_share_of_the_most_frequent_outcome(votes, agreement):
    comparison = make_comparison(make_project())
    counts = {f"votes_{outcome}": number for outcome, number in votes.items()}
    Resolution.objects.create(
        comparison=comparison, project=comparison.project, outcome="a", p_a=0.5, **counts
    )
    assert Resolution.objects.get().agreement == agreement


def test_many_rows_at_once_leave_a_generated_column_to_the_database():
    comparison = make_comparison(make_project())
    columns = ("comparison_id", "outcome", "p_a", "votes_a", "votes_b")
    rows = [(comparison.pk, "a", 1.0, 2, 1)]
    rows_insert(Resolution, columns, rows, constants={"project_id": comparison.project_id})
    assert Resolution.objects.get().agreement == pytest.approx(2 / 3)


def refused(change) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        change()


def test_what_checks_on_people_has_a_known_outcome():
    comparison = make_comparison(make_project())
    for use in ("gold", "qualification"):
        refused(lambda use=use: Comparison.objects.update(use=use))
    refused(lambda: Comparison.objects.update(use="play"))
    Comparison.objects.update(gold_outcome="tie", use="gold")
    comparison.refresh_from_db()
    assert comparison.use == "gold"


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (Voice, {"p_a": 1.01}),
        (Voice, {"kind": "human"}),
        (Voice, {"outcome": "both"}),
        (Disagreement, {"size": 0.0}),
        (Disagreement, {"size": 1.01}),
        (Disagreement, {"kind": "other"}),
        (Comment, {"deleted_at": "2026-01-01T00:00:00Z"}),
        (Project, {"gold_share": 1.5}),
        (Project, {"qualification_pass": -0.1}),
        (Project, {"resolution_rule": "loudest"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "-".join(value),
)
def test_the_database_refuses_a_value_that_means_nothing(model, wrong):
    fill_every_table()
    refused(lambda: model.objects.update(**wrong))


@pytest.mark.parametrize(
    "wrong",
    [{"reason": ""}, {"outcome": "skip"}, {"outcome": "tie", "strength": 2}, {"strength": 5}],
    ids=str,
)
def test_an_adjudication_has_a_reason_and_an_outcome_with_a_strength_that_fits(wrong):
    comparison = make_comparison(make_project())
    values = {"outcome": "a", "reason": "Because.", **wrong}
    refused(lambda: Adjudication.objects.create(comparison=comparison, project=comparison.project, **values))


def found(word: str) -> list[int]:
    """Prompts by the database's own index."""
    return sorted(prompts_matching(None, (word,), most=100) or [])


def test_the_search_index_follows_the_words():
    project = make_project()
    first, second = make_prompt(project), make_prompt(project)
    SearchText.objects.create(prompt=first, project=project, words=" solubility 溶 解 度 溶解 解度 ")
    empty = SearchText.objects.create(prompt=second, project=project)
    assert (found("溶解"), found("溶"), found("解溶")) == ([first.pk], [first.pk], [])
    SearchText.objects.filter(pk=empty.pk).update(words=" 溶 解 溶解 ")
    assert found("溶解") == [first.pk, second.pk]
    SearchText.objects.filter(pk=first.pk).update(words=" other ")
    assert (found("溶解"), found("solubility"), found("other")) == ([second.pk], [], [first.pk])
    second.delete()
    assert found("溶解") == []
