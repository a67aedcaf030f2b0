"""What the project's overview shows of this app: the run, the champion, what needs somebody."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.models import Comparison, ComparisonState, Project
from webapp.jobs.models import Job
from workers.charts import baseline
from workers.models import Evaluation, GateDecision, ModelState, RewardModel, RunState, TrainingRun
from workers.reasons import Sentence, why_not
from workers.selectors.models import champion_of
from workers.selectors.runs import job_of, shown_state


@dataclass(frozen=True)
class ChampionLine:
    model: RewardModel
    evaluation: Evaluation | None
    longest: float | None


def champion_line(project: Project) -> ChampionLine | None:
    """The champion with its latest evaluation, or None."""
    champion = champion_of(project)
    if champion is None:
        return None
    evaluation = champion.evaluations.filter(split="test").order_by("-pk").first()
    return ChampionLine(champion, evaluation, baseline(evaluation, "longest"))


@dataclass(frozen=True)
class RunLine:
    """The newest run: its shown state, and its job while it has one."""

    run: TrainingRun
    state: RunState
    job: Job | None

    @property
    def is_active(self) -> bool:
        return self.state == RunState.ACTIVE


def newest_run(project: Project) -> RunLine | None:
    run = TrainingRun.objects.filter(project=project).select_related("reward_model").order_by("-pk").first()
    if run is None:
        return None
    job = job_of(run)
    return RunLine(run, shown_state(run, job), job)


@dataclass(frozen=True)
class Attention:
    """`rejected` is the newest model if the gate turned it down; `conflicts` counts open comparisons on which
    judges and the reward model name different winners; `failed` is the newest run if it failed."""

    rejected: RewardModel | None
    why: list[Sentence]
    conflicts: int
    failed: TrainingRun | None


def attention(project: Project) -> Attention:
    newest = RewardModel.objects.filter(project=project).order_by("-number").first()
    rejected = newest if newest is not None and newest.state == ModelState.REJECTED else None
    decision = GateDecision.objects.filter(candidate=rejected).order_by("-pk").first() if rejected else None
    line = newest_run(project)
    return Attention(
        rejected=rejected,
        why=why_not(decision.reasons) if decision else [],
        conflicts=Comparison.objects.filter(
            project=project, state=ComparisonState.OPEN, priority_reason="conflict"
        ).count(),
        failed=line.run if line and line.state == RunState.FAILED else None,
    )
