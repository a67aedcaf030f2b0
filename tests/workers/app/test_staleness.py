"""Runs, models and evaluations of a snapshot whose labels were revised since say so, and stay as they are."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from labeling.models import Role
from labeling.services.adjudication import adjudicate
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots.files import snapshot_path
from tests.labeling.resolution.builders import labeled_project, make_labeler, make_user, vote
from webapp.caches import page_cache
from webapp.notices.models import Notice
from webapp.webhooks.events import subscriptions_forget
from webapp.webhooks.models import Event, Webhook
from workers.models import ModelState, RewardModel, TrainingRun
from workers.services.staleness import stale_tick
from workers.tasks import retrain_tick

pytestmark = pytest.mark.django_db


@pytest.fixture
def trained(client, settings, tmp_path):
    """A project with a model and the run that made it, opened by a manager."""
    settings.DATA_DIR = tmp_path
    page_cache.clear()
    project = labeled_project(6, outcomes="ab", slug="aging")
    client.force_login(make_user(project, Role.MANAGER))
    snapshot = snapshot_build(snapshot_create(project=project, enqueue=False))
    model = RewardModel.objects.create(
        project=project,
        number=1,
        kind="starter",
        path=f"models/{project.pk}/1",
        snapshot=snapshot,
        code_version="x",
        template_hash="t",
    )
    TrainingRun.objects.create(
        project=project, kind="starter", state="done", snapshot=snapshot, reward_model=model
    )
    return model


def pages(model: RewardModel) -> list[str]:
    slug = model.project.slug
    return [
        reverse("workers:model-list", args=[slug]),
        reverse("workers:model-detail", args=[slug, model.number]),
        reverse("workers:model-evaluation", args=[slug, model.number]),
        reverse("workers:run-detail", args=[slug, model.run.pk]),
    ]


def test_a_label_edited_after_training_marks_what_was_trained_on_it(client, trained):
    assert [page for page in pages(trained) if "revised since" in client.get(page).content.decode()] == []
    before = snapshot_path(trained.snapshot).read_bytes()
    for preference in trained.project.preferences.order_by("pk")[:3]:
        vote(preference.comparison, preference.labeler, "tie")
    assert [
        page for page in pages(trained) if "were revised since" not in client.get(page).content.decode()
    ] == []
    listed = client.get(pages(trained)[0]).content.decode()
    assert "stale: 3 labels were revised since" in listed
    assert snapshot_path(trained.snapshot).read_bytes() == before
    trained.refresh_from_db()
    assert trained.snapshot.number == 1


def test_rest_says_how_many(client, trained):
    api = f"/api/v1/projects/{trained.project.slug}"
    run = trained.run.pk

    def said() -> list[tuple[bool, int]]:
        lists = [
            client.get(f"{api}/{name}").json()["results"][0] for name in ("reward-models", "training-runs")
        ]
        one = [client.get(f"{api}/{name}").json() for name in ("reward-models/1", f"training-runs/{run}")]
        return [(row["stale"], row["revised_labels"]) for row in (*lists, *one)]

    assert said() == [(False, 0)] * 4
    first = trained.project.preferences.order_by("pk").first()
    vote(first.comparison, first.labeler, "both_bad")
    assert said() == [(True, 1)] * 4


def test_a_run_that_has_no_snapshot_yet_is_not_stale(client, trained):
    run = TrainingRun.objects.create(project=trained.project, kind="starter", state="failed")
    assert client.get(reverse("workers:run-detail", args=["aging", run.pk])).status_code == 200
    found = client.get(f"/api/v1/projects/aging/training-runs/{run.pk}").json()
    assert (found["stale"], found["revised_labels"]) == (False, 0)


def told(project) -> tuple[list[dict], list[Notice]]:
    """What webhooks and people were told of stale models."""
    events = Event.objects.filter(project_id=project.pk, kind="model.stale").order_by("pk")
    notices = Notice.objects.filter(kind="model.stale").order_by("pk")
    return [json.loads(event.payload)["data"] for event in events], list(notices)


@pytest.fixture
def heard(trained, settings):
    """The trained model, its project with a webhook that asks for stale models, and a labeler beside the manager."""
    project = trained.project
    make_user(project, Role.LABELER)
    Webhook.objects.create(
        project_id=project.pk,
        name="CI",
        url="https://example.org/hook",
        events=["model.stale"],
        secret_sealed="x",
    )
    subscriptions_forget(project.pk)
    return trained


def revise(project, count: int = 1) -> None:
    for preference in project.preferences.filter(revision=1).order_by("pk")[:count]:
        vote(preference.comparison, preference.labeler, "tie")


def test_a_model_that_becomes_stale_is_told_of_once(heard):
    project = heard.project
    assert (stale_tick(), told(project)) == (0, ([], []))
    revise(project, 2)
    page_cache.clear()
    assert stale_tick() == 1
    [event], [notice] = told(project)
    assert event == {"model": 1, "snapshot": 1, "revised_labels": 2, "comparisons": 1}
    assert notice.user.memberships.get(project=project).role == Role.MANAGER
    assert notice.url == reverse("workers:model-detail", args=[project.slug, 1])
    assert "is stale" in str(notice.text)
    revise(project, 3)
    assert retrain_tick() == 0
    assert [len(part) for part in told(project)] == [1, 1]


def test_what_a_reviewer_has_settled_since_makes_a_model_stale(heard):
    project = heard.project
    adjudicate(
        comparison=project.comparisons.first(),
        reviewer=make_user(project, Role.REVIEWER),
        outcome="tie",
        reason="Both say the same.",
        key="settled",
    )
    assert stale_tick() == 1
    [event], [_notice] = told(project)
    assert (event["revised_labels"], event["comparisons"]) == (1, 1)


def test_labels_after_the_snapshot_make_nothing_stale(heard):
    project = heard.project
    late = make_labeler(project)
    comparison = project.comparisons.first()
    vote(comparison, late, "a")
    vote(comparison, late, "b")
    assert (stale_tick(), told(project)) == (0, ([], []))


def test_a_refused_model_is_told_of_when_it_is_taken_up_after_all(heard):
    models = RewardModel.objects.filter(pk=heard.pk)
    models.update(state=ModelState.REJECTED)
    revise(heard.project)
    assert stale_tick() == 0
    models.update(state=ModelState.CHAMPION)
    assert (stale_tick(), stale_tick()) == (1, 0)
