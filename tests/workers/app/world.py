"""A small labeled project whose better responses can be told by their words, for training real models
quickly."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from django.utils import timezone

from labeling.hashing import prompt_hash, response_hash
from labeling.models import (
    Comparison,
    ComparisonState,
    Labeler,
    LabelerKind,
    Preference,
    Project,
    Prompt,
    Response,
)
from labeling.services.resolution import resolve_comparisons

GOOD = ["thanks", "because", "example", "clearly", "步骤", "careful"]
BAD = ["whatever", "dunno", "lol", "随便", "nope", "meh"]
FILLER = ["the", "answer", "is", "about", "water", "light", "number", "road", "我们", "可以"]


@dataclass
class World:
    """A project and what was put into it. `open_ids` are unlabeled comparisons."""

    project: Project
    labeler: Labeler
    labeled_ids: list[int] = field(default_factory=list)
    open_ids: list[int] = field(default_factory=list)


def sentence(rng: random.Random, words: list[str], length: int = 14) -> str:
    return " ".join(rng.choice(words if rng.random() < 0.4 else FILLER) for _ in range(length))


def add_comparison(
    world: World, rng: random.Random, number: int, *, good: float = 0.95
) -> tuple[Comparison, str]:
    """A prompt with a good and a bad answer, and the outcome that says so (wrong once in twenty)."""
    messages = [{"role": "user", "content": f"Question {number}: {sentence(rng, FILLER)}"}]
    prompt = Prompt.objects.create(
        project=world.project,
        messages=messages,
        content_hash=prompt_hash(messages),
        language="en" if number % 2 else "zh",
        topic="maths" if number % 3 else "code",
    )
    texts = [sentence(rng, GOOD), sentence(rng, BAD)]
    responses = [
        Response.objects.create(prompt=prompt, text=text, content_hash=response_hash(text), model_name="m")
        for text in texts
    ]
    a, b = sorted(responses, key=lambda response: response.content_hash)
    comparison = Comparison.objects.create(project=world.project, prompt=prompt, response_a=a, response_b=b)
    good_side = "a" if a is responses[0] else "b"
    flipped = {"a": "b", "b": "a"}[good_side]
    return comparison, good_side if rng.random() < good else flipped


def label(world: World, comparison: Comparison, outcome: str) -> Preference:
    """One vote, as the label page leaves it."""
    preference = Preference.objects.create(
        project=world.project,
        comparison=comparison,
        labeler=world.labeler,
        outcome=outcome,
        strength=3 if outcome in {"a", "b"} else None,
        source="simulation",
        idempotency_key=f"k{comparison.pk}",
        request_hash="",
        created_at=timezone.now(),
    )
    Comparison.objects.filter(pk=comparison.pk).update(
        state=ComparisonState.DONE, open_slots=0, label_count=1
    )
    return preference


def make_world(*, labeled: int = 120, unlabeled: int = 20, slug: str = "world", seed: int = 0) -> World:
    rng = random.Random(seed)
    project = Project.objects.create(name=slug.title(), slug=slug)
    labeler = Labeler.objects.create(project=project, name="sim", kind=LabelerKind.SIMULATED)
    world = World(project, labeler)
    for number in range(labeled + unlabeled):
        comparison, outcome = add_comparison(world, rng, number)
        if number < labeled:
            label(world, comparison, outcome)
            world.labeled_ids.append(comparison.pk)
        else:
            world.open_ids.append(comparison.pk)
    resolve_comparisons(world.labeled_ids)
    return world
