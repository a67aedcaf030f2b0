"""Slices to report accuracy by, derived from a pair's own text where the caller names none."""

from __future__ import annotations

import unicodedata

from .types import Pair

# Relative difference of the two texts' lengths below which they count as equally long.
SIMILAR_LENGTH = 0.1
LONG_GAP = 0.5
# Characters of the prompt that are looked at to name its script.
LOOKED_AT = 2000
SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "LATIN": "latin",
    "CYRILLIC": "cyrillic",
    "ARABIC": "arabic",
    "DEVANAGARI": "devanagari",
    "GREEK": "greek",
    "HEBREW": "hebrew",
    "THAI": "thai",
}


def length_slice(chosen: str, rejected: str) -> str:
    """Whether people preferred the longer text, and by how much the two differ."""
    gap = (len(chosen) - len(rejected)) / max(len(chosen), len(rejected), 1)
    if abs(gap) < SIMILAR_LENGTH:
        return "similar"
    size = "much_" if abs(gap) > LONG_GAP else ""
    return f"{size}{'longer' if gap > 0 else 'shorter'}_chosen"


def strength_slice(strength: float | None) -> str:
    """Slight (below 2), clear, or unknown."""
    if strength is None:
        return "unknown"
    return "slight" if strength < 2 else "clear"


def turns_slice(users: int) -> str:
    """Whether the prompt has ``several`` turns of the user, or ``one``."""
    return "several" if users > 1 else "one"


def script_slice(text: str) -> str:
    """The commonest script of a text: ``zh``, ``ja``, ``ko``, ``latin`` and so on, ``other``, or ``unknown`` without a
    letter. One kana makes Chinese characters Japanese. A script is what can be told for sure without a model."""
    counts: dict[str, int] = {}
    for character in text[:LOOKED_AT]:
        if character.isalpha():
            word = unicodedata.name(character, "").split(" ", 1)[0]
            name = SCRIPTS.get(word, "other")
            counts[name] = counts.get(name, 0) + 1
    if "ja" in counts:
        counts["ja"] += counts.pop("zh", 0)
    return max(counts, key=lambda name: (counts[name], name)) if counts else "unknown"


def derived_slices(pair: Pair) -> dict[str, str]:
    """``script``, ``turns``, ``length`` and ``strength`` of a pair. Length is told from the side that people prefer.
    No ``script`` where the pair's own slices name its ``language``, which says more."""
    preferred, other = (pair.chosen, pair.rejected) if pair.p_chosen >= 0.5 else (pair.rejected, pair.chosen)
    users = sum(message[0] == "user" for message in pair.messages)
    found = {
        "turns": turns_slice(users),
        "length": length_slice(preferred, other),
        "strength": strength_slice(None if pair.is_tie else pair.strength),
    }
    if "language" not in pair.slices:
        found["script"] = script_slice(" ".join(message[1] for message in pair.messages) or pair.chosen)
    return found
