"""Texts that people type, made fit for a database."""

from __future__ import annotations


def clean_text(raw: str) -> str:
    """Without NUL, with one kind of line end, and with lone surrogates, which JSON can carry, replaced by "?"."""
    text = raw.replace("\x00", "").replace("\r\n", "\n").strip()
    return text.encode("utf-8", "replace").decode("utf-8")
