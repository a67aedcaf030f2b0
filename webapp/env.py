"""Typed readers of the environment. A bad value stops the start with a sentence that says what to write."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import cast

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()


def read_bool(name: str, *, default: bool) -> bool:
    raw = env.str(name, default="")
    if not raw:
        return default
    lowered = raw.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={raw!r} is not a boolean; write 1 or 0.")


def read_int(name: str, *, default: int, minimum: int | None = None) -> int:
    raw = env.str(name, default="")
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r} is not a whole number.") from None
    if minimum is not None and value < minimum:
        raise ImproperlyConfigured(f"{name}={value} is below the least allowed value {minimum}.")
    return value


def read_choice(name: str, *, default: str, choices: tuple[str, ...]) -> str:
    """One of a few words."""
    value: str = env.str(name, default="") or default
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is none of {', '.join(choices)}.")
    return value


def read_list(name: str, *, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated list; blanks are dropped."""
    raw = env.str(name, default="")
    return [item.strip() for item in raw.split(",") if item.strip()] if raw else list(default)


def read_path(name: str, *, default: Path) -> Path:
    raw = env.str(name, default="")
    return Path(raw).expanduser().resolve() if raw else default


def read_database(name: str, *, default_sqlite: Path) -> dict[str, object]:
    """Django's database settings from a URL: PostgreSQL with its pool, or SQLite tuned for one machine.

    SQLite runs in WAL mode with immediate transactions, so that writers queue instead of failing.
    """
    raw = env.str(name, default="")
    if not raw:
        config: dict[str, object] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(default_sqlite)}
    else:
        try:
            config = dict(env.db_url_config(raw))
        except Exception as error:
            raise ImproperlyConfigured(f"{name} is not a database URL: {error}") from None
    engine = str(config["ENGINE"])
    if engine.endswith("sqlite3"):
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-64000;"
                " PRAGMA temp_store=MEMORY; PRAGMA mmap_size=268435456;"
            ),
        }
        return config
    if not engine.endswith("postgresql"):
        raise ImproperlyConfigured(f"{name} must be a postgresql:// or sqlite:/// URL, not {engine}.")
    # A worker of 4 threads holds two connections for each job (its own, its lease's) and one beside them.
    pool_size = read_int("CHOSEN_DATABASE_POOL", default=16, minimum=1)
    said = cast(dict[str, object], config.get("OPTIONS") or {})
    config["OPTIONS"] = said | {
        "pool": {"min_size": 0, "max_size": pool_size, "timeout": 20},
        # How often a statement of webapp/kept runs until the server keeps its plan. Poolers that give each transaction
        # another connection cannot have that.
        "prepare_threshold": 3 if read_bool("CHOSEN_DATABASE_PREPARE", default=True) else None,
    }
    config["CONN_HEALTH_CHECKS"] = True
    return config


def read_caches(name: str, *, broker: str) -> dict[str, dict[str, object]]:
    """Django's caches: `default` in the Redis of this URL or, without one, of the broker; else in memory.

    `pages` is in each process's memory always (see caches.py).
    """
    url = env.str(name, default="") or (broker if broker.startswith(("redis", "unix")) else "")
    memory: dict[str, object] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if not url:
        return {"default": memory, "pages": memory | {"LOCATION": "pages"}}
    if not url.startswith(("redis://", "rediss://", "unix://", "redis+socket://")):
        raise ImproperlyConfigured(f"{name} must be a redis://, rediss:// or unix:// URL.")
    # Celery's way to name a socket, and how far a certificate is checked.
    url = url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")
    url = re.sub(r"(?<=ssl_cert_reqs=)CERT_(REQUIRED|OPTIONAL|NONE)", lambda m: m[1].lower(), url)
    shared: dict[str, object] = {
        "BACKEND": "webapp.caches.SharedCache",
        "LOCATION": url,
        "KEY_PREFIX": "chosen",
        "OPTIONS": {
            "serializer": "webapp.caches.JsonSerializer",
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
        },
    }
    return {"default": shared, "pages": memory}


def read_secret_key(name: str, *, embedded: bool, data_dir: Path) -> str:
    """The secret key: from the environment, or (embedded only) made at first boot and kept in the data folder."""
    value: str = env.str(name, default="")
    if value:
        if len(value) < 32:
            raise ImproperlyConfigured(f"{name} must have at least 32 characters.")
        return value
    if not embedded:
        raise ImproperlyConfigured(
            f"{name} is required in production; set it to 50 or more random characters."
        )
    path = data_dir / "secret_key"
    try:
        with path.open("x", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    key = path.read_text(encoding="ascii")
    if len(key) < 32:
        raise ImproperlyConfigured(f"{path} is damaged; delete it to have a new key made.")
    return key
