import subprocess
import sys

import pytest
from django.conf import settings as live_settings

from tests.processes import ROOT, process_env
from webapp.jobs.kinds import check_job_kinds, kind_of


def test_the_kinds_of_the_app_pass_the_check():
    assert check_job_kinds() == []


@pytest.mark.parametrize(
    ("entry", "check_id"),
    [
        ({"handler": "webapp.jobs.tasks.run"}, "jobs.E001"),
        ({"handler": "webapp.jobs.tasks.run", "queue": "default", "colour": "red"}, "jobs.E002"),
        ({"handler": "not a path", "queue": "default"}, "jobs.E003"),
        ({"handler": "webapp.no_such.run", "queue": "default"}, "jobs.E003"),
        ({"handler": "json.dumps", "queue": "default", "on_ended": "nowhere.run"}, "jobs.E003"),
    ],
)
def test_a_wrong_entry_is_found_with_a_hint(settings, entry, check_id):
    settings.JOB_KINDS = {"bad.kind": entry}
    (problem,) = check_job_kinds()
    assert problem.id == check_id
    assert problem.hint


@pytest.mark.parametrize("name", sorted(live_settings.JOB_KINDS))
def test_every_kind_of_the_app_leads_to_functions(name):
    kind = kind_of(name)
    assert callable(kind.load())
    assert kind.on_ended == "" or callable(kind.load_on_ended())


def test_checking_the_kinds_imports_no_handler_and_no_torch():
    code = (
        "import django, sys; django.setup(); from webapp.jobs.kinds import check_job_kinds\n"
        "assert check_job_kinds() == []\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=process_env(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
