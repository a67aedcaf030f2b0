"""Endpoints: made, changed, probed, removed. The key goes in and never comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from judging.engines.base import Sampling
from judging.engines.openai import OpenAIEngine
from judging.models import Endpoint
from labeling.models import Project
from webapp.addresses import OutboundError
from webapp.audit.services import record
from webapp.outbound import Secret, check_outbound_url
from webapp.sealing import SealError, seal, unseal
from webapp.users.models import User

PROBE_DEADLINE_S = 20.0
MAX_CONCURRENCY = 64
MAX_DEADLINE_S = 1800


def endpoint_create(
    *,
    project: Project,
    name: str,
    base_url: str,
    model: str,
    api_key: Secret | None = None,
    concurrency: int = 4,
    deadline_s: int = 120,
    created_by: User | None = None,
) -> Endpoint:
    """A new endpoint. Raises ValidationError for an address that may not be called or a name in use."""
    endpoint = Endpoint(
        project=project,
        name=name,
        base_url=base_url.rstrip("/"),
        model=model,
        api_key_encrypted=seal(api_key) if api_key else "",
        concurrency=concurrency,
        deadline_s=deadline_s,
        created_by=created_by,
    )
    _check(endpoint)
    with transaction.atomic():
        endpoint.save(force_insert=True)
        record(action="endpoint.create", subject=name, actor=created_by, project_id=project.pk, url=base_url)
    return endpoint


@dataclass(frozen=True)
class EndpointChange:
    """What is to be changed; None leaves a field as it is."""

    name: str | None = None
    base_url: str | None = None
    model: str | None = None
    concurrency: int | None = None
    deadline_s: int | None = None
    api_key: Secret | None = None
    clear_key: bool = False


def endpoint_update(endpoint: Endpoint, change: EndpointChange, *, actor: User | None = None) -> Endpoint:
    """Change what is given. A new address forgets the old one's key and capabilities: a key must not be
    sent to a place for which nobody entered it. Raises ValidationError.
    """
    moved = change.base_url is not None and change.base_url.rstrip("/") != endpoint.base_url
    remodelled = change.model is not None and change.model != endpoint.model
    for field in ("name", "base_url", "model", "concurrency", "deadline_s"):
        value = getattr(change, field)
        if value is not None:
            setattr(endpoint, field, value)
    endpoint.base_url = endpoint.base_url.rstrip("/")
    _check(endpoint)
    if moved or change.clear_key:
        endpoint.api_key_encrypted = ""
    if moved or remodelled:
        endpoint.capabilities, endpoint.probe_error, endpoint.probed_at = {}, "", None
    if change.api_key:
        endpoint.api_key_encrypted = seal(change.api_key)
    with transaction.atomic():
        endpoint.save()
        record(
            action="endpoint.update",
            subject=endpoint.name,
            actor=actor,
            project_id=endpoint.project_id,
            moved=moved,
            new_key=bool(change.api_key),
        )
    return endpoint


@transaction.atomic
def endpoint_delete(endpoint: Endpoint, *, actor: User | None = None) -> None:
    """Remove it with its key; judge versions that used it keep their verdicts and can no longer run."""
    record(action="endpoint.delete", subject=endpoint.name, actor=actor, project_id=endpoint.project_id)
    endpoint.delete()


def endpoint_secret(endpoint: Endpoint) -> Secret | None:
    """The key for a call. Raises SealError when it cannot be opened any more."""
    return unseal(endpoint.api_key_encrypted) if endpoint.api_key_encrypted else None


def endpoint_probe(endpoint: Endpoint) -> Endpoint:
    """Ask one small question and remember which fields the server takes. Outside of any transaction.

    What went wrong is stored in `probe_error` in words; nothing is raised for a server that misbehaves.
    """
    error = ""
    capabilities: dict[str, Any] = {}
    try:
        engine = OpenAIEngine(
            base_url=endpoint.base_url,
            model=endpoint.model,
            secret=endpoint_secret(endpoint),
            sampling=Sampling(max_tokens=64),
            allow=settings.OUTBOUND_ALLOW,
            concurrency=1,
            deadline_s=PROBE_DEADLINE_S,
        )
    except SealError:
        error = _("The stored key cannot be opened any more. Enter it again.")
    else:
        try:
            reply = engine.probe()
            error, capabilities = reply.error, engine.dialect.to_json()
        finally:
            engine.close()
    endpoint.probe_error = error[:500]
    endpoint.capabilities = {} if error else capabilities
    endpoint.probed_at = timezone.now()
    endpoint.save(update_fields=["probe_error", "capabilities", "probed_at"])
    return endpoint


def endpoint_facts(endpoint: Endpoint) -> dict[str, bool]:
    """What the last probe found, for a page; empty before a probe that went well."""
    known = endpoint.capabilities
    if not known:
        return {}
    return {
        "log_probabilities": bool(known.get("top_logprobs")),
        "temperature": bool(known.get("temperature")),
        "seed": bool(known.get("seed")),
    }


def _check(endpoint: Endpoint) -> None:
    """Raise ValidationError with every problem. Resolves the host, so call it outside of a transaction."""
    problems: dict[str, str] = {}
    try:
        check_outbound_url(endpoint.base_url, allow=settings.OUTBOUND_ALLOW)
    except OutboundError as error:
        problems["base_url"] = str(error)
    if not endpoint.name.strip() or not endpoint.model.strip():
        problems["name"] = _("An endpoint needs a name and a model.")
    same = Endpoint.objects.filter(project=endpoint.project, name=endpoint.name)
    if same.exclude(pk=endpoint.pk).exists():
        problems["name"] = _("This project already has an endpoint of that name.")
    if not 1 <= endpoint.concurrency <= MAX_CONCURRENCY:
        problems["concurrency"] = _("Between 1 and %(most)d calls at once.") % {"most": MAX_CONCURRENCY}
    if not 1 <= endpoint.deadline_s <= MAX_DEADLINE_S:
        problems["deadline_s"] = _("Between 1 and %(most)d seconds.") % {"most": MAX_DEADLINE_S}
    if problems:
        raise ValidationError(problems)
