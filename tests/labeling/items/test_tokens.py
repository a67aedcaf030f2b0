"""What the words of a text are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.search.tokens import MAX_BYTES, MAX_WORD, query_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Solubility, of SALT.", "solubility of salt"),
        ("Café naïve Ÿ", "cafe naive y"),
        ("ＡＢＣ ﬁne ①", "abc fine 1"),
        ("STRASSE Straße", "strasse"),
        ("v1.2 a-b don't snake_case", "v1 2 a b don t snake case"),
        ("溶解度", "溶 溶解 解 解度 度"),
        ("pH溶x", "ph 溶 x"),
        ("がくせい", "が がく く くせ せ せい い"),
        ("한국어 공부", "한국어 공부"),
        ("👍 🇨🇳 ☃", ""),
        ("", ""),
        ("a a A á", "a"),
        ("\x00bad\ud800text", "bad text"),
    ],
)
def test_words(text, words):
    line = words_of([text])
    assert sorted(line.split()) == sorted(words.split())
    assert line == "" or (line.startswith(" ") and line.endswith(" "))


@pytest.mark.parametrize(
    ("typed", "words", "phrases"),
    [
        ("溶解度", ("溶解", "解度"), ()),
        ("溶", ("溶",), ()),
        ("salt 溶解 Salt", ("salt", "溶解"), ()),
        ('"Dissolved salt" water', ("dissolved", "salt", "water"), ("Dissolved salt",)),
        ('half"', ("half",), ()),
        ("“溶解 salt”", ("溶解", "salt"), ("溶解 salt",)),
        ("!!!", (), ()),
        ('a" OR b*', ("a", "or", "b"), ()),
    ],
)
def test_what_is_looked_for(typed, words, phrases):
    query = query_of(typed)
    assert (query.words, query.phrases) == (words, phrases)


@given(st.text(max_size=200))
def test_a_text_holds_every_word_that_a_search_for_it_asks_for(text):
    assert set(query_of(text).words) <= set(words_of([text]).split())


def test_words_are_bounded_in_length_and_number():
    assert words_of(["x" * 500]) == f" {'x' * MAX_WORD} "
    assert query_of("x" * 500).words == ("x" * MAX_WORD,)
    # 20,000 different characters of three bytes each; each text has other pairs of them.
    texts = ["".join(chr(0x4E00 + step * index % 20_000) for index in range(20_000)) for step in (1, 3, 7)]
    assert MAX_BYTES - 10 < len(words_of(texts).encode()) <= MAX_BYTES + 1
