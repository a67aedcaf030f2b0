"""Rows to test on: small functions, each with sensible defaults and every field open to the caller."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from labeling.hashing import prompt_hash, response_hash
from labeling.models import (
    Comparison,
    Labeler,
    LabelerKind,
    Membership,
    Outcome,
    Preference,
    PreferenceSource,
    Project,
    Prompt,
    Response,
    Role,
)
from webapp.users.models import User

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


def make_user(username: str = "", **fields: Any) -> User:
    """A person who logs in with PASSWORD."""
    return User.objects.create_user(username or f"person{next(_numbers)}", password=PASSWORD, **fields)


def make_project(slug: str = "", **fields: Any) -> Project:
    slug = slug or f"project-{next(_numbers)}"
    return Project.objects.create(slug=slug, name=fields.pop("name", slug.title()), **fields)


def make_member(project: Project, role: Role = Role.LABELER, user: User | None = None) -> User:
    user = user or make_user()
    Membership.objects.create(project=project, user=user, role=role)
    return user


@dataclass(frozen=True)
class Team:
    """A project with one member in each role, and somebody who is not in it."""

    project: Project
    manager: User
    reviewer: User
    labeler: User
    viewer: User
    stranger: User


def make_team(slug: str = "", **fields: Any) -> Team:
    project = make_project(slug, **fields)
    people = {role.value: make_member(project, role) for role in Role}
    return Team(project=project, stranger=make_user(), **people)


def make_labeler(project: Project, name: str = "", *, user: User | None = None, **fields: Any) -> Labeler:
    """A labeler of the project: the member `user`, or an imported name."""
    kind = LabelerKind.MEMBER if user else LabelerKind.IMPORTED
    name = name or (str(user) if user else f"labeler{next(_numbers)}")
    return Labeler.objects.create(project=project, user=user, name=name, **{"kind": kind, **fields})


def make_prompt(project: Project, text: str = "", **fields: Any) -> Prompt:
    messages = [{"role": "user", "content": text or f"Question {next(_numbers)}?"}]
    messages = fields.pop("messages", messages)
    return Prompt.objects.create(
        project=project, messages=messages, content_hash=prompt_hash(messages), **fields
    )


def make_response(prompt: Prompt, text: str = "", model_name: str = "") -> Response:
    text = text or f"Answer {next(_numbers)}."
    digest = response_hash(text, model_name)
    return Response.objects.create(prompt=prompt, text=text, model_name=model_name, content_hash=digest)


def make_comparison(
    project: Project, *, prompt: Prompt | None = None, texts: tuple[str, str] = ("", ""), **fields: Any
) -> Comparison:
    """Two new responses to a prompt; response_a is the one whose hash comes first, as an import makes it."""
    prompt = prompt or make_prompt(project)
    pair = sorted((make_response(prompt, text) for text in texts), key=lambda row: row.content_hash)
    needed = fields.pop("needed", project.overlap)
    return Comparison.objects.create(
        project=project,
        prompt=prompt,
        response_a=pair[0],
        response_b=pair[1],
        **{"needed": needed, "open_slots": needed, **fields},
    )


def make_preference(
    comparison: Comparison,
    labeler: Labeler | None = None,
    outcome: str = Outcome.A,
    **fields: Any,
) -> Preference:
    """A bare preference row; it moves neither the comparison's counts nor its resolution."""
    labeler = labeler or make_labeler(comparison.project)
    key = f"test:{next(_numbers)}"
    return Preference.objects.create(
        project=comparison.project,
        comparison=comparison,
        labeler=labeler,
        outcome=outcome,
        **{
            "source": PreferenceSource.SIMULATION,
            "idempotency_key": key,
            "request_hash": "0" * 64,
            "created_at": timezone.now(),
            **fields,
        },
    )
