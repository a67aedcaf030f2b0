"""Reward models: train, score, evaluate, promote. A pure library: no Django, no Celery.

Importing it brings numpy and nothing heavier; scikit-learn, torch and transformers are imported behind
``train`` and ``open_reward_model``.
"""

from .acquisition import covering
from .api import open_reward_model, preview, preview_pairs, train
from .bootstrap import Interval
from .compare import Comparison, GateResult, GateRules, PairScores, Reason, compare, gate
from .config import (
    Config,
    EmbeddingConfig,
    Kind,
    StarterConfig,
    TransformerConfig,
    config_from_dict,
    config_to_dict,
)
from .crossval import cross_validate
from .errors import (
    ConfigError,
    CorruptModelError,
    DataError,
    ModelUnavailableError,
    NotFiniteError,
    PeerError,
    RewardError,
    ScoresExplodedError,
    Stopped,
    UntrustedModelError,
)
from .evaluate import Evaluation, evaluate
from .labels import SoftLabel, Vote, pool_votes, vote_posterior
from .predict import entropy, outcome_probabilities, pair_probability
from .scoring import FileScores, score_file
from .types import Callbacks, Item, Message, Pair, Preview, PreviewToken, RewardScorer, Scores, TrainResult

__all__ = [
    "Callbacks",
    "Comparison",
    "Config",
    "ConfigError",
    "CorruptModelError",
    "DataError",
    "EmbeddingConfig",
    "Evaluation",
    "FileScores",
    "GateResult",
    "GateRules",
    "Interval",
    "Item",
    "Kind",
    "Message",
    "ModelUnavailableError",
    "NotFiniteError",
    "Pair",
    "PairScores",
    "PeerError",
    "Preview",
    "PreviewToken",
    "Reason",
    "RewardError",
    "RewardScorer",
    "Scores",
    "ScoresExplodedError",
    "SoftLabel",
    "StarterConfig",
    "Stopped",
    "TrainResult",
    "TransformerConfig",
    "UntrustedModelError",
    "Vote",
    "compare",
    "config_from_dict",
    "config_to_dict",
    "covering",
    "cross_validate",
    "entropy",
    "evaluate",
    "gate",
    "open_reward_model",
    "outcome_probabilities",
    "pair_probability",
    "pool_votes",
    "preview",
    "preview_pairs",
    "score_file",
    "train",
    "vote_posterior",
]
