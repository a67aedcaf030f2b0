"""The app's settings with the fault tests' kinds of job.

A worker is started with DJANGO_SETTINGS_MODULE set to it.
"""

from webapp.settings import *  # noqa: F403
from webapp.settings import JOB_KINDS

JOB_KINDS = JOB_KINDS | {
    f"fault.{name}": {"handler": f"tests.faults.handlers.{name}", "queue": "default", "isolated": isolated}
    for name, isolated in (("steps", False), ("crash", True), ("stale", False), ("quick", False))
}
JOB_KINDS["fault.child_steps"] = {**JOB_KINDS["fault.steps"], "isolated": True}
JOB_KINDS["fault.child_stale"] = {**JOB_KINDS["fault.stale"], "isolated": True}
