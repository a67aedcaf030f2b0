"""Kinds of job, read from settings.JOB_KINDS, a table of dotted names: the ground imports no upper storey.

Each entry: `handler` (dotted path of a function of one JobContext), `queue`, and optionally `isolated` (run
in a process of its own), `max_attempts`, and `on_ended` (dotted path of a function of the job, called in
the transaction in which a job ends as failed or cancelled, so that the rows of the subject can follow).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string
from django.utils.translation import gettext_noop

from webapp.jobs.errors import UnknownJobKind
from webapp.jobs.messages import message

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext
    from webapp.jobs.models import Job

Handler = Callable[["JobContext"], dict[str, Any] | None]
ALLOWED_KEYS = frozenset({"handler", "queue", "isolated", "max_attempts", "on_ended"})


@dataclass(frozen=True)
class JobKind:
    name: str
    handler: str
    queue: str
    isolated: bool = False
    max_attempts: int = 3
    on_ended: str = ""

    def load(self) -> Handler:
        """Import the handler. Only workers call this: a handler's module may be heavy."""
        handler: Handler = import_string(self.handler)
        return handler

    def load_on_ended(self) -> Callable[[Job], None] | None:
        return import_string(self.on_ended) if self.on_ended else None


def job_kinds() -> dict[str, dict[str, Any]]:
    return cast("dict[str, dict[str, Any]]", settings.JOB_KINDS)


def kind_of(name: str) -> JobKind:
    """Raises UnknownJobKind."""
    try:
        entry = job_kinds()[name]
    except KeyError:
        raise UnknownJobKind(
            message(gettext_noop("There is no kind of job called %(kind)s."), kind=name)
        ) from None
    return JobKind(name=name, **entry)


def _path_problem(path: str) -> str | None:
    """Why this dotted path cannot be a function of a module that exists, or None; nothing is imported."""
    module, _, function = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        return f"{path!r} is not a dotted path to a function"
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    return None if found else f"there is no module {module!r} to hold {function!r}"


def _entry_problems(entry: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Check id, what is wrong, what to do."""
    for key in sorted({"handler", "queue"} - set(entry)):
        yield "jobs.E001", f"{key!r} is missing", "Add it."
    for key in sorted(set(entry) - ALLOWED_KEYS):
        yield "jobs.E002", f"{key!r} is not a known key", "Remove it."
    for path in (entry.get("handler"), entry.get("on_ended")):
        problem = _path_problem(path) if path else None
        if problem:
            yield "jobs.E003", problem, "Correct the dotted path."


def check_job_kinds(**_kwargs: Any) -> list[CheckMessage]:
    """System check: every entry has a handler and a queue, known keys, and paths that lead to a module."""
    return [
        Error(f"JOB_KINDS[{name!r}]: {problem}.", hint=hint, id=check_id)
        for name, entry in job_kinds().items()
        for check_id, problem, hint in _entry_problems(entry)
    ]
