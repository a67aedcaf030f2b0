"""How far each labeler can be relied on, from the newest reliability fit of the project."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import numpy.typing as npt

from labeling.models import Labeler, Project, ReliabilityFit

LEAST = 0.05


def weights_of(project: Project, *, using: str = "default") -> dict[int, float]:
    """The informedness of each labeler by id, in [0.05, 1]; who is not in the fit has the mean. Empty without a fit.
    Two queries."""
    fit = ReliabilityFit.objects.using(using).filter(project=project).order_by("-pk").first()
    if fit is None or not fit.people:
        return {}
    prior = np.array(fit.prior, dtype=np.float64)
    known = {
        UUID(uid): informedness(np.array(person["confusion"], dtype=np.float64), prior)
        for uid, person in fit.people.items()
    }
    mean = sum(known.values()) / len(known)
    labelers = Labeler.objects.using(using).filter(project=project).values_list("uid", "pk")
    return {pk: known.get(uid, mean) for uid, pk in labelers}


def informedness(confusion: npt.NDArray[np.float64], prior: npt.NDArray[np.float64]) -> float:
    """How much better than chance a person's answers are, in [0.05, 1].

    confusion: (K, K), rows the true outcome, each summing to 1. prior: (K,), the shares of the true outcomes. As
    Cohen's kappa of answer and truth: (right − chance) / (1 − chance), chance being that of two who guess by the same shares.
    """
    right = float(prior @ confusion.diagonal())
    chance = float((prior @ confusion) @ prior)
    if chance >= 1:
        return LEAST
    return min(1.0, max(LEAST, (right - chance) / (1 - chance)))
