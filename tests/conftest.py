"""Fixtures that every part's tests share: servers, the database under test, real processes, a real browser.

What is started for the whole run (PostgreSQL, Redis) is in servers.py, single processes in processes.py,
rows to test on in factories.py. A test names what it needs; nothing is started that no test asks for.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.places import data_dir, run_dir
from tests.processes import WebProcess, WorkerProcess
from tests.servers import RedisServer, SharedServers, sweep_dead_runs

IS_POSTGRES = os.environ.get("CHOSEN_TEST_DATABASE", "sqlite") == "postgres"
NEEDS_SERVERS = {"db", "transactional_db", "servers", "broker", "redis_server"}


def pytest_configure(config: pytest.Config) -> None:
    """xdist's controller and each of its workers announce themselves; the last to end clears up."""
    servers = SharedServers()
    servers.enter()
    config.stash[SERVERS] = servers
    if not hasattr(config, "workerinput"):
        sweep_dead_runs()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[SERVERS].leave()


SERVERS = pytest.StashKey[SharedServers]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that need PostgreSQL say so with the marker `postgres` and run only when it is under test. There, tests
    that ask for no database and no server are left out: they say the same as on SQLite, where all run.

    A journey has a second try, which the run's last lines name: a browser, a server and another test run share the
    machine's two cores, and what a real fault breaks is broken twice.
    """
    skip = pytest.mark.skip(reason="needs CHOSEN_TEST_DATABASE=postgres")
    for item in items:
        if item.get_closest_marker("journey"):
            item.add_marker(pytest.mark.flaky(reruns=1))
        if item.get_closest_marker("postgres") and not IS_POSTGRES:
            item.add_marker(skip)
    if IS_POSTGRES:
        config.hook.pytest_deselected(items=[item for item in items if not needs_servers(item)])
        items[:] = [item for item in items if needs_servers(item)]


def needs_servers(item: pytest.Item) -> bool:
    """Whether a test asks for the database or for what stands beside it."""
    is_marked = any(item.get_closest_marker(name) for name in ("django_db", "postgres"))
    return is_marked or not NEEDS_SERVERS.isdisjoint(getattr(item, "fixturenames", ()))


# --- servers ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> SharedServers:
    return pytestconfig.stash[SERVERS]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: SharedServers) -> None:
    """Start PostgreSQL before its test database is made, and Redis, where limits are counted.

    Each xdist worker has a database of its own by tests/settings.py, so pytest-django's suffix is not wanted.
    """
    if IS_POSTGRES:
        servers.postgres()
        servers.redis()


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this test alone, to be flushed and killed."""
    folder = run_dir() / f"redis-{os.getpid()}"
    server = RedisServer(folder / "s.sock")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def broker(servers: SharedServers) -> None:
    """The broker of the database under test, empty: Redis beside PostgreSQL, folders beside SQLite."""
    if IS_POSTGRES:
        from tests.places import redis_database

        client = servers.redis().client()
        client.select(redis_database())
        client.flushdb()
        return
    for folder in ("queue", "control"):
        shutil.rmtree(data_dir() / "broker" / folder, ignore_errors=True)
        (data_dir() / "broker" / folder).mkdir(parents=True)


# --- real processes beside the test -----------------------------------------------------------------------

_numbers = itertools.count(1)


@pytest.fixture
def worker_process(
    broker: None, transactional_db: None, tmp_path: Path
) -> Iterator[Callable[..., WorkerProcess]]:
    """Start real Celery workers on the test's database: `worker_process(queues="default", env={...})`.

    The worker reads the same rows as the test, which is not wrapped in a transaction. It is stopped at the
    end.
    """
    started: list[WorkerProcess] = []

    def start(
        *,
        queues: str = "default,judge,gpu",
        pool: str = "threads",
        concurrency: int = 2,
        env: dict[str, str] | None = None,
        wait: bool = True,
    ) -> WorkerProcess:
        worker = WorkerProcess(
            tmp_path / f"worker-{next(_numbers)}.log",
            queues=queues,
            pool=pool,
            concurrency=concurrency,
            env=env or {},
        )
        started.append(worker)
        worker.start()
        if wait:
            worker.wait_until_ready()
        return worker

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture
def web_process(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., WebProcess]]:
    """Start gunicorn on the test's database: `web_process(env={...}).url`."""
    started: list[WebProcess] = []

    def start(*, env: dict[str, str] | None = None) -> WebProcess:
        web = WebProcess(tmp_path / f"web-{next(_numbers)}.log", env=env or {})
        started.append(web)
        web.start()
        web.wait_until_ready()
        return web

    yield start
    for web in started:
        web.stop()


# --- a real browser ---------------------------------------------------------------------------------------

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """A headless Chromium (playwright's `Browser`): the machine's, else Playwright's own."""
    from playwright.sync_api import sync_playwright

    # Playwright runs an event loop in this thread, which Django would take for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS, headless=True)
        yield browser
        browser.close()
