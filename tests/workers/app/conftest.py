from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django import Settings

from labeling.models import Project, Role
from tests.factories import make_member, make_user
from tests.workers.app.world import World, make_world
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from webapp.users.models import User
from workers.models import TrainingRun
from workers.services.training import training_start


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: Settings) -> Path:
    """Models, snapshots and job folders of each test in a folder of its own."""
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def world(db: None) -> World:
    return make_world()


FAST = {"heads": 4, "hash_bits": 12, "regularisation": [1e-3, 1e-2], "folds": 3}


@dataclass(frozen=True)
class Trained:
    """A world after one run: v1 is champion. `people` are its members by role."""

    world: World
    run: TrainingRun
    people: dict[str, User]

    @property
    def project(self) -> Project:
        return self.world.project


@pytest.fixture
def trained(db: None) -> Trained:
    world = make_world(labeled=60, unlabeled=6)
    run = training_start(project=world.project, kind="starter", config=FAST)
    run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
    run.refresh_from_db()
    people = {role.value: make_member(world.project, role) for role in Role}
    return Trained(world, run, people | {"stranger": make_user()})
