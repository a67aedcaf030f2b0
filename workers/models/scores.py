"""Scores: one reward model's opinion of one response."""

from __future__ import annotations

import numpy as np
from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models import Response
from workers.models.reward_models import RewardModel


class Score(models.Model):
    """`value` is raw and unbounded; `heads` are the ensemble's values as float32, little-endian."""

    reward_model = models.ForeignKey(RewardModel, on_delete=models.CASCADE, related_name="scores")
    response = models.ForeignKey(Response, on_delete=models.CASCADE, related_name="scores")
    value = models.FloatField(_("score"))
    std = models.FloatField(_("standard deviation over heads"), default=0.0)
    heads = models.BinaryField()
    n_tokens = models.PositiveIntegerField(_("tokens read"), default=0)
    is_truncated = models.BooleanField(_("text was cut"), default=False)
    template_hash = models.CharField(_("template hash"), max_length=64)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("score")
        verbose_name_plural = _("scores")
        constraints = [
            models.UniqueConstraint(fields=["reward_model", "response"], name="score_once"),
        ]

    def __str__(self) -> str:
        return f"{self.response_id}: {self.value:.3f}"

    @property
    def head_values(self) -> np.ndarray:
        """(K,) float32."""
        return np.frombuffer(bytes(self.heads), dtype="<f4")
