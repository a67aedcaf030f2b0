"""The tables of reward models, by subject."""

from workers.models.policies import RetrainPolicy
from workers.models.reward_models import (
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
    "DecisionKind",
    "Evaluation",
    "GateDecision",
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
