"""Signatures of the Standard Webhooks specification, version 1.0.0 (standardwebhooks.com), symmetric kind.

`v1,` and base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`; several signatures stand beside each other with a
space between them. A secret is `whsec_` and base64 of 24 to 64 bytes; ours have 32.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from webapp.outbound import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32


def secret_new() -> Secret:
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii"))


def signature(keys: Iterable[Secret], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature by each of the secrets. `timestamp` is in seconds."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(_signed_with(key, signed) for key in keys)


def _signed_with(key: Secret, content: bytes) -> str:
    raw = base64.b64decode(key.reveal().removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(raw, content, hashlib.sha256)).decode("ascii")
