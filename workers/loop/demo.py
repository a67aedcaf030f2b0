"""The demo: our own sample, simulated people, and twice round the loop with real jobs in this process.

Nothing on its pages is made up for the pages: every label went through the label services, every verdict, score and
figure through the jobs that a worker would run. The people, their words and the days on which they vote are ours.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from judging.models import EngineKind
from judging.selectors.selection import Selection
from judging.services.judges import VersionSpec, judge_create
from labeling.demo.data import SAMPLE_PATH, truth_by_text
from labeling.demo.scheme import guidelines, scheme_json
from labeling.demo.story import GOLD, QUALIFICATION, known_rows
from labeling.importing.options import ImportOptions
from labeling.importing.services import import_confirm, import_create
from labeling.importing.uploads import read_chunks, upload_store
from labeling.models import Comparison, ComparisonUse, Membership, Project, Role, SnapshotState
from labeling.services.checks import checks_mark, known_comparisons
from labeling.services.diffs import diff_start
from labeling.services.projects import project_create
from labeling.services.reliability import fit_start
from webapp.users.models import User
from workers.loop import people
from workers.loop.cast import Cast, cast_of
from workers.loop.jobs import run_job
from workers.loop.judges import LOCAL_JUDGE, judge_sample, local_judge
from workers.loop.reviewing import review
from workers.loop.simulation import Perceived, simulate_labels
from workers.models import ModelKind, TrainingRun
from workers.services.policies import policy_save
from workers.services.scoring import scoring_start
from workers.services.training import training_start

SLUG = "demo"
# (user name, name shown, role, language); "operator" may also open the admin.
PEOPLE = (
    ("manager", "Mara Manager", Role.MANAGER, ""),
    ("reviewer", "Rui 审核", Role.REVIEWER, ""),
    ("labeler", "Lee Labeler", Role.LABELER, ""),
    ("biaozhu", "标注员小周", Role.LABELER, "zh-hans"),
)
# Labels from the queue before the first and the second reward model; what is left open is for you.
FIRST_LABELS, SECOND_LABELS = 130, 270
GROUPS = {"group_key": "group", "fractions": {"train": 0.6, "validation": 0.15, "test": 0.25}}
RETRAIN_EVERY = 25
# Small enough for half a minute on two cores; on so few labels it is a challenger that ought to lose.
SMALL_TRANSFORMER = {
    "tiny_hidden": 64,
    "max_length": 256,
    "max_steps": 40,
    "evaluate_every": 10,
    "log_every": 2,
}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Login:
    username: str
    password: str
    role: str


def logins_path() -> Path:
    return Path(settings.DATA_DIR) / "demo_logins.json"


def demo_logins() -> list[Login]:
    """The log-ins of the demo, as they were made; empty where there is none."""
    path = logins_path()
    return [Login(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def demo_exists() -> bool:
    return Project.objects.filter(slug=SLUG).exists() and logins_path().exists()


def make_demo(say: Say) -> Project:
    """Fill an empty database with the demo. Call `demo_exists` first."""
    say("importing the sample, and what is known of it")
    cast = gather()
    project, manager = cast.project, cast.manager
    say("people qualify, compare, rank and rewrite responses")
    people.qualify(cast)
    people.say(cast)
    people.rank(cast, cast.named("Ada (simulated)"), 2)
    _label(cast, FIRST_LABELS)
    say("training the first reward model")
    _train(project, manager, ModelKind.STARTER)
    people.batches(cast)
    say("they go on, in the order the model asks for")
    people.rank(cast, cast.named("Mei 梅 (simulated)"), 4)
    _label(cast, SECOND_LABELS)
    say("training the second reward model")
    run = _train(project, manager, ModelKind.STARTER)
    say("compiling a small local judge, and asking both judges")
    _judge(project, run, manager)
    say("training a small transformer as a challenger")
    _train(project, manager, ModelKind.TRANSFORMER, SMALL_TRANSFORMER)
    say("scoring and re-ordering")
    job = scoring_start(project=project, created_by=manager)
    if job is not None:
        run_job(job.uid)
    say("reviewing, and comparing what came out")
    review(cast)
    _compare_snapshots(project, manager)
    run_job(fit_start(project=project, actor=manager).uid)
    policy_save(
        project=project,
        values={"is_enabled": True, "every_n_labels": RETRAIN_EVERY, "snapshot_config": GROUPS},
        user=manager,
    )
    return project


def gather() -> Cast:
    """The accounts, and the project with the sample and what is known of it."""
    users = _users()
    manager = users["manager"]
    project = _project(manager)
    _import_sample(project, manager)
    _import_known(project, QUALIFICATION, ComparisonUse.QUALIFICATION, manager)
    _import_known(project, GOLD, ComparisonUse.GOLD, manager)
    return cast_of(project, users, _truth())


def _label(cast: Cast, number: int) -> None:
    simulate_labels(cast.project, truth=cast.truth, people=cast.everybody, limit=number, diary=cast.diary)


def _users() -> dict[str, User]:
    """Accounts with random passwords, which are kept in a file that only its owner can read."""
    rows, users = [], {}
    for username, name, role, language in PEOPLE:
        password = secrets.token_urlsafe(9)
        user, _created = User.objects.get_or_create(username=username)
        user.display_name, user.language = name, language
        user.set_password(password)
        user.save()
        users[username] = user
        rows.append({"username": username, "password": password, "role": role.value})
    password = secrets.token_urlsafe(9)
    operator, _created = User.objects.get_or_create(username="operator")
    operator.is_staff = operator.is_superuser = True
    operator.display_name = "Operator"
    operator.set_password(password)
    operator.save()
    rows.append({"username": "operator", "password": password, "role": "admin"})
    path = logins_path()
    path.touch(mode=0o600)
    path.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return users


def _project(manager: User) -> Project:
    project = project_create(
        name="Demo · 示例",
        slug=SLUG,
        created_by=manager,
        description="Our own sample: ninety prompts in English and Chinese, four imaginary models, simulated labelers.",
        guidelines=f"{guidelines('en')}\n\n---\n\n{guidelines('zh')}",
        scheme=scheme_json("both"),
        overlap=2,
    )
    for username, _name, role, _language in PEOPLE:
        user = User.objects.get(username=username)
        Membership.objects.get_or_create(project=project, user=user, defaults={"role": role})
    return project


def _import_sample(project: Project, manager: User) -> None:
    with SAMPLE_PATH.open("rb") as handle:
        _import(project, manager, SAMPLE_PATH.name, read_chunks(handle))


def _import_known(project: Project, number: str, use: ComparisonUse, manager: User) -> None:
    """Known outcomes come in as from any file, and are put to this use."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in known_rows(number))
    _import(project, manager, f"{use}.jsonl", (line.encode() for line in lines))
    known = list(known_comparisons(project).values_list("pk", flat=True))
    checks_mark(project=project, comparison_ids=known, use=use, actor=manager)


def _import(project: Project, manager: User, name: str, chunks: Iterable[bytes]) -> None:
    row = import_create(
        project=project,
        file_name=name,
        stored=upload_store(chunks),
        options=ImportOptions(),
        created_by=manager,
    )
    run_job(row.job_uid)
    row.refresh_from_db()
    import_confirm(row, actor=manager)
    row.refresh_from_db()
    run_job(row.job_uid)


def _truth() -> Callable[[Comparison], Perceived]:
    known = truth_by_text()

    def perceive(comparison: Comparison) -> Perceived:
        a, b = known[comparison.response_a.text], known[comparison.response_b.text]
        return Perceived(a.quality, b.quality, a.flaw, b.flaw)

    return perceive


def _train(project: Project, manager: User, kind: str, config: dict[str, Any] | None = None) -> TrainingRun:
    run = training_start(
        project=project, kind=kind, config=config, snapshot_config=GROUPS, created_by=manager
    )
    run_job(run.job_uid)
    return TrainingRun.objects.select_related("snapshot").get(pk=run.pk)


def _judge(project: Project, run: TrainingRun, manager: User) -> None:
    """Two real judges that need no download: one compiled from the training labels, and the champion itself."""
    assert run.snapshot is not None
    everything = Selection(kind="all")
    judge_sample(local_judge(project, run.snapshot, created_by=manager), everything, created_by=manager)
    spec = VersionSpec(engine=EngineKind.SCORER, model="reward-model")
    judge_sample(
        judge_create(project=project, name="Reward model as judge", spec=spec, created_by=manager),
        everything,
        created_by=manager,
    )


def _compare_snapshots(project: Project, manager: User) -> None:
    """What changed between what the first model and what the last one learned from."""
    ready = project.snapshots.filter(state=SnapshotState.READY)
    older, newer = ready.earliest("number"), ready.latest("number")
    run_job(diff_start(older=older, newer=newer, created_by=manager).job_uid)


__all__ = ["LOCAL_JUDGE", "demo_exists", "demo_logins", "make_demo"]
