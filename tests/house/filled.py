"""A project with something in every table, and a canary in every field that a labeler must not see."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from django.conf import settings
from django.utils import timezone

from judging.models import Endpoint, Judge, JudgeRun, JudgeVersion, Verdict
from labeling.models import Assignment, AssignmentState, Comparison, Import, Membership, Resolution, Snapshot
from labeling.services.allocation import lease_next
from labeling.services.projects import invitation_create
from labeling.services.resolution import resolve_comparisons
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import read_snapshot
from tests.factories import Team, make_comparison, make_labeler, make_member, make_preference, make_team
from tests.house.tables import fills
from tests.judging.factories import add_verdict
from webapp.jobs.models import Job
from workers.models import Evaluation, GateDecision, RetrainPolicy, RewardModel, RunMetric, Score, TrainingRun
from workers.pairs import row_to_pair
from workers.reward.evaluate import evaluate

SCORE = 2.718281744  # recognisable, and no neighbour of anything that a page counts
PRIORITY = 0.918273645
DURATION_MS = 7_654_321
_numbers = itertools.count(1)


@dataclass
class Words:
    """Canaries by what they stand for."""

    planted: dict[str, str] = field(default_factory=dict)

    def plant(self, what: str) -> str:
        word = f"zq{next(_numbers):05d}x"
        self.planted[word] = what
        return word

    def watch(self, value: object, what: str) -> None:
        """Something that the app itself made up and that must stay as hidden as a planted word."""
        self.planted[str(value)] = what

    def found_in(self, text: str) -> list[str]:
        return sorted({what for word, what in self.planted.items() if word in text and _stands(word, text)})


def _stands(word: str, text: str) -> bool:
    """Not as the end of another number: a lease that ends at 10:00:20.84 tells no share of 0.84."""
    return not word[0].isdigit() or re.search(rf"(?<!\d){re.escape(word)}", text) is not None


@dataclass
class Filled:
    """`ids` fills the parts of an address in; see `url`."""

    team: Team
    words: Words
    ids: dict[str, str] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    lease: Assignment | None = None

    @property
    def slug(self) -> str:
        return self.team.project.slug

    def url(self, path: str, *, slug: str = "") -> str:
        """The address of a route of `routes.py` with this project's ids, under `slug` (default: its own)."""
        path = path.replace("<slug:slug>", slug or self.slug)
        for part, value in self.ids.items():
            path = path.replace(part, value)
        assert "<" not in path, f"filled.py has no id for {path}"
        return "/" + path


def filled_project(slug: str, *, rows: int = 3, first: int = 1) -> Filled:
    """A project with `rows` rows in every list. Versions count from `first`, so that two projects share none."""
    words = Words()
    team = make_team(slug, overlap=3, random_share=0.0)
    filled = Filled(team, words)
    for name in ("manager", "reviewer", "viewer"):
        user = getattr(team, name)
        user.display_name = words.plant(f"the name of the {name}")
        user.save()
        words.watch(user.username, f"the account of the {name}")
    filled.comparisons = [_comparison(filled, number) for number in range(rows)]
    _votes(filled)
    _judging(filled, rows)
    snapshot = _snapshots(filled, rows, first)
    _models(filled, rows, first, snapshot)
    _jobs_and_imports(filled, rows)
    _people(filled, rows)
    filled.lease = lease_next(make_labeler(team.project, "me", user=team.labeler, kind="member"), count=1)[0]
    filled.ids["assignments/<uuid:uid>"] = f"assignments/{filled.lease.uid}"
    filled.ids["label/<uuid:uid>"] = f"label/{filled.lease.uid}"
    filled.ids["comparisons/<int:pk>"] = f"comparisons/{filled.lease.comparison_id}"
    _third_party_ids(filled)
    for fill in fills():
        fill(filled, rows)
    return filled


def _comparison(filled: Filled, number: int) -> Comparison:
    plant = filled.words.plant
    comparison = make_comparison(
        filled.team.project,
        texts=(f"The first answer {number}.", f"Another answer {number}."),
        priority=PRIORITY + number,
        priority_reason=plant("priority reason"),
        gold_outcome=plant("gold outcome"),
    )
    filled.words.watch(comparison.priority, "priority")
    prompt = comparison.prompt
    prompt.group, prompt.topic, prompt.external_id = plant("group"), plant("topic"), plant("external id")
    prompt.language, prompt.metadata = plant("language"), {plant("metadata key"): plant("metadata value")}
    prompt.messages = [{**prompt.messages[0], plant("message key"): plant("message value")}]
    prompt.save()
    filled.words.watch(prompt.content_hash, "content hash")
    for response in (comparison.response_a, comparison.response_b):
        response.model_name = plant("model of a response")
        response.save()
        filled.words.watch(response.content_hash, "content hash")
    return comparison


def _votes(filled: Filled) -> None:
    """Two other people have voted on everything, and do not agree."""
    plant, project = filled.words.plant, filled.team.project
    for outcome in ("a", "b"):
        other = make_labeler(project, plant("name of another labeler"))
        filled.words.watch(other.uid, "another labeler")
        for comparison in filled.comparisons:
            vote = make_preference(
                comparison,
                other,
                outcome,
                rationale=plant("another's rationale"),
                reasons=[plant("another's reason")],
                duration_ms=DURATION_MS,
                strength=3,
            )
            lease = Assignment.objects.create(
                comparison=comparison,
                labeler=other,
                state=AssignmentState.SUBMITTED,
                swapped=False,
                drawn="priority",
                draft={"rationale": plant("another's draft")},
                lease_expires_at=timezone.now(),
            )
            filled.words.watch(vote.uid, "another's preference")
            filled.words.watch(lease.uid, "another's assignment")
    filled.words.watch(DURATION_MS, "another's seconds")
    Comparison.objects.filter(project=project).update(label_count=2, open_slots=1)
    resolve_comparisons([comparison.pk for comparison in filled.comparisons])
    assert Resolution.objects.filter(project=project).count() == len(filled.comparisons)


def _judging(filled: Filled, rows: int) -> None:
    plant, project = filled.words.plant, filled.team.project
    for _ in range(rows):
        endpoint = Endpoint.objects.create(
            project=project,
            name=plant("endpoint name"),
            base_url=f"http://127.0.0.1:9/{plant('endpoint address')}/v1",
            model=plant("endpoint model"),
            probe_error=plant("probe error"),
        )
        judge = Judge.objects.create(project=project, name=plant("judge name"))
        version = JudgeVersion.objects.create(
            judge=judge,
            number=1,
            engine="openai",
            endpoint=endpoint,
            base_url=endpoint.base_url,
            model=endpoint.model,
            template="pairwise",
            template_version="1",
            rubric=plant("rubric"),
            provenance_hash=plant("judge hash"),
        )
        run = JudgeRun.objects.create(
            project=project, judge_version=version, total=rows, selection={"kind": "all"}
        )
    for comparison in filled.comparisons:
        for order in ("ab", "ba"):
            verdict = add_verdict(
                version,
                comparison,
                order,
                run=run,
                p_a=0.8374651,
                raw_text=plant("verdict text"),
                reasoning=plant("verdict reasoning"),
                detail=plant("verdict detail"),
                finish_reason=plant("finish reason"),
            )
            filled.words.watch(verdict.uid, "verdict")
    filled.words.watch("0.8374651", "verdict probability")
    filled.words.watch("0.84", "verdict probability")
    filled.ids |= {
        "judge-endpoints/<uuid:uid>": f"judge-endpoints/{endpoint.uid}",
        "judge-runs/<uuid:uid>": f"judge-runs/{run.uid}",
        "judges/<uuid:uid>/v<int:number>": f"judges/{judge.uid}/v1",
        "judges/<uuid:uid>": f"judges/{judge.uid}",
        "judges/new/<str:engine>": "judges/new/scorer",
        "verdicts/<uuid:uid>": f"verdicts/{Verdict.objects.filter(judge_version=version).latest('pk').uid}",
    }


def _snapshots(filled: Filled, rows: int, first: int) -> Snapshot:
    """The newest has a real file; the older ones are rows alone."""
    project = filled.team.project
    for number in range(first, first + rows - 1):
        digest = filled.words.plant("snapshot hash")
        Snapshot.objects.create(
            project=project, number=number, state="ready", content_hash=digest, file_hash=digest
        )
    made = snapshot_create(project=project, created_by=filled.team.manager, enqueue=False)
    snapshot = snapshot_build(made)
    assert snapshot.row_count == len(filled.comparisons)
    filled.words.watch(snapshot.content_hash, "snapshot hash")
    filled.ids["snapshots/<int:number>"] = f"snapshots/{snapshot.number}"
    return snapshot


def _models(filled: Filled, rows: int, first: int, snapshot: Snapshot) -> None:
    plant, project = filled.words.plant, filled.team.project
    model = run = None
    pairs = [row_to_pair(row) for row in read_snapshot(snapshot)]
    report = evaluate([SCORE] * len(pairs), [0.0] * len(pairs), pairs).as_dict()
    for number in range(first, first + rows):
        model = RewardModel.objects.create(
            project=project,
            number=number,
            kind="starter",
            state="champion" if number == first + rows - 1 else "retired",
            path=f"models/{plant('model path')}",
            manifest_hash=plant("model hash"),
            snapshot=snapshot,
            parent=model,
            code_version=plant("code version"),
            template_hash=plant("template hash"),
        )
        run = TrainingRun.objects.create(
            project=project,
            kind="starter",
            state="done",
            stage="done",
            snapshot=snapshot,
            reward_model=model,
            config={plant("training setting"): 1},
            error=plant("training error"),
        )
        RunMetric.objects.create(run=run, step=1, values={"loss": 0.61, "accuracy": 0.7})
        Evaluation.objects.create(
            reward_model=model,
            snapshot=snapshot,
            accuracy=0.7465839,
            low=0.7,
            high=0.8,
            n=50,
            report=report,
            baselines={name: {"value": 0.6, "low": 0.5, "high": 0.7} for name in ("longest", "random")},
        )
        GateDecision.objects.create(
            project=project,
            run=run,
            candidate=model,
            kind="automatic",
            promote=True,
            user=filled.team.manager,
        )
    for comparison in filled.comparisons:
        for sign, response in ((1, comparison.response_a_id), (-1, comparison.response_b_id)):
            value = SCORE * sign
            heads = np.asarray([value, value], dtype="<f4").tobytes()
            Score.objects.create(reward_model=model, response_id=response, value=value, heads=heads)
    RetrainPolicy.objects.create(project=project, every_n_labels=50)
    filled.words.watch(SCORE, "score")
    filled.words.watch("2.718", "score")
    filled.words.watch("0.7465839", "accuracy")
    assert model is not None
    assert run is not None
    preview = Job.objects.create(
        kind="reward.preview",
        queue="default",
        project_id=project.pk,
        state="done",
        params={"model_id": model.pk, "prompt": plant("prompt of a preview"), "answer": "x"},
    )
    folder = Path(settings.DATA_DIR) / "jobs" / str(preview.uid)
    folder.mkdir(parents=True)
    tokens = [[7, plant("token of a preview"), True, False], [8, "x", False, False]]
    found = {"text": "x", "tokens": tokens, "truncated": False, "template_hash": "t", "warnings": []}
    (folder / "preview.json").write_text(json.dumps(found))
    filled.ids |= {
        "models/preview/<uuid:uid>": f"models/preview/{preview.uid}",
        "reward-models/<int:number>": f"reward-models/{model.number}",
        "models/runs/<int:pk>": f"models/runs/{run.pk}",
        "models/<int:number>": f"models/{model.number}",
        "training-runs/<int:pk>": f"training-runs/{run.pk}",
    }


def _jobs_and_imports(filled: Filled, rows: int) -> None:
    plant, project = filled.words.plant, filled.team.project
    for _ in range(rows):
        job = Job.objects.create(
            kind="snapshot.make",
            queue="default",
            title=plant("job title"),
            project_id=project.pk,
            created_by=filled.team.manager,
            params={"snapshot_id": 0, "note": plant("job parameter")},
            state="failed",
            log_tail=plant("job log"),
            error=plant("job error"),
            result={"note": plant("job result")},
        )
        import_ = Import.objects.create(
            project=project,
            file_name=f"{plant('file name')}.jsonl",
            path=plant("path of an upload"),
            size_bytes=10,
            sha256=plant("hash of a file"),
            state="ready",
            layout="votes",
            counts={"pairs": 1, "records": 1},
            created_by=filled.team.manager,
        )
    filled.ids |= {
        "jobs/<uuid:uid>": f"jobs/{job.uid}",
        "imports/<uuid:uid>": f"imports/{import_.uid}",
    }


def _people(filled: Filled, rows: int) -> None:
    team, plant = filled.team, filled.words.plant
    for _ in range(rows):
        make_member(team.project).email = plant("e-mail of a member")
        email = f"{plant('e-mail of an invitation')}@example.org"
        _row, token = invitation_create(
            project=team.project, role="viewer", email=email, invited_by=team.manager
        )
    pk = Membership.objects.get(project=team.project, user=team.viewer).pk
    filled.ids |= {"people/<int:pk>": f"people/{pk}", "<str:token>": token, "<str:token_key>": "no-such-key"}


def _third_party_ids(filled: Filled) -> None:
    """Addresses of the log-in library, with keys that fit their patterns and mean nothing."""
    filled.ids |= {
        "^confirm-email/(?P<key>[-:\\w]+)/$": "confirm-email/no-such-key/",
        "^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "password/reset/key/1-no-such-key/",
    }
