"""What labeling over REST reads and gives, as OpenAPI describes it."""

from __future__ import annotations

from functools import cache
from typing import Any

from rest_framework import serializers

from labeling.models import Preference
from labeling.submission import ASPECT_VALUES, CHOICES, DURATION_MAX_MS, RATIONALE_MAX


class TurnSerializer(serializers.Serializer):
    role = serializers.CharField()
    content = serializers.CharField()


class PairSerializer(serializers.Serializer):
    """A leased comparison: what a labeler may see of it before the vote."""

    assignment = serializers.UUIDField()
    messages = TurnSerializer(many=True)
    left = serializers.CharField()
    right = serializers.CharField()
    draft = serializers.DictField()
    lease_expires_at = serializers.DateTimeField()


class NextSerializer(serializers.Serializer):
    count = serializers.IntegerField(min_value=1, max_value=2, default=2)


class AnswerSerializer(serializers.Serializer):
    """An answer as the screen has it: 1 (left much better) to the last step of the project's bar, by default 8
    (right much better), tie, both_bad, skip. An aspect is left, right, same, or a step of its own bar."""

    choice = serializers.ChoiceField(choices=CHOICES)
    aspects = serializers.DictField(child=serializers.ChoiceField(choices=ASPECT_VALUES), required=False)
    reasons = serializers.ListField(child=serializers.CharField(), required=False)
    rationale = serializers.CharField(required=False, allow_blank=True, max_length=RATIONALE_MAX)
    skip_reason = serializers.CharField(required=False, allow_blank=True)
    spans = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="Marked passages: side (left, right), quote, nth (which occurrence, from 0), reason.",
    )
    duration_ms = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=DURATION_MAX_MS
    )
    change = serializers.BooleanField(
        default=False, help_text="A change of mind about an answer already given."
    )
    next = serializers.IntegerField(
        default=0,
        min_value=0,
        max_value=2,
        help_text="With 1 or 2 the answer also holds `results`, as `next` gives them with this count.",
    )


class DraftSerializer(serializers.Serializer):
    choice = serializers.CharField(required=False, allow_blank=True)
    aspects = serializers.DictField(required=False)
    reasons = serializers.ListField(child=serializers.CharField(), required=False)
    rationale = serializers.CharField(required=False, allow_blank=True)
    spans = serializers.ListField(child=serializers.DictField(), required=False)


class SavedSerializer(serializers.ModelSerializer):
    """The person's own preference as stored: outcomes against the comparison's responses, not sides."""

    comparison = serializers.IntegerField(source="comparison_id")

    class Meta:
        model = Preference
        fields = (
            "uid", "comparison", "revision", "outcome", "strength", "aspects", "aspect_strengths", "reasons",
            "skip_reason", "rationale", "duration_ms", "after_reveal", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class SavedAndNextSerializer(SavedSerializer):
    results = PairSerializer(many=True, required=False)

    class Meta(SavedSerializer.Meta):
        fields = (*SavedSerializer.Meta.fields, "results")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]


@cache
def _saved_fields() -> list[tuple[str, Any]]:
    return list(SavedSerializer().fields.items())


def saved(row: Preference) -> dict[str, Any]:
    """As `SavedSerializer` gives it."""
    values = ((name, field, field.get_attribute(row)) for name, field in _saved_fields())
    return {name: None if value is None else field.to_representation(value) for name, field, value in values}
