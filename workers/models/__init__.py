"""The tables of reward models, by subject."""

from workers.models.comparisons import EvaluationScores, ModelComparison
from workers.models.policies import RetrainPolicy
from workers.models.reward_models import (
    HELD_OUT,
    DecisionKind,
    Evaluation,
    GateDecision,
    ModelKind,
    ModelState,
    RewardModel,
)
from workers.models.scores import Score
from workers.models.training import RunMetric, RunStage, RunState, RunTrigger, TrainingRun

__all__ = [
    "HELD_OUT",
    "DecisionKind",
    "Evaluation",
    "EvaluationScores",
    "GateDecision",
    "ModelComparison",
    "ModelKind",
    "ModelState",
    "RetrainPolicy",
    "RewardModel",
    "RunMetric",
    "RunStage",
    "RunState",
    "RunTrigger",
    "Score",
    "TrainingRun",
]
