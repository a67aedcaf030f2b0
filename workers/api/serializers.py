"""What REST says of runs, models, scores and policies."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from labeling.selectors.staleness import Revised, revisions_of
from workers.models import (
    Evaluation,
    GateDecision,
    ModelKind,
    RetrainPolicy,
    RewardModel,
    RunMetric,
    Score,
    TrainingRun,
)
from workers.reasons import sentences
from workers.selectors.evaluations import without_names


class EvaluationSerializer(serializers.ModelSerializer):
    """People are named in `report.annotators` where the context says `names`, and numbered elsewhere."""

    snapshot = serializers.IntegerField(source="snapshot.number")
    report = serializers.SerializerMethodField()

    class Meta:
        model = Evaluation
        fields = ["snapshot", "split", "accuracy", "low", "high", "n", "baselines", "report", "created_at"]
        read_only_fields = fields

    def get_report(self, evaluation: Evaluation) -> dict[str, Any]:
        report: dict[str, Any] = evaluation.report
        return report if self.context.get("names") else without_names(report)


class DecisionSerializer(serializers.ModelSerializer):
    """`sentences` are the reasons in the reader's language."""

    previous_champion = serializers.IntegerField(
        source="previous_champion.number", default=None, allow_null=True
    )
    run = serializers.IntegerField(source="run_id", allow_null=True)
    user = serializers.CharField(allow_null=True)
    sentences = serializers.SerializerMethodField()

    class Meta:
        model = GateDecision
        fields = ["kind", "promote", "run", "previous_champion", "reasons", "sentences", "user", "at"]
        read_only_fields = fields

    def get_sentences(self, decision: GateDecision) -> list[str]:
        return [sentence.text for sentence in sentences(decision.reasons)]


class FromSnapshotSerializer(serializers.ModelSerializer):
    """What was made of a snapshot. A list gives the project's `revisions` in the context."""

    stale = serializers.SerializerMethodField(help_text="Whether labels of its snapshot were revised since.")
    revised_labels = serializers.SerializerMethodField(help_text="How many were.")

    def _revised(self, row: RewardModel | TrainingRun) -> Revised:
        revisions = self.context.get("revisions") or revisions_of(row.project)
        found: Revised = revisions.since(row.snapshot)
        return found

    def get_stale(self, row: RewardModel | TrainingRun) -> bool:
        return self._revised(row).labels > 0

    def get_revised_labels(self, row: RewardModel | TrainingRun) -> int:
        return self._revised(row).labels


class RewardModelSerializer(FromSnapshotSerializer):
    snapshot = serializers.IntegerField(source="snapshot.number")
    # DRF takes declared fields off the class, so this does not hide the serializer's own parent.
    parent = serializers.IntegerField(  # type: ignore[assignment]
        source="parent.number", default=None, allow_null=True
    )
    run = serializers.IntegerField(source="run.pk", default=None, allow_null=True)
    evaluation = serializers.SerializerMethodField()

    class Meta:
        model = RewardModel
        fields = [
            "number", "kind", "state", "snapshot", "stale", "revised_labels", "parent", "run", "seed",
            "code_version", "template_hash", "temperature", "manifest_hash", "config", "metrics", "evaluation",
            "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_evaluation(self, model: RewardModel) -> dict[str, Any] | None:
        """The newest on a test split, without its long report."""
        found = next((e for e in model.evaluations.all() if e.split == "test"), None)
        if found is None:
            return None
        keys = ("accuracy", "low", "high", "n", "baselines")
        return {key: getattr(found, key) for key in keys}


class RewardModelDetailSerializer(RewardModelSerializer):
    evaluations = EvaluationSerializer(many=True)
    decisions = DecisionSerializer(source="gate_decisions", many=True)

    class Meta(RewardModelSerializer.Meta):
        fields = [*RewardModelSerializer.Meta.fields, "evaluations", "decisions"]
        read_only_fields = fields


class MetricSerializer(serializers.ModelSerializer):
    class Meta:
        model = RunMetric
        fields = ["step", "values"]
        read_only_fields = fields


class TrainingRunSerializer(FromSnapshotSerializer):
    snapshot = serializers.IntegerField(source="snapshot.number", default=None, allow_null=True)
    reward_model = serializers.IntegerField(source="reward_model.number", default=None, allow_null=True)

    class Meta:
        model = TrainingRun
        fields = [
            "id", "kind", "config", "snapshot_config", "gate_rules", "stage", "state", "trigger", "job_uid",
            "snapshot", "stale", "revised_labels", "reward_model", "counts", "timings", "error", "created_at",
            "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class TrainingRunDetailSerializer(TrainingRunSerializer):
    metrics = MetricSerializer(many=True, help_text="Live figures by step.")

    class Meta(TrainingRunSerializer.Meta):
        fields = [*TrainingRunSerializer.Meta.fields, "metrics"]
        read_only_fields = fields


class StartSerializer(serializers.Serializer):
    """What to train. Everything left out has its default."""

    kind = serializers.ChoiceField(choices=ModelKind.choices, default=ModelKind.STARTER)
    config = serializers.DictField(default=dict, help_text="Settings of the kind.")
    snapshot_config = serializers.DictField(default=dict, help_text="Settings of the snapshot it makes.")
    gate_rules = serializers.DictField(default=dict, help_text="Rules of the gate that differ.")
    snapshot = serializers.IntegerField(
        required=False, allow_null=True, help_text="Number of a ready snapshot to read instead of a new one."
    )


class ScoreSerializer(serializers.ModelSerializer):
    response = serializers.IntegerField(source="response_id")
    reward_model = serializers.IntegerField(source="reward_model.number")
    heads = serializers.SerializerMethodField()

    class Meta:
        model = Score
        fields = [
            "response", "reward_model", "value", "std", "heads", "n_tokens", "is_truncated", "template_hash",
        ]  # fmt: skip
        read_only_fields = fields

    def get_heads(self, score: Score) -> list[float]:
        return [float(value) for value in score.head_values]


class OpinionSerializer(serializers.Serializer):
    """The model's view of one comparison: P(a ≻ b) against the comparison's own responses.

    `p_tie` is the chance of a tie, of models trained with `ranking` = `rao_kupper`; null for others.
    """

    comparison = serializers.IntegerField()
    reward_model = serializers.IntegerField()
    p_a = serializers.FloatField()
    std = serializers.FloatField()
    score_a = serializers.FloatField()
    score_b = serializers.FloatField()
    is_truncated = serializers.BooleanField()
    p_tie = serializers.FloatField(allow_null=True)


class EvaluateSerializer(serializers.Serializer):
    snapshot = serializers.IntegerField(help_text="Number of a ready snapshot.")


class CompareSerializer(serializers.Serializer):
    """Two models of the project, and the snapshot whose held-out pairs they are compared on."""

    a = serializers.IntegerField(help_text="Version of the first model.")
    b = serializers.IntegerField(help_text="Version of the second model.")
    snapshot = serializers.IntegerField(help_text="Number of a ready snapshot.")


class PreviewSerializer(serializers.Serializer):
    """Who reads (`model`, or `kind` with `config`) what (`comparison` with `side`, or `prompt` with `answer`)."""

    model = serializers.IntegerField(required=False, help_text="Version of a model of the project.")
    kind = serializers.ChoiceField(choices=ModelKind.choices, default=ModelKind.TRANSFORMER)
    config = serializers.DictField(default=dict, help_text="Settings of the kind.")
    comparison = serializers.IntegerField(required=False)
    side = serializers.ChoiceField(choices=["a", "b"], default="a")
    prompt = serializers.CharField(default="", allow_blank=True, max_length=200_000)
    answer = serializers.CharField(default="", allow_blank=True, max_length=200_000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("comparison") is None and not attrs["answer"]:
            raise serializers.ValidationError(_("Name a comparison, or send an answer of your own."))
        return attrs


class PolicySerializer(serializers.ModelSerializer):
    new_labels = serializers.IntegerField(read_only=True)
    next_due = serializers.DateTimeField(read_only=True, allow_null=True)
    config = serializers.DictField(required=False)
    snapshot_config = serializers.DictField(required=False)

    class Meta:
        model = RetrainPolicy
        fields = [
            "is_enabled", "every_n_labels", "cron", "kind", "config", "snapshot_config", "last_cron_at",
            "new_labels", "next_due",
        ]  # fmt: skip
        read_only_fields = ["last_cron_at"]
