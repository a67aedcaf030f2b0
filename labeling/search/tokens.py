"""The words of a text, the same for both databases, whose own ways of cutting texts differ.

A word is a run of letters and digits, without regard to case, width (NFKC) or accents. Chinese, Japanese kana and
Thai are written without spaces: of a run of those each character and each pair of neighbours is a word, so that a
search for several characters asks for all their pairs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_CHARACTERS = 20_000  # of one text
MAX_BYTES = 400_000  # of all words of one prompt: PostgreSQL holds a megabyte
MAX_WORD = 64  # characters
ACCENTS = dict.fromkeys(range(768, 880))
# Han with its extensions, kana, Thai, Lao, Khmer, Burmese.
UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
WORD = re.compile(rf"([{UNSPACED}]+)|(?:(?![{UNSPACED}])[^\W_])+")
QUOTED = re.compile(r'["“”„«»]([^"“”„«»]+)["“”„«»]')


def folded(text: str) -> str:
    """Without case, width and accents; Japanese and Korean syllables stay whole."""
    plain = unicodedata.normalize("NFKD", text.casefold()).casefold()
    return unicodedata.normalize("NFKC", plain.translate(ACCENTS))


def words_of(texts: Iterable[str]) -> str:
    """The different words of the texts, each with a space before and behind it; "" where there is none."""
    found: dict[str, None] = {}
    size = 0
    for text in texts:
        for word in _index_words(text[:MAX_CHARACTERS]):
            if word not in found:
                size += len(word.encode()) + 1
                if size > MAX_BYTES:
                    return _joined(found)
                found[word] = None
    return _joined(found)


def _joined(words: Iterable[str]) -> str:
    line = " ".join(words)
    return f" {line} " if line else ""


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Each run of word characters, and whether it is of a script without spaces."""
    for match in WORD.finditer(folded(text)):
        yield match.group(), match.group(1) is not None


def _index_words(text: str) -> Iterator[str]:
    for run, is_unspaced in _runs(text):
        if is_unspaced:
            yield from run
            yield from (run[at : at + 2] for at in range(len(run) - 1))
        else:
            yield run[:MAX_WORD]


@dataclass(frozen=True)
class Query:
    """What somebody typed: words that must all be there, and quoted passages that must be there as they stand."""

    words: tuple[str, ...]
    phrases: tuple[str, ...]


def query_of(text: str) -> Query:
    """The words to look for: of a run of an unspaced script its pairs, of a single character itself."""
    words: dict[str, None] = {}
    for run, is_unspaced in _runs(text):
        if is_unspaced and len(run) > 1:
            words.update(dict.fromkeys(run[at : at + 2] for at in range(len(run) - 1)))
        else:
            words[run[:MAX_WORD]] = None
    return Query(tuple(words), tuple(dict.fromkeys(phrase.strip() for phrase in QUOTED.findall(text))))
