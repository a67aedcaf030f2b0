"""A job may run again after its last write, or beside a newer one: the import's state stays right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from labeling.importing import services
from labeling.importing.checking import CheckReport, check_file
from labeling.importing.options import ImportOptions
from labeling.importing.services import (
    ImportStateError,
    import_check,
    import_confirm,
    import_recheck,
    import_run,
)
from labeling.models import Import, ImportState
from tests.labeling.importing.helpers import jsonl, rows_of
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from webapp.jobs.services import job_enqueue

pytestmark = pytest.mark.django_db


def job_of(import_: Import, kind: str) -> Job:
    return job_enqueue(kind=kind, params={"import": str(import_.uid)}, project_id=import_.project_id)


def test_a_write_job_killed_after_the_last_write_ends_as_done(bring):
    import_ = bring(jsonl(rows_of("trl_explicit", 3)))
    counts = import_run(import_)
    job = run_inline(job_of(import_, "import.write"))
    assert (job.state, job.result["records"]) == ("done", counts.records)


def test_a_check_job_that_runs_again_leaves_a_confirmed_import_to_its_writer(bring):
    import_ = bring(jsonl(rows_of("trl_explicit", 3)))
    import_check(import_)
    late = job_of(import_, "import.check")
    import_confirm(import_)
    job = run_inline(late)
    import_.refresh_from_db()
    assert (job.state, import_.state) == ("done", ImportState.WRITING)
    assert import_.job_uid != late.uid


def test_a_write_job_of_an_unconfirmed_import_fails_and_leaves_it_ready(bring):
    import_ = bring(jsonl(rows_of("trl_explicit", 3)))
    import_check(import_)
    job = run_inline(job_of(import_, "import.write"))
    import_.refresh_from_db()
    assert (job.state, import_.state) == ("failed", ImportState.READY)


def test_findings_by_old_options_are_not_stored_beside_new_ones(bring, monkeypatch):
    import_ = bring(jsonl(rows_of("trl_explicit", 3)))
    newer = replace(ImportOptions.from_json(import_.options), group_key="no_such_key")
    other = Import.objects.get(pk=import_.pk)

    def changed_meanwhile(*args: Any, **options: Any) -> CheckReport:
        monkeypatch.setattr(services, "check_file", check_file)
        import_recheck(other, options=newer)
        Import.objects.filter(pk=other.pk).update(state=ImportState.CHECKING)  # as its job does first
        return check_file(*args, **options)

    monkeypatch.setattr(services, "check_file", changed_meanwhile)
    with pytest.raises(ImportStateError):
        import_check(import_)
    job = run_inline(Job.objects.get(uid=other.job_uid))
    import_.refresh_from_db()
    assert (job.state, import_.state) == ("done", ImportState.REFUSED)
    assert import_.problem_count > 0
