"""Projects with settled comparisons for judges to judge."""

from __future__ import annotations

import itertools

from judging.models import Endpoint, Order, Verdict
from judging.parsing import PARSER_VERSION
from judging.services.judges import VersionSpec, judge_create
from judging.services.provenance import verdict_hash
from labeling.hashing import prompt_hash, response_hash
from labeling.models import Comparison, Membership, Project, Prompt, Resolution, Response
from webapp.users.models import User

_numbers = itertools.count(1)


def make_project(pairs=4, *, resolved=True):
    """`pairs` comparisons; response_a always says GOOD, and people always prefer it."""
    slug = f"judged-{next(_numbers)}"
    project = Project.objects.create(name=slug, slug=slug)
    for index in range(pairs):
        add_pair(project, f"GOOD answer {index}", f"bad {index}", outcome="a" if resolved else "")
    return project


def add_pair(project, text_a, text_b, *, outcome="", question=None, disputed=False):
    messages = [{"role": "user", "content": question or f"Question {next(_numbers)}?"}]
    prompt = Prompt.objects.create(project=project, messages=messages, content_hash=prompt_hash(messages))
    a, b = (
        Response.objects.create(
            prompt=prompt,
            text=text,
            content_hash=response_hash(text, name),
            model_name=name,
        )
        for text, name in ((text_a, "canary-model-a"), (text_b, "canary-model-b"))
    )
    comparison = Comparison.objects.create(project=project, prompt=prompt, response_a=a, response_b=b)
    if outcome:
        Resolution.objects.create(
            comparison=comparison,
            project=project,
            outcome=outcome,
            p_a={"a": 1.0, "b": 0.0}.get(outcome, 0.5),
            is_disputed=disputed,
            **{f"votes_{outcome}": 1},
        )
    return comparison


def make_user(project=None, role=None):
    user = User.objects.create_user(f"person-{next(_numbers)}", password="chosen-pass-1")
    if project is not None:
        Membership.objects.create(project=project, user=user, role=role)
    return user


def make_endpoint(project, base_url="http://127.0.0.1:9/v1", **fields):
    return Endpoint.objects.create(
        project=project, name=f"endpoint-{next(_numbers)}", base_url=base_url, model="judge-1", **fields
    )


def make_version(project, *, name="Judge", base_url="http://127.0.0.1:9/v1", **fields):
    endpoint = make_endpoint(project, base_url)
    spec = VersionSpec(engine="openai", endpoint=endpoint, **fields)
    return judge_create(project=project, name=name, spec=spec)


def add_verdict(version, comparison, order="ab", status="ok", outcome="a", **fields):
    comparison = Comparison.objects.select_related("prompt", "response_a", "response_b").get(pk=comparison.pk)
    key = verdict_hash(version, comparison, order, PARSER_VERSION)
    values = {"parser_version": PARSER_VERSION, "provenance_hash": key, "finish_reason": "stop"} | fields
    return Verdict.objects.create(
        judge_version=version, comparison=comparison, order=order, status=status, outcome=outcome, **values
    )


def judge_both(version, comparison, outcome_ab, outcome_ba, p=None):
    for order, outcome in ((Order.AB, outcome_ab), (Order.BA, outcome_ba)):
        add_verdict(version, comparison, order, outcome=outcome, p_a=p, label_mass=None if p is None else 1.0)
