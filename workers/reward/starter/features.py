"""Text to sparse columns, with nothing learned: the same text gives the same row for ever.

Four blocks side by side. A gram counts once, however often it stands in a text:

* ``words``: 1-2-grams, lower case, punctuation marks as words. A Chinese or Japanese character counts as a word,
  so Chinese gives its characters and its two-character words: no segmenter needed.
* ``outlines``: 1-3-grams in which a longer word is its last two letters alone, so what remains is how a text is
  built and not what it is about ("because the ~er is ~ed"). They and the style columns carry over to a topic
  never seen (docs/experiments.md); the idea is that of distorted texts in authorship (Stamatatos 2017).
* ``characters``: 3-5-grams, case kept.
* ``STYLE``: some twenty measures of length and form.

Only the response is read. The prompt is the same on both sides of a pair, so its columns would cancel in the
difference of a linear model and teach nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
TOKEN = re.compile(rf"[{CJK}]|[^\W{CJK}]+|[^\w\s]")
SENTENCE_END = re.compile(r"[.!?。！？…]+")
END_MARKS = ".!?。！？…"
OUTLINED = 4  # the longest word that an outline keeps
VERSION = 2
STYLE = (
    "characters", "words", "sentences", "distinct_words", "commas", "lines", "mean_word_length",
    "words_a_sentence", "long_words", "capitals", "distinct_share", "starts_with_capital", "ends_with_mark",
    "exclamations", "questions", "quotes", "shouted_words", "lower_case_i", "digits", "double_spaces",
    "root_length",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What decides a row; saved with the model and hashed into ``template_hash``."""

    hash_bits: int = 18
    max_chars: int = 20_000
    word_weight: float = 1.0
    outline_weight: float = 4.0
    character_weight: float = 0.5
    style_weight: float = 10.0
    version: int = VERSION

    @property
    def columns(self) -> int:
        """Width of a row: three hashed channels and the style columns."""
        return 3 * (1 << self.hash_bits) + len(STYLE)

    @property
    def template_hash(self) -> str:
        """Says that the response alone is read, and how."""
        text = json.dumps({"reads": "response", "style": STYLE, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FeatureSpec:
        """The inverse of ``dataclasses.asdict``."""
        return cls(**values)


def clean(text: str, max_chars: int) -> str:
    """Replace lone surrogates, which cannot be hashed, and keep the first ``max_chars`` characters."""
    return text[:max_chars].encode("utf-8", "replace").decode("utf-8")


def tokens(text: str) -> list[str]:
    """Lower-case words, single Chinese or Japanese characters, and punctuation marks."""
    return TOKEN.findall(text.lower())


def word_grams(text: str) -> list[str]:
    """Word 1-grams and 2-grams."""
    words = tokens(text)
    return words + [f"{a} {b}" for a, b in itertools.pairwise(words)]


def outline_grams(text: str) -> list[str]:
    """1-grams to 3-grams of words that keep their form alone where they have more than four letters."""
    words = [w if len(w) <= OUTLINED else f"~{w[-2:]}" for w in tokens(text)]
    return [" ".join(gram) for n in (1, 2, 3) for gram in zip(*(words[i:] for i in range(n)), strict=False)]


def style(text: str) -> list[float]:
    """The ``STYLE`` columns. Fixed scales bring each near the range 0..5; nothing is fitted."""
    words = [w for w in TOKEN.findall(text) if w[0].isalnum() or w[0] == "_"]
    lower = [w.lower() for w in words]
    sentences = sum(1 for s in SENTENCE_END.split(text) if s.strip())
    n_chars, n_words = max(1, len(text)), max(1, len(words))
    stripped = text.rstrip()
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(sentences),
        math.log1p(len(set(lower))),
        math.log1p(text.count(",") + text.count("，")),
        math.log1p(text.count("\n")),
        sum(map(len, words)) / n_words / 2,
        math.log1p(n_words / max(1, sentences)),
        3 * sum(len(w) >= 7 for w in words) / n_words,
        10 * sum(c.isupper() for c in text) / n_chars,
        2 * len(set(lower)) / n_words,
        float(text[:1].isupper()),
        float(bool(stripped) and stripped[-1] in END_MARKS),
        math.log1p(text.count("!") + text.count("！")),
        math.log1p(text.count("?") + text.count("？")),
        math.log1p(text.count('"') + text.count("“")),
        5 * sum(len(w) > 1 and w.isupper() for w in words) / n_words,
        10 * sum(w == "i" for w in words) / n_words,
        math.log1p(sum(c.isdigit() for c in text)),
        float("  " in text),
        math.sqrt(len(text)) / 8,
    ]


def _hashed(texts: Sequence[str], weight: float, bits: int, **how: Any) -> sparse.csr_matrix:
    vectorizer = HashingVectorizer(
        n_features=2**bits, alternate_sign=False, norm=None, binary=True, dtype=np.float32, **how
    )
    return vectorizer.transform(texts) * np.float32(weight)


def featurise(texts: Sequence[str], spec: FeatureSpec) -> sparse.csr_matrix:
    """Rows for N texts, (N, spec.columns) float32. About 1.5 ms for each 1,000 characters."""
    cleaned = [clean(t, spec.max_chars) for t in texts]
    if not cleaned:
        return sparse.csr_matrix((0, spec.columns), dtype=np.float32)
    blocks = [
        _hashed(cleaned, spec.word_weight, spec.hash_bits, analyzer=word_grams),
        _hashed(cleaned, spec.outline_weight, spec.hash_bits, analyzer=outline_grams),
        _hashed(
            cleaned,
            spec.character_weight,
            spec.hash_bits,
            analyzer="char",
            ngram_range=(3, 5),
            lowercase=False,
        ),
        sparse.csr_matrix(np.array([style(t) for t in cleaned]) * spec.style_weight),
    ]
    return sparse.hstack(blocks, format="csr", dtype=np.float32)


def sizes(texts: Sequence[str], spec: FeatureSpec) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Words read of each text (N,), and whether text was cut (N,)."""
    counts = np.array([len(tokens(clean(t, spec.max_chars))) for t in texts], dtype=np.int64)
    return counts, np.array([len(t) > spec.max_chars for t in texts], dtype=np.bool_)
