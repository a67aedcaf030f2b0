"""What a model said of each held-out pair, and two models held against each other."""

from __future__ import annotations

import numpy as np
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray

from labeling.models import Project, Snapshot
from workers.models.reward_models import Evaluation, RewardModel


class EvaluationScores(models.Model):
    """The scores behind an evaluation: columns of N pairs, little-endian, in the order of the snapshot.

    `comparisons` are int64 ids, ascending; `score_a` and `score_b` float32 scores of the comparison's own responses,
    NaN where the scorer has no verdict; `a_first` uint8, 1 where response a is the one that people preferred (or the
    pair is a tie).
    """

    evaluation = models.OneToOneField(
        Evaluation, on_delete=models.CASCADE, primary_key=True, related_name="scores"
    )
    comparisons = models.BinaryField()
    score_a = models.BinaryField()
    score_b = models.BinaryField()
    a_first = models.BinaryField()

    class Meta:
        verbose_name = _("scores of an evaluation")
        verbose_name_plural = _("scores of evaluations")

    def __str__(self) -> str:
        return str(self.evaluation_id)

    @property
    def comparison_ids(self) -> NDArray[np.int64]:
        """(N,)"""
        return np.frombuffer(bytes(self.comparisons), dtype="<i8")

    @property
    def sides(self) -> NDArray[np.float64]:
        """(N, 2): scores of response a and response b."""
        columns = [np.frombuffer(bytes(side), dtype="<f4") for side in (self.score_a, self.score_b)]
        return np.stack(columns, axis=1).astype(np.float64)

    @property
    def chosen_is_a(self) -> NDArray[np.bool_]:
        """(N,)"""
        return np.frombuffer(bytes(self.a_first), dtype=np.uint8).astype(np.bool_)


class ModelComparison(models.Model):
    """Two models on the held-out pairs of a snapshot that neither was trained on, the newer one first. `report` is
    empty until its job is done, and again when one of the two is evaluated anew."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_comparisons")
    model_a = models.ForeignKey(RewardModel, on_delete=models.CASCADE, related_name="+")
    model_b = models.ForeignKey(RewardModel, on_delete=models.CASCADE, related_name="+")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="model_comparisons")
    report = models.JSONField(_("report"), default=dict)
    job_uid = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("comparison of models")
        verbose_name_plural = _("comparisons of models")
        constraints = [
            models.UniqueConstraint(fields=["model_a", "model_b", "snapshot"], name="model_comparison_once"),
            models.CheckConstraint(
                condition=Q(model_a__gt=F("model_b")), name="model_comparison_newer_first"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_a_id} : {self.model_b_id}"
