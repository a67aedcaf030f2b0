"""The demo project's label scheme: guidelines, aspects, reason chips, and what each planted flaw means.

The scheme is project data, which a manager may change, so its names are stored texts in the project's
language ("en", "zh", or "both" for a project with labelers of either), not entries of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
SCHEME_LANGUAGES = ("en", "zh", "both")

ASPECTS: dict[str, tuple[str, str]] = {
    "helpful": ("Helpful", "有用"),
    "correct": ("Correct", "正确"),
    "safe": ("Safe", "安全"),
}

# How many steps their bars have; two tell the side alone.
ASPECT_STEPS = {"helpful": 4, "correct": 2, "safe": 2}

# Why the better response is better. At most 40 characters with both languages side by side.
REASONS: dict[str, tuple[str, str]] = {
    "correct": ("Facts and sums are right", "事实和计算正确"),
    "instructions": ("Follows the instructions", "按要求做"),
    "answers": ("Answers the question", "切题"),
    "complete": ("More complete", "更完整"),
    "concise": ("No padding", "不啰嗦"),
    "runs": ("The code works", "代码能跑"),
    "safe": ("Safer advice", "更安全"),
    "helps": ("Helps where the other refuses", "不无故拒答"),
    "context": ("Remembers the conversation", "记得前文"),
    "tone": ("Better tone", "语气更好"),
}

# Flaw → (the reason it gives for the other response, the aspect on which this response loses).
FLAWS: dict[str, tuple[str, str]] = {
    "wrong_fact": ("correct", "correct"),
    "wrong_arithmetic": ("correct", "correct"),
    "wrong_reasoning": ("correct", "correct"),
    "hallucinated": ("correct", "correct"),
    "buggy_code": ("runs", "correct"),
    "ignores_constraint": ("instructions", "helpful"),
    "misses_question": ("answers", "helpful"),
    "incomplete": ("complete", "helpful"),
    "vague": ("complete", "helpful"),
    "padded": ("concise", "helpful"),
    "over_refusal": ("helps", "helpful"),
    "forgets_context": ("context", "helpful"),
    "rude": ("tone", "helpful"),
    "sycophantic": ("correct", "correct"),
    "unsafe_advice": ("safe", "safe"),
}


def _named(names: tuple[str, str], language: str) -> str:
    english, chinese = names
    if language not in SCHEME_LANGUAGES:
        raise ValueError(f"language is {language!r}, not one of {', '.join(SCHEME_LANGUAGES)}")
    return {"en": english, "zh": chinese, "both": f"{english} · {chinese}"}[language]


def reason_names(keys: Iterable[str], language: str = "both") -> list[str]:
    """The chips' texts for reason keys, as `scheme_json(language)` has them."""
    return [_named(REASONS[key], language) for key in keys]


def scheme_json(language: str = "both") -> dict[str, Any]:
    """The label scheme as a project stores it (`labeling.scheme.read_scheme` accepts it)."""
    return {
        "allow_tie": True,
        "allow_both_bad": True,
        "aspects": [
            {"key": key, "name": _named(names, language), "steps": ASPECT_STEPS[key]}
            for key, names in ASPECTS.items()
        ],
        "reasons": reason_names(REASONS, language),
        "rationale": "optional",
        "screen": "both",
        "rewrites": True,
        "spans": True,
    }


def guidelines(language: str = "both") -> str:
    """The guidelines for labelers, as markdown. "both" puts the Chinese ones below the English ones."""
    if language not in SCHEME_LANGUAGES:
        raise ValueError(f"language is {language!r}, not one of {', '.join(SCHEME_LANGUAGES)}")
    wanted = ("en", "zh") if language == "both" else (language,)
    texts = [(FOLDER / f"guidelines.{name}.md").read_text(encoding="utf-8").strip() for name in wanted]
    return "\n\n---\n\n".join(texts)
