"""The tables of judging, by subject."""

from judging.models.endpoints import Endpoint
from judging.models.judges import EngineKind, Judge, JudgeRun, JudgeVersion
from judging.models.verdicts import Order, Verdict, VerdictOutcome, VerdictStatus

__all__ = [
    "Endpoint",
    "EngineKind",
    "Judge",
    "JudgeRun",
    "JudgeVersion",
    "Order",
    "Verdict",
    "VerdictOutcome",
    "VerdictStatus",
]
