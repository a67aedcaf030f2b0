"""A throw-away PostgreSQL for a benchmark, and the app set up on it.

The server keeps its promises (fsync, synchronous commits); only its memory is set. `BENCH_DATABASE_URL` names another
one to use instead: an empty database, which is filled and not emptied again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import start_postgres, stop_postgres

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "40",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}


@contextmanager
def app_on_postgres() -> Iterator[Path]:
    """Django set up on an empty, migrated PostgreSQL; gives the folder of its data. The server ends with the block."""
    with tempfile.TemporaryDirectory(prefix="chosen-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        url = os.environ.get("BENCH_DATABASE_URL", "")
        if url:
            _set_up(url, folder)
            yield folder
            return
        start_postgres(folder / "pg", SETTINGS)
        try:
            _set_up(f"postgresql://chosen@/{folder / 'pg'}/postgres", folder)
            yield folder
            _close()
        finally:
            stop_postgres(folder / "pg")


def _set_up(url: str, folder: Path) -> None:
    os.environ |= {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "SECRET_KEY": "a key of this benchmark alone, which nothing else will ever use",
        "ALLOWED_HOSTS": "localhost",
        "CELERY_BROKER_URL": "filesystem://",
        "CHOSEN_DATA_DIR": str(folder / "app"),
        "CHOSEN_LOG_LEVEL": "WARNING",
        "CHOSEN_STATIC_MANIFEST": "0",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _close() -> None:
    from django.db import connections

    connections.close_all()
