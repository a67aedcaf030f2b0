"""Projects with pairs to label, made in bulk."""

from __future__ import annotations

import itertools
import uuid

from labeling.hashing import prompt_hash, response_hash
from labeling.models import (
    Comparison,
    Labeler,
    LabelerKind,
    Membership,
    Project,
    Prompt,
    Response,
    Role,
)
from webapp.users.models import User

_numbers = itertools.count(1)


def make_project(pairs: int = 3, *, overlap: int = 1, random_share: float = 0.0, **fields) -> Project:
    """A project with `pairs` comparisons, the first with the highest priority."""
    slug = fields.pop("slug", f"label-{next(_numbers)}")
    project = Project.objects.create(
        name=slug, slug=slug, overlap=overlap, random_share=random_share, **fields
    )
    add_pairs(project, pairs)
    return project


def add_pairs(project: Project, count: int) -> list[Comparison]:
    prompts, responses, comparisons = [], [], []
    for _ in range(count):
        messages = [{"role": "user", "content": f"Question {next(_numbers)}?"}]
        prompts.append(Prompt(project=project, messages=messages, content_hash=prompt_hash(messages)))
    Prompt.objects.bulk_create(prompts, batch_size=2000)
    for index, prompt in enumerate(prompts):
        responses += [
            Response(prompt=prompt, text=text, content_hash=response_hash(text))
            for text in (f"First answer {index}", f"Second answer {index}")
        ]
    Response.objects.bulk_create(responses, batch_size=2000)
    for index, prompt in enumerate(prompts):
        comparisons.append(
            Comparison(
                project=project,
                prompt=prompt,
                response_a=responses[2 * index],
                response_b=responses[2 * index + 1],
                needed=project.overlap,
                open_slots=project.overlap,
                priority=float(count - index),
            )
        )
    return Comparison.objects.bulk_create(comparisons, batch_size=2000)


def make_labeler(project: Project, *, role: Role = Role.LABELER) -> Labeler:
    """A member with an account, who labels."""
    user = User.objects.create_user(
        f"labeler-{next(_numbers)}-{uuid.uuid4().hex[:6]}", password="chosen-pass-1"
    )
    Membership.objects.create(project=project, user=user, role=role)
    return Labeler.objects.create(project=project, user=user, name=str(user), kind=LabelerKind.MEMBER)
