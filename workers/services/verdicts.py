"""A judge's verdicts as the reward library asks for them, and the judge that a model's settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from judging.models import EngineKind, JudgeVersion
from judging.selectors.judges import speaking_versions
from judging.selectors.report import training_snapshot
from judging.selectors.verdicts import outcomes_given
from labeling.models import Comparison, Project, Snapshot
from labeling.snapshots import SnapshotError
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from workers.errors import BadTrainingConfig
from workers.models import ModelKind, RewardModel
from workers.reward.types import Pair
from workers.selectors.judged import judge_version_of


@dataclass(frozen=True)
class JudgeVerdicts:
    """The outcomes of a version's verdicts on pairs, each order being a verdict of its own; None stands for an answer
    that was not read. `template_hash` covers all that decides what the version says."""

    version: JudgeVersion

    @property
    def template_hash(self) -> str:
        return self.version.provenance_hash

    def __call__(self, pairs: Sequence[Pair]) -> list[list[str | None]]:
        """Two queries, whatever the number of pairs."""
        given = outcomes_given(self.version, [int(pair.pair_id) for pair in pairs])
        texts = Comparison.objects.filter(pk__in=given).values_list(
            "pk", "response_a__text", "response_b__text"
        )
        sides = {pk: (a, b) for pk, a, b in texts}
        return [
            _oriented(pair, *sides[pk], given[pk]) if (pk := int(pair.pair_id)) in sides else []
            for pair in pairs
        ]


def _oriented(pair: Pair, a: str, b: str, outcomes: Sequence[str]) -> list[str | None]:
    """Outcomes against the comparison's responses `a` and `b` as outcomes against the pair's `chosen` and `rejected`;
    none where the snapshot holds other texts than the comparison does now."""
    if {a, b} != {pair.chosen, pair.rejected}:
        return []
    a_first = pair.chosen == a
    words = {
        "": None,
        "tie": "tie",
        "a": "chosen" if a_first else "rejected",
        "b": "rejected" if a_first else "chosen",
    }
    return [words[outcome] for outcome in outcomes]


def judge_named(project: Project, config: Mapping[str, Any]) -> JudgeVersion:
    """The version whose verdicts a run is to evaluate. Raises BadTrainingConfig."""
    if not config.get("judge"):
        raise BadTrainingConfig(_("judge: choose the judge whose verdicts are meant."), "judge")
    version = judge_version_of(project.pk, config)
    if version is None:
        raise BadTrainingConfig(_("judge: this project has no such judge or version."), "judge")
    if version.engine == EngineKind.SCORER:
        said = _("judge: %(judge)s shows a reward model as a judge; evaluate the model itself.")
        raise BadTrainingConfig(said % {"judge": version}, "judge")
    if not speaking_versions(project).filter(pk=version.pk).exists():
        said = _("judge: %(judge)s has given no verdict yet; have it judge something first.")
        raise BadTrainingConfig(said % {"judge": version}, "judge")
    return version


def verdicts_for(kind: str, project_id: int, config: Mapping[str, Any]) -> JudgeVerdicts | None:
    """The verdicts that a scorer of `generative` kind reads; None for other kinds. Raises PermanentJobError where the
    judge is gone."""
    if kind != ModelKind.GENERATIVE:
        return None
    version = judge_version_of(project_id, config)
    if version is None:
        raise PermanentJobError(message(gettext_noop("The judge of this reward model was deleted.")))
    return JudgeVerdicts(version)


def judge_of(model: RewardModel) -> JudgeVersion | None:
    """The judge version whose verdicts the model is; None for other kinds, and where it was deleted."""
    return judge_version_of(model.project_id, model.config) if model.kind == ModelKind.GENERATIVE else None


def judge_trained_on(model: RewardModel) -> list[Snapshot]:
    """The snapshot whose labels the model's judge was trained on here, if there is one. Raises SnapshotError where it
    is gone."""
    version = judge_of(model)
    number = training_snapshot(version) if version is not None else None
    if number is None:
        return []
    snapshot = Snapshot.objects.filter(project_id=model.project_id, number=number).first()
    if snapshot is None:
        raise SnapshotError(f"snapshot {number}, which the judge was trained on, is gone")
    return [snapshot]
