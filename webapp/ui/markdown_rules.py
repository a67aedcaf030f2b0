r"""Two additions to markdown-it: emphasis that works beside Chinese and Japanese, and TeX in \( \) and \[ \].

Emphasis: CommonMark refuses `**你好：**世界`, because its closing run stands between punctuation and a
letter. The rule here follows the "CJK-friendly emphasis" amendment (github.com/tats-u/markdown-cjk-friendly):
CJK characters and their punctuation never stop a run from opening or closing.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter

_EMOJI_FROM = 0x1F000
_EMOJI_TO = 0x1FAFF
_IDEOGRAPHIC_SPACE = "\u3000"


@lru_cache(maxsize=8192)
def is_cjk(char: str) -> bool:
    """Wide, full-width and half-width forms (letters and punctuation alike), emoji left out."""
    if _EMOJI_FROM <= ord(char) <= _EMOJI_TO or char == _IDEOGRAPHIC_SPACE:
        return False
    return unicodedata.east_asian_width(char) in "WFH"


def _is_space(char: str) -> bool:
    return isWhiteSpace(ord(char)) or char in "\n\t"


def _is_punctuation(char: str) -> bool:
    return not is_cjk(char) and (isMdAsciiPunct(ord(char)) or isPunctChar(char))


def flanking(before: str, after: str) -> tuple[bool, bool]:
    """Whether a run of `*` between these two characters may open (left-flanking), may close (right-)."""
    opens = not _is_space(after) and (
        not _is_punctuation(after) or _is_space(before) or _is_punctuation(before) or is_cjk(before)
    )
    closes = not _is_space(before) and (
        not _is_punctuation(before) or _is_space(after) or _is_punctuation(after) or is_cjk(after)
    )
    return opens, closes


def _star_run(state: StateInline, silent: bool) -> bool:
    """Delimiter run of `*`; runs of `_` are left to CommonMark's own rule."""
    start, source = state.pos, state.src
    if silent or source[start] != "*":
        return False
    end = start
    while end < state.posMax and source[end] == "*":
        end += 1
    opens, closes = flanking(
        source[start - 1] if start > 0 else " ", source[end] if end < state.posMax else " "
    )
    for _ in range(end - start):
        token = state.push("text", "", 0)
        token.content = "*"
        state.delimiters.append(
            Delimiter(
                marker=ord("*"),
                length=end - start,
                token=len(state.tokens) - 1,
                end=-1,
                open=opens,
                close=closes,
            )
        )
    state.pos = end
    return True


def cjk_emphasis(md: MarkdownIt) -> None:
    """Plug-in: the CJK-friendly rule for `*` and `**`, ahead of the ordinary one."""
    md.inline.ruler.before("emphasis", "cjk_emphasis", _star_run)


def _find_close(state: StateInline | StateBlock, close: str, start: int) -> int:
    """Position of `close` at or after `start`, -1 for none. A failure is kept: the whole stays linear."""
    hopeless = state.env.setdefault("tex_hopeless", {})
    key = (state.src, close)
    if start >= hopeless.get(key, len(state.src) + 1):
        return -1
    found = state.src.find(close, start)
    if found < 0:
        hopeless[key] = start
    return found


def _tex_inline(state: StateInline, silent: bool) -> bool:
    opening = state.src[state.pos : state.pos + 2]
    if opening not in ("\\(", "\\["):
        return False
    end = _find_close(state, "\\)" if opening == "\\(" else "\\]", state.pos + 2)
    if end < 0 or end + 2 > state.posMax or not state.src[state.pos + 2 : end].strip():
        return False
    if not silent:
        kind = "math_inline" if opening == "\\(" else "math_inline_double"
        state.push(kind, "math", 0).content = state.src[state.pos + 2 : end].strip()
    state.pos = end + 2
    return True


def _tex_block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    r"""Lines from one that begins with `\[` to one that ends with `\]`: TeX lines are not read as lists."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    if state.is_code_block(start_line) or not state.src.startswith("\\[", begin):
        return False
    end = _find_close(state, "\\]", begin + 2)
    if end < 0:
        return False
    line = start_line
    while line < end_line and state.eMarks[line] < end:
        line += 1
        if line < end_line and state.sCount[line] < state.blkIndent and not state.isEmpty(line):
            return False
    if line >= end_line or state.src[end + 2 : state.eMarks[line]].strip(" .,，。"):
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.block = True
        token.content = state.src[begin + 2 : end].strip()
        token.map = [start_line, line + 1]
    state.line = line + 1
    return True


def tex_brackets(md: MarkdownIt) -> None:
    r"""Plug-in: `\( \)` inline, `\[ \]` displayed, as language models write them."""
    md.inline.ruler.before("escape", "tex_brackets", _tex_inline)
    md.block.ruler.before(
        "fence", "tex_brackets", _tex_block, {"alt": ["paragraph", "reference", "blockquote"]}
    )
