"""Settings of the tests: the app's own, in a data folder of this test process alone.

CHOSEN_TEST_DATABASE=sqlite (default) runs embedded: SQLite and the filesystem broker. With `postgres` it
runs in production mode on the PostgreSQL and Redis of `tests/servers.py`, which a session fixture starts
before first use.
"""

import os

from tests.places import data_dir, postgres_socket_dir, redis_database, redis_socket

_DATA_DIR = data_dir()
(_DATA_DIR / "static").mkdir(parents=True, exist_ok=True)
# Processes that tests start (workers, web servers) read the same environment, and so meet in one database.
os.environ["CHOSEN_DATA_DIR"] = str(_DATA_DIR)
if os.environ.setdefault("CHOSEN_TEST_DATABASE", "sqlite") == "postgres":
    os.environ["DATABASE_URL"] = f"postgresql://chosen@/{postgres_socket_dir()}/{_DATA_DIR.parent.name}"
    os.environ["CELERY_BROKER_URL"] = f"redis+socket://{redis_socket()}?virtual_host={redis_database()}"
    os.environ.setdefault("SECRET_KEY", "a-key-for-tests-alone-not-secret-at-all-0123456789")
    os.environ.setdefault("ALLOWED_HOSTS", "localhost,127.0.0.1,testserver")
    os.environ.setdefault("CHOSEN_HTTPS", "0")
    os.environ.setdefault("CHOSEN_STATIC_MANIFEST", "0")

from webapp.settings import *  # noqa: E402, F403
from webapp.settings import DATABASES  # noqa: E402

# The test database bears the name that DATABASE_URL (or the embedded default) gives, see the note above.
DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
