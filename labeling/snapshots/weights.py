"""How far each labeler can be relied on, from the newest reliability fit of the project."""

from __future__ import annotations

from labeling.dawid_skene import informedness
from labeling.models import Labeler, Project, ReliabilityFit
from labeling.selectors.reliability import read_fit


def weights_of(project: Project, *, using: str = "default") -> dict[int, float]:
    """The informedness of each labeler by id, in [0.05, 1]; who is not in the fit has that of the mean person. Empty
    without a fit. Two queries."""
    fit = ReliabilityFit.objects.using(using).filter(project=project).order_by("-pk").first()
    if fit is None or not fit.people:
        return {}
    known = read_fit(fit.people, fit.prior)
    labelers = Labeler.objects.using(using).filter(project=project).values_list("uid", "pk")
    return {pk: informedness(known.prior, known.confusions.get(uid, known.mean)) for uid, pk in labelers}
