"""What labelers say by aspect, from the label page's service to the heads of a trained model and its page."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from labeling.models import Comparison, Role
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit
from labeling.snapshots import read_snapshot
from tests.factories import make_member
from tests.workers.app.world import GOOD, World, make_world
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState
from workers.errors import BadTrainingConfig
from workers.models import TrainingRun
from workers.pairs import responses_to_items, row_to_pair
from workers.reward import open_reward_model
from workers.services.training import training_start

pytestmark = pytest.mark.django_db

SCHEME = {"aspects": [{"key": "helpful", "name": "Helps"}, {"key": "blunt", "name": "Blunt"}]}
CONFIG = {
    "base": "tiny", "epochs": 8, "learning_rate": 5e-3, "tiny_vocabulary": 320, "tiny_hidden": 32,
    "tiny_layers": 1, "tiny_heads": 2, "batch_tokens": 1024, "max_length": 64, "device": "cpu",
    "aspects": ["helpful", "blunt"], "aspect_weight": 1.0,
}  # fmt: skip


def goodness(text: str) -> int:
    return sum(word in GOOD for word in text.split())


def labeled_world(count: int = 90) -> World:
    """Labels by the service of the label page: the better response is the more helpful one, and the other the more
    blunt. Every third label says nothing by aspect, every fourth that both are equally blunt."""
    world = make_world(labeled=0, unlabeled=count)
    world.project.scheme = SCHEME
    world.project.save()
    for number in range(count):
        lease = lease_next(world.labeler)[0]
        comparison = lease.comparison
        a_better = goodness(comparison.response_a.text) > goodness(comparison.response_b.text)
        better, worse = ("left", "right") if a_better != lease.swapped else ("right", "left")
        aspects = {"helpful": better, "blunt": "same" if number % 4 == 0 else worse}
        data = {"choice": "2" if better == "left" else "7", "aspects": aspects if number % 3 else {}}
        preference_submit(assignment=lease, data=data, idempotency_key=f"k{lease.pk}")
    return world


@pytest.fixture
def labeled(db: None) -> World:
    return labeled_world()


def run_to_end(world: World, config: dict[str, object]) -> TrainingRun:
    run = training_start(
        project=world.project, kind="transformer", config=config, gate_rules={"minimum_pairs": 1}
    )
    job = run_inline(Job.objects.get(uid=run.job_uid))
    assert job.state == JobState.DONE, job.error
    return TrainingRun.objects.select_related("reward_model", "snapshot").get(pk=run.pk)


def test_labels_become_heads_that_rate_as_people_did(labeled: World, client: Client) -> None:
    run = run_to_end(labeled, CONFIG)
    model, snapshot = run.reward_model, run.snapshot
    assert model is not None
    assert snapshot is not None
    rated = {"chosen": {"helpful": 1.0, "blunt": 0.0}, "rejected": {"helpful": 0.0, "blunt": 1.0}}
    equally = {"chosen": {"helpful": 1.0, "blunt": 0.5}, "rejected": {"helpful": 0.0, "blunt": 0.5}}
    pairs = [row_to_pair(row) for row in read_snapshot(snapshot)]
    found = [{"chosen": pair.ratings_chosen, "rejected": pair.ratings_rejected} for pair in pairs]
    assert all(goodness(pair.chosen) > goodness(pair.rejected) for pair in pairs)
    assert {json.dumps(said, sort_keys=True) for said in found} == {
        json.dumps(said, sort_keys=True) for said in (rated, equally, {"chosen": {}, "rejected": {}})
    }
    told_apart = sum(pair.split == "validation" and bool(pair.ratings_chosen) for pair in pairs)
    assert model.metrics["aspect_pairs_helpful"] == told_apart > 0
    assert model.metrics["aspect_accuracy_helpful"] > 0.8
    comparisons = Comparison.objects.filter(project=labeled.project).select_related(
        "response_a", "response_b"
    )
    sides = [[c.response_a, c.response_b] for c in comparisons]
    better, worse = zip(*(sorted(two, key=lambda r: -goodness(r.text)) for two in sides), strict=True)
    scorer = open_reward_model(model.folder)
    good, bad = (scorer.score(responses_to_items(responses)).aspects for responses in (better, worse))
    assert (good["helpful"] > bad["helpful"]).mean() > 0.8
    assert (good["blunt"] < bad["blunt"]).mean() > 0.8

    client.force_login(make_member(labeled.project, Role.VIEWER))
    html = client.get(f"/projects/{labeled.project.slug}/models/{model.number}/").content.decode()
    assert "By aspect" in html
    assert "<td>Helps <code" in html
    assert f'<td class="num">{told_apart}</td>' in html


def test_an_aspect_that_nobody_gave_is_refused_before_anything_is_written(labeled: World) -> None:
    for name in ("depth", "helpful\x00"):
        with pytest.raises(BadTrainingConfig, match="Labelers are asked for: helpful, blunt") as caught:
            training_start(
                project=labeled.project, kind="transformer", config={**CONFIG, "aspects": ["helpful", name]}
            )
        assert caught.value.setting == "aspects"
    labeled.project.scheme = {}
    labeled.project.save()
    with pytest.raises(BadTrainingConfig, match=r"by “depth” yet\. .*asked for none"):
        training_start(project=labeled.project, kind="transformer", config={**CONFIG, "aspects": ["depth"]})
    assert not TrainingRun.objects.exists()


def test_a_snapshot_in_which_nobody_gave_it_ends_the_run_in_words() -> None:
    """Labels say it, but the snapshot that the run was given is of those before."""
    world = make_world(labeled=20, unlabeled=1)
    first = training_start(project=world.project, kind="longest", gate_rules={"minimum_pairs": 1})
    run_inline(Job.objects.get(uid=first.job_uid), reraise=True)
    first.refresh_from_db()
    world.project.scheme = SCHEME
    world.project.save()
    lease = lease_next(world.labeler)[0]
    data = {"choice": "1", "aspects": {"helpful": "left"}}
    preference_submit(assignment=lease, data=data, idempotency_key="late")
    run = training_start(
        project=world.project,
        kind="transformer",
        config={**CONFIG, "aspects": ["helpful"]},
        snapshot=first.snapshot,
    )
    job = run_inline(Job.objects.get(uid=run.job_uid))
    assert job.state == JobState.FAILED
    assert "no training pair rates the aspect helpful" in str(job.error)


def test_the_form_trains_on_aspects_and_says_at_the_field_which_nobody_gave(
    labeled: World, client: Client
) -> None:
    client.force_login(make_member(labeled.project, Role.MANAGER))
    page = f"/projects/{labeled.project.slug}/models/train/"
    wrong = client.post(page, {"kind": "transformer", "base": "tiny", "aspects": "helpful, depth"})
    assert wrong.status_code == 200
    assert wrong.context["form"].errors["aspects"] == [
        "aspects: nobody has compared responses by “depth” yet. Labelers are asked for: helpful, blunt."
    ]
    assert (
        client.post(page, {"kind": "transformer", "base": "tiny", "aspects": "helpful, blunt"}).status_code
        == 302
    )
    assert TrainingRun.objects.get().config["aspects"] == ["helpful", "blunt"]
