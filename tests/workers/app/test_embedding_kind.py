"""Heads on a frozen base and ensembles of a transformer, from the form to the order of the queue."""

from __future__ import annotations

import pytest

from labeling.models import Comparison, Response
from tests.workers.app.conftest import Trained
from tests.workers.app.test_pages import PROJECT, open_as, page
from tests.workers.app.world import World
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState
from workers.forms import NAMES, KindForm
from workers.models import ModelKind, Score, TrainingRun
from workers.reward.config import KINDS, config_from_dict, config_to_dict
from workers.selectors.scores import comparison_opinions
from workers.services.folders import embeddings_folder
from workers.services.training import training_start

EMBEDDING = {
    "base": "tiny",
    "heads": 3,
    "regularisation": [0.1, 1.0],
    "folds": 2,
    "max_length": 64,
    "device": "cpu",
}
ENSEMBLE = {
    "heads": 3, "epochs": 6, "learning_rate": 5e-3, "tiny_vocabulary": 320, "tiny_hidden": 32,
    "tiny_layers": 1, "tiny_heads": 2, "batch_tokens": 1024, "max_length": 64, "device": "cpu",
}  # fmt: skip


def run_of(world: World, kind: str, config: dict[str, object]) -> TrainingRun:
    run = training_start(project=world.project, kind=kind, config=config, gate_rules={"minimum_pairs": 1})
    job = run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
    assert job.state == JobState.DONE, job.error
    return TrainingRun.objects.select_related("reward_model").get(pk=run.pk)


@pytest.mark.parametrize(("kind", "config"), [("embedding", EMBEDDING), ("transformer", ENSEMBLE)])
def test_heads_reach_scores_opinions_and_the_queue(
    world: World, kind: str, config: dict[str, object]
) -> None:
    run = run_of(world, kind, config)
    model = run.reward_model
    assert model is not None
    assert (model.kind, model.is_champion) == (kind, True)
    scores = Score.objects.filter(reward_model=model)
    assert scores.count() == Response.objects.filter(prompt__project=world.project).count()
    for score in scores[:20]:
        assert score.head_values.shape == (3,)
        assert score.value == pytest.approx(float(score.head_values.mean()), abs=1e-3)
    assert all(score.std > 0 for score in scores)
    found = comparison_opinions(model, world.open_ids)
    assert all(opinion.std > 0 for opinion in found.values())
    assert len(found) == run.counts["reordered"] == len(world.open_ids)
    assert {c.priority_reason for c in Comparison.objects.filter(pk__in=world.open_ids)} == {"uncertain"}


def test_a_second_training_reads_nothing_that_the_first_has_read(world: World) -> None:
    first = run_of(world, "embedding", EMBEDDING)
    folder = embeddings_folder(world.project.pk)
    assert folder.parent == first.reward_model.folder.parent  # so it goes with the project
    assert (folder / "embeddings.sqlite3").is_file()
    assert first.counts["embedded"] == first.counts["responses"]
    second = run_of(world, "embedding", EMBEDDING)
    assert (second.counts["embedded"], second.counts["cached"]) == (0, first.counts["responses"])


def test_the_form_trains_a_head_on_a_base(trained: Trained) -> None:
    html = page(trained, "models/train/")
    for text in ("head on a frozen base model", "What stands for a text", "Advanced", "Label smoothing"):
        assert text in html
    fields = {"kind": "embedding", "base": "tiny", "pool": "mean", "heads": "3", "epochs": "2", "focal": "2"}
    response = open_as(trained, "manager").post(f"{PROJECT}/models/train/", fields)
    run = TrainingRun.objects.first()
    assert run is not None
    assert response.url == f"{PROJECT}/models/runs/{run.pk}/"
    assert (run.kind, run.config["pool"], run.config["heads"]) == ("embedding", "mean", 3)
    assert "epochs" not in run.config


def test_the_forms_advanced_settings_reach_a_transformer(trained: Trained) -> None:
    fields = {"label_smoothing": "0.1", "focal": "2", "centering": "0", "barrier": "0.01", "heads": "4"}
    open_as(trained, "manager").post(f"{PROJECT}/models/train/", {"kind": "transformer", **fields})
    run = TrainingRun.objects.first()
    assert run is not None
    assert {name: run.config[name] for name in fields} == {
        name: float(value) for name, value in fields.items()
    }


def test_a_setting_that_the_library_refuses_stays_on_the_form(trained: Trained) -> None:
    response = open_as(trained, "manager").post(
        f"{PROJECT}/models/train/", {"kind": "transformer", "focal": "0.5"}
    )
    assert response.status_code == 200
    assert "focal must be 0 (off) or at least 1" in response.content.decode()
    assert TrainingRun.objects.count() == 1


def test_the_form_shows_defaults_where_all_kinds_agree_and_says_the_others() -> None:
    form = KindForm()
    assert set(NAMES) == set(ModelKind)
    assert form.fields["max_length"].widget.attrs["placeholder"] == "512"
    assert "placeholder" not in form.fields["heads"].widget.attrs
    heads = {kind: config_to_dict(config_from_dict(kind, {}))["heads"] for kind in KINDS}
    assert heads == {"starter": 8, "embedding": 8, "transformer": 1}
    assert "8, or 1 for a transformer" in str(form.fields["heads"].help_text)
