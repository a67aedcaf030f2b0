"""A judge's verdicts as a scorer of a project: what is read, what is counted, what is refused, what is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from judging.models import EngineKind, JudgeVersion, Verdict
from labeling.models import Comparison, Resolution, Role, Snapshot
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import read_snapshot
from tests.factories import make_member
from tests.judging.factories import add_verdict, make_version
from tests.workers.app.conftest import FAST
from tests.workers.app.world import World, make_world
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState
from workers.errors import BadTrainingConfig, PromotionRefused, ReadsNoTokens
from workers.models import EvaluationScores, ModelComparison, ModelKind, ModelState, RewardModel, TrainingRun
from workers.reasons import sentences
from workers.reward.folder import MODEL_CARD
from workers.services.comparing import comparison_start
from workers.services.defaults import COMPARE_ALONE
from workers.services.evaluating import evaluation_start
from workers.services.folders import model_open
from workers.services.gate import model_promote
from workers.services.held_out import held_out, seen_before
from workers.services.policies import policy_save
from workers.services.previews import Reader, Reading, preview_start
from workers.services.training import training_start
from workers.services.verdicts import JudgeVerdicts

pytestmark = pytest.mark.django_db
NONE, RIGHT, WRONG, TORN, HALF_READ, UNREAD = range(6)
# Credit of each kind of pair; None has no verdict.
CREDIT = {NONE: None, RIGHT: 1.0, WRONG: 0.0, TORN: 0.5, HALF_READ: 1.0, UNREAD: None}


def say(version: JudgeVersion, comparison: Comparison, kind: int) -> None:
    """The verdicts of a kind, against what people said of the comparison."""
    better = Resolution.objects.get(comparison=comparison).outcome
    worse = {"a": "b", "b": "a"}[better]
    if kind in (RIGHT, TORN, HALF_READ):
        add_verdict(version, comparison, "ab", outcome=better)
    if kind == WRONG:
        add_verdict(version, comparison, "ab", outcome=worse)
    if kind in (RIGHT, WRONG, TORN):
        add_verdict(version, comparison, "ba", outcome=better if kind == RIGHT else worse)
    if kind == UNREAD:
        add_verdict(version, comparison, "ab", status="refused", outcome="")
    if kind in (HALF_READ, UNREAD):
        add_verdict(version, comparison, "ba", status="unparsed", outcome="")


@dataclass(frozen=True)
class Judged:
    """A world with a snapshot, and a judge that has said something of its validation and test splits."""

    world: World
    snapshot: Snapshot
    version: JudgeVersion

    @property
    def config(self) -> dict[str, object]:
        return {"judge": str(self.version.judge.uid), "version": self.version.number}

    @property
    def kinds(self) -> dict[int, int]:
        """What was said of each held-out comparison."""
        ids = sorted(int(pair.pair_id) for pair in held_out(self.snapshot))
        return {pk: number % 6 for number, pk in enumerate(ids)}

    @property
    def validation(self) -> list[int]:
        rows = read_snapshot(self.snapshot, splits=("validation",), columns=("comparison_id",))
        return sorted(row.comparison_id for row in rows)

    def run(self, kind: str = "generative", **config: object) -> TrainingRun:
        run = training_start(
            project=self.world.project, kind=kind, config=config or self.config, snapshot=self.snapshot
        )
        job = run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
        assert job.state == JobState.DONE, job.error
        return TrainingRun.objects.select_related("reward_model", "snapshot").get(pk=run.pk)


@pytest.fixture
def judged(world: World) -> Judged:
    made = snapshot_create(
        project=world.project,
        config={"seed": 1, "fractions": {"train": 0.4, "validation": 0.2, "test": 0.4}},
        enqueue=False,
    )
    found = Judged(world, snapshot_build(made), make_version(world.project, name="Strict"))
    for pk, kind in found.kinds.items():
        say(found.version, Comparison.objects.get(pk=pk), kind)
    for number, pk in enumerate(found.validation):
        say(found.version, Comparison.objects.get(pk=pk), (RIGHT, HALF_READ, NONE)[number % 3])
    return found


def held_out_credit(judged: Judged) -> list[float]:
    return [credit for kind in judged.kinds.values() if (credit := CREDIT[kind]) is not None]


def test_a_run_of_verdicts_is_evaluated_on_the_pairs_that_have_one(judged: Judged) -> None:
    run = judged.run()
    model = run.reward_model
    assert (model.kind, model.get_kind_display()) == ("generative", "verdicts of a judge")
    assert model.config["judge"] == str(judged.version.judge.uid)
    assert model.template_hash == judged.version.provenance_hash
    evaluation = model.evaluations.get()
    credit = held_out_credit(judged)
    assert evaluation.accuracy == pytest.approx(sum(credit) / len(credit))
    assert evaluation.n == len(credit)
    assert evaluation.report["ties"] == 0
    assert evaluation.report["no_verdict"] == len(judged.kinds) - len(credit) > 0
    assert evaluation.report["equal_scores"] == sum(kind == TORN for kind in judged.kinds.values())
    # Later verdicts are read by a later evaluation.
    silent = next(pk for pk, kind in judged.kinds.items() if kind == NONE)
    say(judged.version, Comparison.objects.get(pk=silent), WRONG)
    job = evaluation_start(model=model, snapshot=judged.snapshot)
    run_inline(Job.objects.get(pk=job.pk), reraise=True)
    evaluation.refresh_from_db()
    assert evaluation.accuracy == pytest.approx(sum(credit) / (len(credit) + 1))


def test_the_temperature_is_fitted_on_validation_pairs_and_the_card_says_on_what(judged: Judged) -> None:
    run = judged.run()
    n = len(judged.validation)
    silent, half = len(range(2, n, 3)), len(range(1, n, 3))
    assert run.counts["no_verdict"] == silent > 0
    assert (run.counts["verdicts"], run.counts["unparsed"]) == (2 * (n - silent) - half, half)
    assert run.reward_model.temperature != 1.0
    card = json.loads((run.reward_model.folder / MODEL_CARD).read_text())
    assert {name: card["spec"][name] for name in ("judge", "version")} == judged.config
    assert card["template_hash"] == judged.version.provenance_hash
    assert len(card["verdicts_sha256"]) == 64
    first = card["verdicts_sha256"]
    assert json.loads((judged.run().reward_model.folder / MODEL_CARD).read_text())["verdicts_sha256"] == first
    say(judged.version, Comparison.objects.get(pk=judged.validation[2]), WRONG)
    assert json.loads((judged.run().reward_model.folder / MODEL_CARD).read_text())["verdicts_sha256"] != first


def test_verdicts_are_read_in_two_queries_and_turned_to_the_side_that_people_prefer(judged: Judged) -> None:
    other = make_version(judged.world.project, name="Lenient")
    pairs = list(held_out(judged.snapshot))
    add_verdict(other, Comparison.objects.get(pk=int(pairs[0].pair_id)), "ab", outcome="tie")
    with CaptureQueriesContext(connection) as captured:
        said = JudgeVerdicts(judged.version)(pairs)
    assert len(captured) == 2
    words = {
        NONE: [],
        RIGHT: ["chosen", "chosen"],
        WRONG: ["rejected", "rejected"],
        TORN: ["chosen", "rejected"],
        HALF_READ: ["chosen", None],
        UNREAD: [None, None],
    }
    assert said == [words[judged.kinds[int(pair.pair_id)]] for pair in pairs]
    assert JudgeVerdicts(other)(pairs[:2]) == [["tie"], []]
    assert {pair.chosen == c.response_a.text for pair, c in _with_comparisons(pairs)} == {True, False}
    judged_pair = next(pair for pair in pairs if judged.kinds[int(pair.pair_id)] == RIGHT)
    Comparison.objects.get(pk=int(judged_pair.pair_id)).response_a.__class__.objects.filter(
        text=judged_pair.chosen
    ).update(text="another text")
    assert JudgeVerdicts(judged.version)([judged_pair]) == [[]]


def _with_comparisons(pairs):
    return [(pair, Comparison.objects.get(pk=int(pair.pair_id))) for pair in pairs]


def test_the_gate_says_why_it_never_promotes_verdicts(judged: Judged) -> None:
    for pk, kind in judged.kinds.items():  # as good as can be
        Verdict.objects.filter(comparison_id=pk).delete()
        say(judged.version, Comparison.objects.get(pk=pk), NONE if kind == NONE else RIGHT)
    model = judged.run().reward_model
    assert model.evaluations.get().accuracy == 1.0
    decision = model.gate_decisions.get()
    assert (decision.promote, model.state) == (False, ModelState.REJECTED)
    assert [r["code"] for r in decision.reasons if not r["passed"]] == ["enough_pairs", "compares_alone"]
    said = [sentence.text for sentence in sentences(decision.reasons)]
    assert any("no score for one, so it cannot be champion" in text for text in said)
    silent = sum(kind == NONE for kind in judged.kinds.values())
    assert f"{silent} held-out pairs were left out, because the judge has no verdict on them." in said
    with pytest.raises(PromotionRefused, match="a champion scores every response"):
        model_promote(model=model, user=None)
    assert not hasattr(model_open(model), "score")
    assert ModelKind.GENERATIVE in COMPARE_ALONE


def test_a_champion_is_held_against_verdicts_where_there_are_some_and_keeps_its_own_figures(
    judged: Judged,
) -> None:
    champion = judged.run("starter", **FAST).reward_model
    assert champion.state == ModelState.CHAMPION
    champion.evaluations.all().delete()
    model = judged.run().reward_model
    reasons = {r["code"]: r for r in model.gate_decisions.get().reasons}
    assert reasons["enough_pairs"]["n"] == len(held_out_credit(judged))
    assert "better_than_champion" in reasons
    kept = champion.evaluations.get()
    assert (kept.n, kept.report["no_verdict"]) == (len(judged.kinds), 0)
    assert len(kept.scores.comparison_ids) == kept.n


def compared(judged: Judged, first: RewardModel, second: RewardModel) -> ModelComparison:
    row = comparison_start(model_a=first, model_b=second, snapshot=judged.snapshot)
    run_inline(Job.objects.get(uid=row.job_uid), reraise=True)
    row.refresh_from_db()
    return row


def test_two_models_are_compared_on_pairs_of_which_both_have_an_opinion(judged: Judged, client) -> None:
    starter = judged.run("starter", **FAST).reward_model
    model = judged.run().reward_model
    stored = EvaluationScores.objects.get(evaluation__reward_model=model)
    assert len(stored.comparison_ids) == len(judged.kinds)
    silent = np.isnan(stored.sides).all(axis=1)
    credit = held_out_credit(judged)
    assert int(silent.sum()) == len(judged.kinds) - len(credit)
    report = compared(judged, model, starter).report
    assert (report["n"], report["no_verdict"], report["left_out"]) == (len(credit), int(silent.sum()), 0)
    assert report["a"]["accuracy"]["value"] == pytest.approx(sum(credit) / len(credit))
    right = sum(credit == 1.0 for credit in credit)
    assert report["counts"]["both_right"] + report["counts"]["only_a"] == right
    assert not {pair["comparison"] for pair in report["disagreements"]} & set(
        stored.comparison_ids[silent].tolist()
    )
    client.force_login(make_member(judged.world.project, Role.VIEWER))
    url = reverse("workers:model-compare", args=[judged.world.project.slug])
    html = client.get(f"{url}?a={model.number}&b={starter.number}").content.decode()
    assert f"n {len(credit)} · {silent.sum()} pairs without verdict" in html


def test_pages_say_whose_verdicts_they_are_and_how_many_pairs_have_none(judged: Judged, client) -> None:
    model = judged.run().reward_model
    client.force_login(make_member(judged.world.project, Role.MANAGER))
    slug = judged.world.project.slug
    detail = client.get(reverse("workers:model-detail", args=[slug, model.number])).content.decode()
    silent = len(judged.kinds) - len(held_out_credit(judged))
    version = reverse("judging:version-detail", args=[slug, judged.version.judge.uid, 1])
    assert f'<a href="{version}">Strict v1</a>' in detail
    assert "Make champion" not in detail
    assert f"{silent} more held-out pairs have no verdict: they count in none of these figures." in detail
    page = client.get(reverse("workers:model-evaluation", args=[slug, model.number])).content.decode()
    assert f"{silent} pairs without verdict" in page
    assert "Evaluate again" in page
    assert "verdicts of a judge" in client.get(reverse("workers:model-list", args=[slug])).content.decode()
    answer = client.post(reverse("workers:model-promote", args=[slug, model.number]), follow=True)
    assert "a champion scores every response" in answer.content.decode()
    api = f"/api/v1/projects/{slug}/reward-models/{model.number}"
    assert client.get(f"{api}/evaluation").json()["no_verdict"] == silent
    assert client.post(f"{api}/promote").status_code == 409
    judged.version.judge.delete()
    detail = client.get(reverse("workers:model-detail", args=[slug, model.number])).content.decode()
    assert "it was deleted" in detail
    with pytest.raises(PermanentJobError, match="The judge of this reward model was deleted"):
        model_open(model)


def test_without_a_verdict_on_any_held_out_pair_there_is_no_figure_and_no_error(
    judged: Judged, client
) -> None:
    starter = judged.run("starter", **FAST).reward_model
    Verdict.objects.filter(comparison_id__in=judged.kinds).delete()
    model = judged.run().reward_model
    evaluation = model.evaluations.get()
    assert (evaluation.n, evaluation.accuracy) == (0, None)
    assert evaluation.report["no_verdict"] == len(judged.kinds)
    assert model.state == ModelState.REJECTED
    client.force_login(make_member(judged.world.project, Role.MANAGER))
    slug = judged.world.project.slug
    page = client.get(reverse("workers:model-evaluation", args=[slug, model.number])).content.decode()
    assert f"On {len(judged.kinds)} held-out pairs the judge has no verdict" in page
    row = compared(judged, model, starter)
    assert row.report == {"n": 0, "left_out": 0, "no_verdict": len(judged.kinds)}
    url = reverse("workers:model-compare", args=[slug])
    html = client.get(f"{url}?a={model.number}&b={starter.number}").content.decode()
    assert "There is no held-out pair of which both have an opinion." in html
    assert client.get(reverse("workers:model-detail", args=[slug, model.number])).status_code == 200
    assert client.get(reverse("workers:model-list", args=[slug])).status_code == 200


def test_what_a_judge_was_trained_on_is_left_out_of_its_figures(judged: Judged) -> None:
    trained_on = snapshot_build(
        snapshot_create(
            project=judged.world.project,
            config={"seed": 7, "fractions": {"train": 0.5, "validation": 0.1, "test": 0.4}},
            enqueue=False,
        )
    )
    JudgeVersion.objects.filter(pk=judged.version.pk).update(
        facts={"trained": {"snapshot": trained_on.number}}
    )
    model = judged.run().reward_model
    fresh = {int(pair.pair_id) for pair in held_out(trained_on)}
    left = {pk for pk in judged.kinds if pk in fresh}
    assert 0 < len(left) < len(judged.kinds)
    kept = EvaluationScores.objects.get(evaluation__reward_model=model)
    assert set(kept.comparison_ids.tolist()) == left
    Snapshot.objects.filter(pk=trained_on.pk).delete()
    seen, remarks = seen_before(judged.snapshot, model)
    assert seen == set()
    assert [remark["code"] for remark in remarks] == ["base_data_unreadable"]


def _refused(judged: Judged, config: dict[str, object], kind: str = "generative") -> str:
    before = TrainingRun.objects.count()
    with pytest.raises(BadTrainingConfig) as refused:
        training_start(project=judged.world.project, kind=kind, config=config)
    assert TrainingRun.objects.count() == before
    return str(refused.value)


def test_a_judge_that_is_not_this_projects_or_has_said_nothing_is_refused(judged: Judged, tmp_path) -> None:
    uid = judged.config["judge"]
    stranger = make_version(make_world(labeled=10, unlabeled=0, slug="other").project, name="Theirs")
    silent = make_version(judged.world.project, name="Silent")
    pk = next(iter(judged.kinds))
    add_verdict(silent, Comparison.objects.get(pk=pk), "ab", status="error", outcome="")
    shown = make_version(judged.world.project, name="Model")
    JudgeVersion.objects.filter(pk=shown.pk).update(engine=EngineKind.SCORER)
    assert "choose the judge" in _refused(judged, {})
    for config in (
        {"judge": str(uuid4())},
        {"judge": "Strict"},
        {"judge": uid, "version": 9},
        {"judge": str(stranger.judge.uid)},
    ):
        assert "no such judge or version" in _refused(judged, config)
    assert "Silent v1 has given no verdict yet" in _refused(judged, {"judge": str(silent.judge.uid)})
    assert "shows a reward model" in _refused(judged, {"judge": str(shown.judge.uid)})
    path = tmp_path / "said.jsonl"
    path.write_text("")
    for kind in ("generative", "longest"):
        assert "files are for the command line" in _refused(
            judged, {**judged.config, "verdicts": str(path)}, kind
        )
    run = training_start(project=judged.world.project, kind="generative", config={"judge": uid})
    assert run.config["version"] == 1  # the newest


def test_a_policy_names_a_judge_too_and_can_be_turned_off_without_it(judged: Judged) -> None:
    project = judged.world.project
    values = {"is_enabled": True, "every_n_labels": 5, "kind": "generative", "config": judged.config}
    assert policy_save(project=project, values=values, user=None).config == judged.config
    with pytest.raises(ValidationError, match="no such judge"):
        policy_save(project=project, values={**values, "config": {"judge": str(uuid4())}}, user=None)
    judged.version.judge.delete()
    assert not policy_save(project=project, values={**values, "is_enabled": False}, user=None).is_enabled


def test_there_is_no_text_to_preview(judged: Judged) -> None:
    with pytest.raises(ReadsNoTokens, match="read from the database"):
        preview_start(
            project=judged.world.project,
            reader=Reader(kind="generative", config=judged.config),
            reading=Reading(answer="x"),
        )


def test_over_rest_a_judge_is_named_by_uid_and_version(judged: Judged, client) -> None:
    client.force_login(make_member(judged.world.project, Role.MANAGER))
    url = f"/api/v1/projects/{judged.world.project.slug}/training-runs"
    sent = {"kind": "generative", "config": {"judge": str(uuid4())}}
    answer = client.post(url, sent, content_type="application/json")
    assert answer.status_code == 400
    assert "no such judge" in answer.content.decode()
    answer = client.post(url, {**sent, "config": judged.config}, content_type="application/json")
    assert answer.status_code == 201, answer.content
    assert answer.json()["config"]["version"] == 1


def test_the_form_offers_the_judges_that_have_spoken_by_name_and_version(judged: Judged, client) -> None:
    project = judged.world.project
    make_version(project, name="Silent")
    theirs = make_version(make_world(labeled=10, unlabeled=0, slug="other").project, name="Theirs")
    client.force_login(make_member(project, Role.MANAGER))
    page = reverse("workers:run-new", args=[project.slug])
    offered = f'<option value="{judged.version.judge.uid}/1">Strict v1</option>'
    html = client.get(page).content.decode()
    assert offered in html
    assert "Silent" not in html
    assert "Theirs" not in html
    answer = client.post(page, {"kind": "generative", "judge": f"{theirs.judge.uid}/1"})
    assert "is not one of the available choices" in answer.content.decode()
    assert "choose the judge" in client.post(page, {"kind": "generative"}).content.decode()
    answer = client.post(page, {"kind": "starter", "judge": f"{judged.version.judge.uid}/1"})
    assert (answer.status_code, TrainingRun.objects.get().kind) == (302, "starter")
    TrainingRun.objects.all().delete()
    answer = client.post(page, {"kind": "generative", "judge": f"{judged.version.judge.uid}/1"})
    run = TrainingRun.objects.get()
    assert answer.status_code == 302
    assert {name: run.config[name] for name in ("judge", "version")} == judged.config
    preview = reverse("workers:preview-new", args=[project.slug])
    answer = client.post(
        preview, {"kind": "generative", "judge": f"{judged.version.judge.uid}/1", "answer": "x"}
    )
    assert "Verdicts are read from the database" in answer.content.decode()


def test_the_policys_form_keeps_its_judge(judged: Judged, client) -> None:
    project = judged.world.project
    client.force_login(make_member(project, Role.MANAGER))
    page = reverse("workers:policy", args=[project.slug])
    choice = f"{judged.version.judge.uid}/1"
    sent = {"kind": "generative", "judge": choice, "is_enabled": "on", "every_n_labels": "50"}
    assert client.post(page, sent).status_code == 302
    assert project.retrain_policy.config == judged.config
    assert f'<option value="{choice}" selected>Strict v1</option>' in client.get(page).content.decode()
