"""What the reward library tells by codes and classes is read in words, in the reader's language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils import translation

from tests.workers.app.world import make_world
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel
from workers.errors import NotEnoughLabels
from workers.models import TrainingRun
from workers.reward import errors
from workers.services.training import runs_settle, training_start
from workers.words import ERRORS, STEPS, error_words, step_words

LIBRARY = Path(errors.__file__).parent


def test_every_step_that_the_library_tells_has_words():
    told = {
        code
        for path in LIBRARY.rglob("*.py")
        for code in re.findall(r"told\.progress\([^\n]*\"(\w+)\"\)", path.read_text(encoding="utf-8"))
    }
    assert {"train", "score", "heads"} <= told <= set(STEPS)


def test_every_permanent_error_of_the_library_has_words():
    permanent = {kind for kind in errors.RewardError.__subclasses__() if kind.permanent}
    # A preview that finds no model says so at once, though trying again could help.
    assert set(ERRORS) == permanent | {errors.ModelUnavailableError}


def test_words_are_those_of_the_reader_and_the_librarys_detail_stays():
    error = error_words(errors.CorruptModelError("weights.bin is missing"))
    with translation.override("zh-hans"):
        assert str(error) == "模型文件已损坏：weights.bin is missing"
        assert str(step_words("train")) == "训练中"
    assert str(error) == "The files of a model are damaged: weights.bin is missing"
    assert (str(step_words("train")), str(step_words("unknown"))) == ("training", "unknown")


def test_a_refusal_raised_in_a_worker_is_read_by_somebody_else():
    with translation.override("zh-hans"):
        refused = NotEnoughLabels(3, 10)
    assert str(refused) == "Not enough labels yet: 3 of 10 settled comparisons."


@pytest.mark.django_db
def test_a_run_started_in_chinese_is_titled_and_fails_in_english_for_others():
    with translation.override("zh-hans"):
        run = training_start(project=make_world(labeled=30, unlabeled=0).project)
        job = Job.objects.get(uid=run.job_uid)
        assert not str(job.title).startswith("Train a reward model")
        job_cancel(job)
        TrainingRun.objects.filter(pk=run.pk).update(state="active", finished_at=None)
        Job.objects.all().delete()
        runs_settle()
    run.refresh_from_db()
    assert str(job.title).startswith("Train a reward model: ")
    assert str(run.error) == "The job of this run is gone."
    with translation.override("zh-hans"):
        assert "gone" not in str(run.error)
