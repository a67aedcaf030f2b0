"""Encryption at rest of stored secrets: Fernet, its key derived from CHOSEN_ENCRYPTION_KEY or SECRET_KEY."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from webapp.outbound import Secret


class SealError(Exception):
    """The stored secret cannot be opened: the encryption key has changed. It must be entered again."""

    permanent = True


def seal(secret: Secret) -> str:
    """The secret as it may be stored."""
    return _fernet().encrypt(secret.reveal().encode()).decode("ascii")


def unseal(sealed: str) -> Secret:
    """The secret again. Raises SealError."""
    try:
        return Secret(_fernet().decrypt(sealed.encode("ascii")).decode())
    except (InvalidToken, UnicodeError) as error:
        raise SealError from error


def _fernet() -> Fernet:
    material = settings.ENCRYPTION_KEY or settings.SECRET_KEY
    # The words of `info` are part of the key: other ones would lose every stored secret.
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"chosen: endpoint keys").derive(
        material.encode()
    )
    return Fernet(base64.urlsafe_b64encode(derived))
