"""Settings of every process. All of them come from the environment through typed readers (see env.py).

Without DATABASE_URL the app runs embedded: SQLite, a filesystem broker and generated secrets under
CHOSEN_DATA_DIR. With DATABASE_URL it runs in production mode and refuses to start without its secrets.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from webapp.env import (
    env,
    read_bool,
    read_caches,
    read_choice,
    read_database,
    read_int,
    read_list,
    read_path,
    read_secret_key,
)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = read_path("CHOSEN_DATA_DIR", default=BASE_DIR / "var")
DATA_DIR.mkdir(parents=True, exist_ok=True)

EMBEDDED = not env.str("DATABASE_URL", default="")
DEBUG = read_bool("CHOSEN_DEBUG", default=False)
SECRET_KEY = read_secret_key("SECRET_KEY", embedded=EMBEDDED, data_dir=DATA_DIR)
ALLOWED_HOSTS = read_list(
    "ALLOWED_HOSTS", default=("localhost", "127.0.0.1", "[::1]", "testserver") if EMBEDDED else ()
)
CSRF_TRUSTED_ORIGINS = read_list("CSRF_TRUSTED_ORIGINS")
HTTPS = read_bool("CHOSEN_HTTPS", default=not EMBEDDED)

# --- Chosen's own settings -------------------------------------------------------------------------------
OUTBOUND_ALLOW = read_list("CHOSEN_OUTBOUND_ALLOW")
TRUST_REMOTE_CODE = read_list("CHOSEN_TRUST_REMOTE_CODE")
# What stored API keys of judge endpoints are encrypted with; without it a key made from SECRET_KEY is used.
ENCRYPTION_KEY = env.str("CHOSEN_ENCRYPTION_KEY", default="")
# Folders, beside DATA_DIR/judges, under which a local judge's model folder may lie.
MODEL_DIRS = read_list("CHOSEN_MODEL_DIRS")
# What runs a transformer when a worker scores responses; vLLM wants a GPU and the extra `vllm`.
SCORING_ENGINE = read_choice(
    "CHOSEN_SCORING_ENGINE", default="transformers", choices=("transformers", "vllm")
)
UPLOAD_MAX_BYTES = read_int("CHOSEN_UPLOAD_MAX_MB", default=4096, minimum=1) * 1024 * 1024
JOB_LEASE_S = read_int("CHOSEN_JOB_LEASE_S", default=60, minimum=2)
JOB_HEARTBEAT_S = read_int("CHOSEN_JOB_HEARTBEAT_S", default=10, minimum=1)
JOB_REAP_S = read_int("CHOSEN_JOB_REAP_S", default=15, minimum=1)
JOB_RETRY_S = read_int("CHOSEN_JOB_RETRY_S", default=5, minimum=0)
JOB_STOP_GRACE_S = read_int("CHOSEN_JOB_STOP_GRACE_S", default=30, minimum=1)

# Every kind of job by name: the handler as a dotted path, its queue, whether it runs in a process of its own.
JOB_KINDS = {
    # huggingface_hub is on the machines of this queue alone.
    "import.fetch": {
        "handler": "labeling.importing.tasks.fetch_import",
        "queue": "gpu",
        "isolated": True,
        "on_ended": "labeling.importing.tasks.import_job_ended",
    },
    # A damaged Parquet file may end the process that reads it.
    "import.check": {
        "handler": "labeling.importing.tasks.check_import",
        "queue": "default",
        "isolated": True,
        "on_ended": "labeling.importing.tasks.import_job_ended",
    },
    "import.write": {
        "handler": "labeling.importing.tasks.write_import",
        "queue": "default",
        "on_ended": "labeling.importing.tasks.import_job_ended",
    },
    "snapshot.make": {
        "handler": "labeling.snapshots.tasks.make_snapshot",
        "queue": "default",
        "on_ended": "labeling.snapshots.tasks.snapshot_ended",
    },
    "items.bulk": {"handler": "labeling.services.bulk.bulk_execute", "queue": "default"},
    "snapshot.diff": {
        "handler": "labeling.snapshots.tasks.make_diff",
        "queue": "default",
        "on_ended": "labeling.snapshots.tasks.diff_ended",
    },
    "quality.fit": {"handler": "labeling.quality_tasks.fit_reliability", "queue": "default"},
    "judge.run": {"handler": "judging.tasks.run_judge", "queue": "judge", "isolated": True},
    "judge.train_local": {"handler": "judging.tasks.train_local_judge", "queue": "gpu", "isolated": True},
    "reward.train": {
        "handler": "workers.tasks.run_training",
        "queue": "gpu",
        "isolated": True,
        "on_ended": "workers.services.training.job_ended",
    },
    "reward.score": {"handler": "workers.tasks.score_responses", "queue": "gpu", "isolated": True},
    "reward.evaluate": {"handler": "workers.tasks.evaluate_model", "queue": "gpu", "isolated": True},
    "reward.compare": {"handler": "workers.tasks.compare_models", "queue": "gpu", "isolated": True},
    # No weights are loaded, and somebody waits: it does not stand behind a training.
    "reward.preview": {"handler": "workers.tasks.preview_text", "queue": "default", "isolated": True},
}
# How the ground storey asks the storey above whether a person may see a project's jobs.
PROJECT_ACCESS = "labeling.access.project_by_id"
# ... which projects a person may view, and what a page of a project needs.
PROJECTS_VIEWED = "labeling.access.projects_viewed"
PROJECT_CONTEXT = "labeling.pages.project_context"
# ... which projects a person is a member of at all, in whatever role.
PROJECTS_ENTERED = "labeling.access.projects_of"
# ... a project's address and who manages it, by its number.
PROJECT_MANAGERS = "labeling.selectors.managers.project_managers"
# Panels of the operators' dashboard that the storeys above contribute.
DASHBOARD_PANELS = ["labeling.selectors.dashboard.labels_panel"]
# Scalar models that can be shown as judges: name -> dotted path of a callable (see judging/engines).
PAIR_SCORERS = {"reward-model": "workers.judge_bridge.pair_probabilities"}
# From which snapshot such a model was trained: project id -> snapshot number. Its figures leave those labels out.
PAIR_SCORER_SNAPSHOTS = {"reward-model": "workers.judge_bridge.champion_snapshot"}

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "csp",
    "rest_framework",
    "django_filters",
    "knox",
    "drf_spectacular",
    "django_celery_beat",
    "webapp.users",
    "webapp.audit",
    "webapp.jobs",
    "webapp.notices",
    "webapp.webhooks",
    "webapp.ui",
    "labeling",
    "judging",
    "workers",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "webapp.middleware.NoNulMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "webapp.middleware.ContentPolicyMiddleware",
    "webapp.ui.health.HealthMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "webapp.users.middleware.UserLocaleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "webapp.users.middleware.SentTooLateMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "webapp.urls"
WSGI_APPLICATION = "webapp.wsgi.application"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
        },
    },
]

# --- Database ---------------------------------------------------------------------------------------------
DATABASES = {"default": read_database("DATABASE_URL", default_sqlite=DATA_DIR / "chosen.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People -----------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "webapp.users.passwords.LongEnoughValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "webapp.users.adapter.ClosedSignupAdapter"
ACCOUNT_FORMS = {"login": "webapp.users.log_in.LogInForm"}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
LOGIN_URL = reverse_lazy("account_login")
LOGIN_REDIRECT_URL = "/"
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="django.core.mail.backends.console.EmailBackend")

# --- Security ---------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^health$"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "uploads" / "incoming"
FILE_UPLOAD_TEMP_DIR.mkdir(parents=True, exist_ok=True)

# --- Jobs: the database is the truth, Celery only wakes a worker -------------------------------------------
_broker_dir = DATA_DIR / "broker"
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="filesystem://localhost")
if CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_TRANSPORT = "webapp.jobs.broker:Transport"
    for _name in ("queue", "control"):
        (_broker_dir / _name).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker_dir / "queue"),
        "data_folder_out": str(_broker_dir / "queue"),
        "control_folder": str(_broker_dir / "control"),
        "polling_interval": 0.1,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_MAX_LOOP_INTERVAL = 1  # seconds until beat sees that it is to end (webapp/jobs/beat_hooks.py)
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_SCHEDULE = {
    "jobs.reap": {"task": "jobs.reap", "schedule": timedelta(seconds=JOB_REAP_S)},
    "labeling.remove_leftovers": {
        "task": "labeling.remove_leftovers",
        "schedule": timedelta(minutes=5),
    },
    "labeling.release_leases": {"task": "labeling.release_leases", "schedule": timedelta(seconds=30)},
    # It works for twenty seconds at most: what comes while it does is dropped.
    "labeling.search_tick": {
        "task": "labeling.search_tick",
        "schedule": timedelta(seconds=30),
        "options": {"expire_seconds": 30},
    },
    "labeling.batches_tick": {"task": "labeling.batches_tick", "schedule": timedelta(minutes=5)},
    "workers.retrain_tick": {"task": "workers.retrain_tick", "schedule": timedelta(seconds=60)},
    # What no worker could take within its five seconds is sent again: no pile of messages behind a long job.
    "webhooks.deliver": {
        "task": "webhooks.deliver",
        "schedule": timedelta(seconds=5),
        "options": {"expire_seconds": 5},
    },
    "webhooks.sweep": {"task": "webhooks.sweep", "schedule": timedelta(hours=1)},
    "notices.sweep": {"task": "notices.sweep", "schedule": timedelta(days=1)},
}

# --- Limits of log-ins and requests, counted by address or person, for all processes where there is a Redis ---
CACHES = read_caches("CHOSEN_CACHE_URL", broker=CELERY_BROKER_URL)
# How many proxies of ours stand before the app. Only so many entries of X-Forwarded-For are believed; 0 is none.
ALLAUTH_TRUSTED_PROXY_COUNT = PROXIES = read_int("CHOSEN_PROXIES", default=0, minimum=0)

# --- REST -------------------------------------------------------------------------------------------------
KNOX_TOKEN_MODEL = "users.ApiToken"  # noqa: S105 - a model, not a token
# Knox's own token table is never used; with its migrations PostgreSQL would keep an empty one that refers to users.
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {"TOKEN_TTL": timedelta(days=90), "AUTH_HEADER_PREFIX": "Bearer", "TOKEN_PREFIX": "chosen_"}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.users.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "webapp.api.permissions.HasTokenScope",
    ],
    "DEFAULT_RENDERER_CLASSES": ["webapp.api.renderers.OrjsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "webapp.api.renderers.QuickNegotiation",
    "DEFAULT_PAGINATION_CLASS": "webapp.api.pagination.IdCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "webapp.api.schema.DescribedSchema",
    "EXCEPTION_HANDLER": "webapp.api.errors.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["webapp.api.throttling.WindowThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": env.str("CHOSEN_API_RATE", default="6000/min")},
    "PAGE_SIZE": 50,
    "NUM_PROXIES": PROXIES,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Chosen",
    "DESCRIPTION": "Human feedback, judges and reward models in one loop.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    # Names of choices whose fields are all called state, kind, side or outcome.
    "ENUM_NAME_OVERRIDES": {
        "JobStateEnum": "webapp.jobs.models.JobState",
        "LabelerKindEnum": "labeling.models.projects.LabelerKind",
        "OutcomeEnum": "labeling.models.items.Outcome",
        "ModelKindEnum": "workers.models.reward_models.ModelKind",
        "ModelStateEnum": "workers.models.reward_models.ModelState",
        "RunStateEnum": "workers.models.training.RunState",
        "ScreenSideEnum": "labeling.spans.SIDES",
        "SnapshotStateEnum": "labeling.models.snapshots.SnapshotState",
    },
}

# --- Languages, time, static files ------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = env.str("TZ", default="UTC") or "UTC"
STATIC_URL = "static/"
# Container images collect at build time, outside of the data volume.
STATIC_ROOT = read_path("CHOSEN_STATIC_ROOT", default=DATA_DIR / "static")
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "webapp.ui.bundles.BundleFinder",
]
_manifest = read_bool("CHOSEN_STATIC_MANIFEST", default=not EMBEDDED)
WHITENOISE_USE_FINDERS = not _manifest
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _manifest
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
MEDIA_ROOT = DATA_DIR / "media"

UNFOLD = {
    "SITE_TITLE": "Chosen",
    "SITE_HEADER": "Chosen",
    "SITE_SUBHEADER": _("Operators"),
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "webapp.ui.dashboard.dashboard_context",
    "SITE_URL": "/",
    # Colours come from a file and Alpine from its CSP build, so that the admin needs no unsafe-inline or unsafe-eval.
    # A callable, because unfold fails on an empty mapping.
    "COLORS": lambda request: {},
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")}
    ],
    "STYLES": [lambda request: static("css/admin.css")],
    "SCRIPTS": [lambda request: static("js/admin.js")],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("CHOSEN_LOG_LEVEL", default="INFO")},
}
