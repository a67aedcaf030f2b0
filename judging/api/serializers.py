"""JSON of judging. An endpoint's key can be written and never read."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from judging.models import Endpoint, EngineKind, Judge, JudgeRun, JudgeVersion, Verdict
from judging.prompts import LANGUAGES
from judging.selectors.selection import KINDS
from labeling.snapshots.config import SPLITS
from webapp.outbound import Secret


class EndpointSerializer(serializers.ModelSerializer):
    has_key = serializers.BooleanField(read_only=True)

    class Meta:
        model = Endpoint
        fields = [
            "uid",
            "name",
            "base_url",
            "model",
            "concurrency",
            "deadline_s",
            "has_key",
            "capabilities",
            "probe_error",
            "probed_at",
            "created_at",
        ]
        read_only_fields = fields


class EndpointWriteSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=80)
    base_url = serializers.CharField(max_length=500)
    model = serializers.CharField(max_length=200)
    api_key = serializers.CharField(max_length=2000, required=False, write_only=True, allow_blank=True)
    concurrency = serializers.IntegerField(required=False, min_value=1, max_value=64)
    deadline_s = serializers.IntegerField(required=False, min_value=1, max_value=1800)

    def values(self) -> dict[str, Any]:
        data = dict(self.validated_data)
        key = data.pop("api_key", "")
        return data | {"api_key": Secret(key) if key else None}


class VersionSerializer(serializers.ModelSerializer):
    endpoint: serializers.SlugRelatedField = serializers.SlugRelatedField(slug_field="uid", read_only=True)

    class Meta:
        model = JudgeVersion
        fields = [
            "uid",
            "number",
            "engine",
            "endpoint",
            "base_url",
            "model",
            "revision",
            "template",
            "template_version",
            "rubric",
            "language",
            "allow_tie",
            "reasoned",
            "sampling",
            "pattern",
            "provenance_hash",
            "facts",
            "created_at",
        ]
        read_only_fields = fields


class JudgeSerializer(serializers.ModelSerializer):
    class Meta:
        model = Judge
        fields = ["uid", "name", "created_at"]
        read_only_fields = fields


class VersionWriteSerializer(serializers.Serializer):
    engine = serializers.ChoiceField(choices=EngineKind.choices)
    endpoint = serializers.UUIDField(required=False, allow_null=True)
    model = serializers.CharField(required=False, allow_blank=True, max_length=500)
    rubric = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    language = serializers.ChoiceField(required=False, choices=LANGUAGES)
    allow_tie = serializers.BooleanField(required=False)
    reasoned = serializers.BooleanField(required=False)
    temperature = serializers.FloatField(required=False, min_value=0, max_value=2)
    max_tokens = serializers.IntegerField(required=False, min_value=1, max_value=32_000)
    pattern = serializers.CharField(required=False, allow_blank=True, max_length=300)


class JudgeWriteSerializer(VersionWriteSerializer):
    name = serializers.CharField(max_length=80)


class SelectionSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=KINDS)
    limit = serializers.IntegerField(required=False, min_value=0, help_text="Draw so many at random; 0: all.")
    seed = serializers.IntegerField(required=False, min_value=0)
    snapshot = serializers.IntegerField(required=False, min_value=1)
    split = serializers.ChoiceField(required=False, choices=SPLITS)
    filter = serializers.DictField(
        required=False, help_text="Of kind filter: names and values as the list of comparisons takes them."
    )


class RunWriteSerializer(serializers.Serializer):
    judge = serializers.UUIDField()
    version = serializers.IntegerField(required=False, min_value=1, help_text="The newest one if left out.")
    selection = SelectionSerializer()


class RunSerializer(serializers.ModelSerializer):
    judge = serializers.UUIDField(source="judge_version.judge.uid", read_only=True)
    version = serializers.IntegerField(source="judge_version.number", read_only=True)

    class Meta:
        model = JudgeRun
        fields = [
            "uid",
            "judge",
            "version",
            "selection",
            "total",
            "counts",
            "job_uid",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields


class VerdictSerializer(serializers.ModelSerializer):
    judge = serializers.UUIDField(source="judge_version.judge.uid", read_only=True)
    version = serializers.IntegerField(source="judge_version.number", read_only=True)
    comparison = serializers.IntegerField(source="comparison_id", read_only=True)

    class Meta:
        model = Verdict
        fields = [
            "uid",
            "judge",
            "version",
            "comparison",
            "order",
            "status",
            "outcome",
            "p_a",
            "label_mass",
            "detail",
            "raw_text",
            "planted",
            "was_clipped",
            "parser_version",
            "provenance_hash",
            "usage",
            "latency_ms",
            "created_at",
        ]
        read_only_fields = fields


class TrainSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=80)
    snapshot = serializers.IntegerField(min_value=1)
