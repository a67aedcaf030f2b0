"""The container's entry point and the Procfile, run as they are run in earnest."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import yaml

from tests.places import run_dir
from tests.processes import ROOT, Process, free_port
from tests.servers import RedisServer, SharedServers, wait_until

BIN = Path(sys.executable).parent
ENTRY = str(ROOT / "docker" / "entrypoint.sh")
STOP_S = 15.0
START_S = 90.0


def clean_env(**values: str) -> dict[str, str]:
    """What a container has: nothing of this test's own environment but the way to the programs."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        **values,
    }


class Role(Process):
    """A process with exactly the environment that it was given."""

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, ready: Callable[[], object], what: str) -> None:
        def check() -> bool:
            assert self.is_alive(), f"{self.command} ended:\n{self.output[-3000:]}"
            return bool(ready())

        try:
            wait_until(check, timeout_s=START_S, what=what)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.output[-3000:]}") from error

    def family(self) -> list[psutil.Process]:
        me = psutil.Process(self.pid)
        return [me, *me.children(recursive=True)]

    def ends(self, number: signal.Signals, *, whole_group: bool = False) -> None:
        """The signal ends the process and every one that it started, within STOP_S seconds."""
        family = self.family()
        if whole_group:
            os.killpg(self.pid, number)
        else:
            self.send(number)
        assert self.process is not None
        try:
            self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.command} does not end by {number.name}:\n{self.output[-3000:]}"
            ) from None
        _gone, left = psutil.wait_procs(family[1:], timeout=STOP_S)
        assert left == []


def answer(url: str) -> tuple[int, dict[str, str], str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, dict(response.headers), response.read().decode()
    except OSError:
        return 0, {}, ""


def run(*command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=180, check=False
    )


# --- the container's roles, on PostgreSQL and Redis -------------------------------------------------------


@dataclass
class Production:
    env: dict[str, str]
    database: str
    folder: Path
    redis: RedisServer

    def rows(self, query: str) -> list[tuple]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(query).fetchall()

    def python(self, code: str) -> str:
        """What a piece of code prints, run inside of the app with the environment of the containers."""
        done = run("python", "manage.py", "shell", "--verbosity", "0", "-c", code, env=self.env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def production(servers: SharedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """A migrated database, a broker, and static files that were collected as the image's build collects them."""
    folder, name = tmp_path_factory.mktemp("production"), f"entry_{os.getpid()}"
    socket_dir = servers.postgres()
    admin = f"host={socket_dir} user=chosen dbname="
    with psycopg.connect(f"{admin}postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    redis = RedisServer(run_dir() / f"entry-{os.getpid()}" / "s.sock")
    redis.start()
    env = clean_env(
        DATABASE_URL=f"postgresql://chosen@/{socket_dir}/{name}",
        CELERY_BROKER_URL=redis.url,
        SECRET_KEY="a-key-for-tests-alone-not-secret-at-all-0123456789-abcdefghijk",
        ALLOWED_HOSTS="127.0.0.1",
        CHOSEN_HTTPS="0",
        CHOSEN_DATA_DIR=str(folder / "data"),
        CHOSEN_STATIC_ROOT=str(folder / "static"),
        CHOSEN_JOB_REAP_S="1",
    )
    build = {"DATABASE_URL": "postgresql://build/build", "CHOSEN_DATA_DIR": str(folder / "build")}
    built = run("python", "manage.py", "collectstatic", "--noinput", env=env | build)
    assert built.returncode == 0, built.stderr
    migrated = run(ENTRY, "migrate", env=env)
    assert migrated.returncode == 0, migrated.stderr
    yield Production(env, f"{admin}{name}", folder, redis)
    redis.stop()
    with psycopg.connect(f"{admin}postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def role(production: Production, tmp_path: Path) -> Iterator[Callable[..., Role]]:
    """`role("worker", "gpu")`: the entry point in that role."""
    started: list[Role] = []

    def start(*words: str, **env: str) -> Role:
        process = Role([ENTRY, *words], tmp_path / f"{'-'.join(words)}.log", production.env | env)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.stop()


@pytest.mark.postgres
def test_web_serves_the_log_in_page_and_hashed_static_files(role):
    port = str(free_port())
    web = role("web", PORT=port, WEB_WORKERS="1")
    url = f"http://127.0.0.1:{port}"
    web.wait(lambda: answer(f"{url}/health")[0] == 200, "the web server")
    status, headers, page = answer(f"{url}/account/login/")
    assert status == 200
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert files
    assert all(re.search(r"\.[0-9a-f]{12}\.", file) for file in files), files
    for file in files:
        status, headers, _content = answer(url + file)
        assert (status, "immutable" in headers["Cache-Control"]) == (200, True), file
    web.ends(signal.SIGTERM)


WORLD = """
from tests.workers.app.world import make_world
from labeling.services.snapshots import snapshot_create
print(snapshot_create(project=make_world(labeled=60, unlabeled=5, slug="entry").project).job_uid)
"""
TRAIN = """
from labeling.models import Project
from workers.services.training import training_start
print(training_start(project=Project.objects.get(slug="entry"), kind="starter").job_uid)
"""
JUDGE = """
from judging.selectors.selection import Selection
from judging.services.judges import VersionSpec, judge_create
from judging.services.runs import run_start
from labeling.models import Project
project = Project.objects.get(slug="entry")
version = judge_create(project=project, name="scorer", spec=VersionSpec(engine="scorer", model="reward-model"))
print(run_start(version=version, selection=Selection(kind="all")).job_uid)
"""


@pytest.mark.postgres
def test_the_workers_do_the_jobs_of_their_queues(production, role):
    """A snapshot on `default`, a training on `gpu`, a judge's run on `judge`: each by its own container."""
    for queue, code in (("default", WORLD), ("gpu", TRAIN), ("judge", JUDGE)):
        worker = role("worker", queue)
        worker.wait(lambda worker=worker: " ready." in worker.output, f"the worker of {queue}")
        uid = production.python(code)
        state = f"SELECT state, queue FROM jobs_job WHERE uid = '{uid}'"
        worker.wait(
            lambda state=state: production.rows(state)[0][0] not in ("queued", "running"), f"job of {queue}"
        )
        log = f"SELECT error, log_tail FROM jobs_job WHERE uid = '{uid}'"
        assert production.rows(state) == [("done", queue)], production.rows(log)
        beats = production.rows("SELECT queues FROM jobs_workerbeat ORDER BY id DESC LIMIT 1")
        assert queue in json.dumps(beats[0][0])
        worker.ends(signal.SIGTERM)
    assert production.rows("SELECT count(*) FROM workers_rewardmodel") == [(1,)]
    assert production.rows("SELECT count(*) > 0 FROM judging_verdict WHERE status = 'ok'") == [(True,)]


@pytest.mark.postgres
def test_beat_writes_its_schedule_and_keeps_to_it(production, role):
    beat = role("beat")
    beat.wait(lambda: "due task jobs.reap" in beat.output, "the first run of the schedule")
    beat.ends(signal.SIGTERM)
    # The scheduler writes what it has sent when it ends.
    query = "SELECT name, total_run_count FROM django_celery_beat_periodictask WHERE enabled"
    counts = dict(production.rows(query))
    assert {"jobs.reap", "labeling.release_leases", "workers.retrain_tick"} <= set(counts)
    assert counts["jobs.reap"] >= 1


@pytest.mark.postgres
@pytest.mark.parametrize("turn", range(3))
def test_a_signal_that_comes_while_beat_is_sending_ends_it(production, role, turn):
    """Redis takes what beat sends and keeps its answer back, so that beat is in the middle of sending. With Celery's
    own handler the signal was lost there: "Couldn't apply scheduled task", and beat went on."""
    beat, redis = role("beat"), production.redis.client()
    beat.wait(lambda: "due task jobs.reap" in beat.output, "the first run of the schedule")
    redis.client_pause(60_000, all=False)
    try:
        beat.wait(lambda: any("b" in client["flags"] for client in redis.client_list()), "a send that waits")
        beat.ends(signal.SIGTERM)
    finally:
        redis.client_unpause()
    assert "Couldn't apply" not in beat.output
    assert "Traceback" not in beat.output


@pytest.mark.postgres
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_beat_ends_while_the_broker_is_away(role, tmp_path, number):
    beat = role("beat", CELERY_BROKER_URL=f"redis+socket://{tmp_path}/nobody.sock")
    beat.wait(lambda: "Connection error" in beat.output, "the first try")
    beat.ends(number)


@pytest.mark.postgres
def test_check_deploy_has_nothing_to_say(production):
    env = {name: value for name, value in production.env.items() if name != "CHOSEN_HTTPS"}
    done = run("python", "manage.py", "check", "--deploy", "--fail-level", "WARNING", env=env)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    ("missing", "says"), [("SECRET_KEY", "SECRET_KEY is required"), ("ALLOWED_HOSTS", "ALLOWED_HOSTS")]
)
def test_production_does_not_start_without_what_has_no_safe_default(tmp_path, missing, says):
    env = clean_env(
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        SECRET_KEY="a-key-for-tests-alone-not-secret-at-all-0123456789-abcdefghijk",
        ALLOWED_HOSTS="127.0.0.1",
        CHOSEN_DATA_DIR=str(tmp_path),
    )
    del env[missing]
    done = run("python", "manage.py", "check", "--deploy", "--fail-level", "WARNING", env=env)
    assert done.returncode != 0
    assert says in done.stderr


def test_the_entry_point_runs_what_compose_asks_for():
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    asked = {
        tuple(service["command"]) for name, service in services.items() if name not in ("postgres", "redis")
    }
    tried = {("migrate",), ("web",), ("beat",), *(("worker", queue) for queue in ("default", "judge", "gpu"))}
    assert asked == tried


def test_any_other_word_is_a_command_of_its_own(tmp_path):
    done = run(ENTRY, "python", "-c", "print(6 * 7)", env=clean_env())
    assert (done.returncode, done.stdout) == (0, "42\n")


# --- one machine: honcho and the Procfile, embedded -------------------------------------------------------


def names_of(role: Role) -> set[str]:
    """Which of the Procfile's programs run among the process's children."""
    lines = [" ".join(process.cmdline()) for process in role.family() if process.is_running()]
    marks = {
        "web": "gunicorn",
        "worker": "worker --hostname default@",
        "models": "worker --hostname models@",
        "beat": "webapp beat",
    }
    return {name for name, mark in marks.items() if any(mark in line for line in lines)}


def test_long_jobs_of_judges_and_models_leave_imports_and_snapshots_a_worker_of_their_own(settings):
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    served = [match[1].split(",") for line in lines if (match := re.search(r"--queues (\S+)", line))]
    assert ["default"] in served
    assert {queue for queues in served for queue in queues} == {
        kind["queue"] for kind in settings.JOB_KINDS.values()
    }
    isolated = {name: kind["queue"] for name, kind in settings.JOB_KINDS.items() if kind.get("isolated")}
    # Neither loads weights, both take seconds, and somebody waits for them.
    assert {name for name, queue in isolated.items() if queue == "default"} == {
        "reward.preview",
        "import.check",
    }
    assert set(isolated.values()) == {"judge", "gpu", "default"}


def test_honcho_starts_web_workers_and_beat_and_ctrl_c_ends_them_all(tmp_path):
    if not (ROOT / ".venv" / "bin" / "honcho").exists():
        pytest.skip("the Procfile's programs are in .venv, which `make` sets up")
    port, data = str(free_port()), tmp_path / "data"
    env = clean_env(CHOSEN_DATA_DIR=str(data), PORT=port, CHOSEN_JOB_REAP_S="1")
    assert run("python", "manage.py", "migrate", "--verbosity", "0", env=env).returncode == 0
    honcho = Role([str(ROOT / ".venv/bin/honcho"), "start"], tmp_path / "honcho.log", env)
    honcho.start()
    try:
        honcho.wait(lambda: answer(f"http://127.0.0.1:{port}/account/login/")[0] == 200, "the web server")
        honcho.wait(lambda: names_of(honcho) == {"web", "worker", "models", "beat"}, "all four")
        code = WORLD.replace("print(", "from webapp.jobs.models import Job; print(")
        uid = run("python", "manage.py", "shell", "--verbosity", "0", "-c", code, env=env).stdout.split()[-1]
        state = f"from webapp.jobs.models import Job; print(Job.objects.get(uid='{uid}').state)"

        def is_done() -> bool:
            asked = run("python", "manage.py", "shell", "--verbosity", "0", "-c", state, env=env)
            return asked.stdout.split()[-1:] == ["done"]

        honcho.wait(is_done, "the snapshot's job")
        # Ctrl-C goes to the whole foreground group of a terminal.
        honcho.ends(signal.SIGINT, whole_group=True)
    finally:
        honcho.stop()
    assert (data / "chosen.sqlite3").exists()
    assert "Traceback" not in honcho.output, honcho.output[-3000:]
