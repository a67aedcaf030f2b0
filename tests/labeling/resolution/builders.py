"""Small real projects for the tests of resolutions, snapshots, exports and agreement."""

from __future__ import annotations

import itertools

from django.utils import timezone

from labeling.hashing import prompt_hash, response_hash
from labeling.models import (
    Comparison,
    Labeler,
    LabelerKind,
    Membership,
    Preference,
    PreferenceSource,
    Project,
    Prompt,
    Response,
    Role,
)
from labeling.services.resolution import resolve_comparisons
from webapp.users.models import User

_numbers = itertools.count(1)


def make_project(slug: str = "", **fields) -> Project:
    number = next(_numbers)
    return Project.objects.create(name=f"Project {number}", slug=slug or f"project-{number}", **fields)


def make_user(project: Project | None = None, role: Role = Role.MANAGER, name: str = "") -> User:
    user = User.objects.create_user(name or f"person{next(_numbers)}", password="a long pass phrase")
    if project is not None:
        Membership.objects.create(project=project, user=user, role=role)
    return user


def make_labeler(project: Project, name: str = "", kind: LabelerKind = LabelerKind.IMPORTED) -> Labeler:
    return Labeler.objects.create(project=project, name=name or f"labeler {next(_numbers)}", kind=kind)


def make_prompt(project: Project, text: str = "", **fields) -> Prompt:
    messages = fields.pop("messages", None) or [
        {"role": "user", "content": text or f"Question {next(_numbers)}?"}
    ]
    return Prompt.objects.create(
        project=project, messages=messages, content_hash=prompt_hash(messages), **fields
    )


def make_comparison(prompt: Prompt, first: str = "", second: str = "", **fields) -> Comparison:
    """A comparison of two new responses, in the order of their hashes, as an import makes it."""
    models = fields.pop("models", ("model-one", "model-two"))
    texts = (first or f"Answer {next(_numbers)}", second or f"Answer {next(_numbers)}")
    rows = [
        Response.objects.create(
            prompt=prompt, text=text, model_name=model, content_hash=response_hash(text, model)
        )
        for text, model in zip(texts, models, strict=True)
    ]
    a, b = sorted(rows, key=lambda row: row.content_hash)
    return Comparison.objects.create(
        project_id=prompt.project_id, prompt=prompt, response_a=a, response_b=b, **fields
    )


def vote(
    comparison: Comparison, labeler: Labeler, outcome: str, *, strength: int | None = None, **fields
) -> Preference:
    """One more revision by this labeler. Does not resolve."""
    revision = 1 + Preference.objects.filter(comparison=comparison, labeler=labeler).count()
    fields.setdefault("created_at", timezone.now())
    fields.setdefault("source", PreferenceSource.IMPORT)
    return Preference.objects.create(
        project_id=comparison.project_id,
        comparison=comparison,
        labeler=labeler,
        revision=revision,
        outcome=outcome,
        strength=strength,
        idempotency_key=f"test:{comparison.pk}:{labeler.pk}:{revision}",
        **fields,
    )


def labeled_project(
    prompts: int = 12, *, labelers: int = 2, outcomes: str = "abab", **project_fields
) -> Project:
    """One resolved comparison for each prompt; labeler n votes `outcomes[(prompt + n) % len(outcomes)]`."""
    project = make_project(**project_fields)
    people = [make_labeler(project, f"Labeler {number}") for number in range(labelers)]
    for index in range(prompts):
        comparison = make_comparison(make_prompt(project, f"Question number {index}"))
        for number, labeler in enumerate(people):
            letter = outcomes[(index + number) % len(outcomes)]
            outcome = {"a": "a", "b": "b", "t": "tie", "x": "both_bad"}[letter]
            vote(comparison, labeler, outcome, strength=2 if outcome in ("a", "b") else None)
    made = Comparison.objects.filter(project=project)
    made.update(label_count=labelers)
    resolve_comparisons(made.values_list("pk", flat=True))
    return project
