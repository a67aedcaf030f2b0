"""Hashes that say where a verdict comes from: the cache keys of judging."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

from judging.models import JudgeVersion
from labeling.models import Comparison


def version_hash(version: JudgeVersion) -> str:
    """SHA-256 of everything that decides what a version says, the project's name for it left out."""
    return _digest(
        {
            "engine": version.engine,
            "base_url": version.base_url,
            "model": version.model,
            "revision": version.revision,
            "template": version.template,
            "template_version": version.template_version,
            "rubric": version.rubric,
            "language": version.language,
            "allow_tie": version.allow_tie,
            "reasoned": version.reasoned,
            "sampling": version.sampling,
            "pattern": version.pattern,
        }
    )


def verdict_hash(version: JudgeVersion, comparison: Comparison, order: str, parser_version: str) -> str:
    """SHA-256 of one call: the version, the judge that asks, the texts by hash, the order, the parser.

    `prompt`, `response_a` and `response_b` must be loaded. The judge is part of it because two judges of the
    same making are still two voices; the project is, through the comparison's own number.
    """
    return _digest(
        {
            "judge": version.judge_id,
            "version": version.number,
            "provenance": version.provenance_hash,
            "comparison": comparison.pk,
            "texts": [
                comparison.prompt.content_hash,
                comparison.response_a.content_hash,
                comparison.response_b.content_hash,
            ],
            "order": order,
            "parser": parser_version,
        }
    )


def marker_nonce(verdict_key: str) -> str:
    """The markers' nonce of one call: the same when it is asked again, unknown to whoever wrote the texts."""
    digest = hmac.new(settings.SECRET_KEY.encode(), verdict_key.encode(), hashlib.sha256)
    return digest.hexdigest()[:12]


def folder_revision(folder: Path) -> str:
    """SHA-256 over the names and bytes of a model folder's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
