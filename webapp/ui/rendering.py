"""Untrusted text to safe HTML: markdown, code and maths, as language models write them.

markdown-it with HTML off writes the markup, nh3 lets through an allow-list of it, and nothing is fetched from
another host: an image becomes a link. Cost is bounded: texts above MAX_CHARS or MAX_BRACKETS, and any
that the parser cannot take, are shown as they are. Results are kept in the cache under the hash of the text.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from webapp.caches import page_cache
from webapp.ui.markdown_rules import cjk_emphasis, tex_brackets
from webapp.ui.sanitizer import clean
from webapp.ui.tex import render_tex

log = logging.getLogger(__name__)

MAX_CHARS = 40_000
# Each bracket may open a link, and the parser looks ahead from every one: the cost grows with their square.
MAX_BRACKETS = 2_000
MAX_CODE_CHARS = 20_000
CACHE_S = 3600
# Part of every cache key; raise it when the output changes.
VERSION = 2
# Two prices in a sentence are no formula: an amount, then words (`$6 with tax; US$`), or Chinese.
_MONEY = re.compile(r"\d[\d.,]*(?:[kKmM]?[,;:]?\s+[A-Za-z]+[,;:.]?\s+[A-Za-z]+|\s*[\u4e00-\u9fff])")
LINK_SCHEMES = ("http://", "https://", "mailto:")


def render_markdown(text: str) -> SafeString:
    """Safe HTML of `text`. Never raises; the same text costs one rendering an hour for each process."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "�")
    key = f"markdown:{VERSION}:{hashlib.sha256(text.encode()).hexdigest()}"
    found: str | None = page_cache.get(key)
    if found is None:
        found = _render(text)
        page_cache.set(key, found, CACHE_S)
    return mark_safe(found)  # noqa: S308 - cleaned by the sanitizer's allow-list


def render_plain(text: str) -> SafeString:
    """The text as it is, line breaks kept."""
    return mark_safe(f'<pre class="plain">{escape(text)}</pre>')  # noqa: S308 - escaped


def _render(text: str) -> str:
    if len(text) > MAX_CHARS or text.count("[") > MAX_BRACKETS:
        return render_plain(text)
    try:
        return clean(_PARSER.render(text))
    except (RecursionError, ValueError, IndexError, KeyError) as error:
        # The parsers are other people's code and the text is anybody's: the reader gets the text in any case.
        log.warning("A text of %d characters could not be rendered: %r", len(text), error)
        return render_plain(text)


def highlight_code(code: str, language: str, _attributes: str) -> str:
    """Code with pygments' classes; plain where the language is unknown or the code is long."""
    if not language or len(code) > MAX_CODE_CHARS:
        return escape(code)
    try:
        lexer = get_lexer_by_name(language.strip().lower(), stripnl=False)
    except ClassNotFound:
        return escape(code)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))


def _is_allowed_link(url: str) -> bool:
    return url.lower().startswith(LINK_SCHEMES)


def _image_as_link(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any
) -> str:
    """No picture is fetched: its place is taken by a link that names its host."""
    token = tokens[index]
    url = str(token.attrs.get("src", ""))
    label = renderer.renderInlineAsText(token.children or [], options, env).strip()
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    text = escape(" · ".join(part for part in (label, host) if part) or url)
    return f'<a class="image" href="{escape(url)}">▣ {text}</a>'


def _math(display: bool) -> Any:
    def rule(_renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
        if tokens[index].markup == "$" and _MONEY.match(tokens[index].content):
            return f"${escape(tokens[index].content)}$"
        return render_tex(tokens[index].content, display=display)

    return rule


def _aligned_cell(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Table cells are aligned by class: the page's policy allows no inline style."""
    token = tokens[index]
    style = str(token.attrs.pop("style", ""))
    if style.startswith("text-align:"):
        token.attrSet("class", f"align-{style.removeprefix('text-align:').strip()}")
    return renderer.renderToken(tokens, index, options, env)


def _build() -> MarkdownIt:
    md = MarkdownIt(
        "commonmark",
        {
            "html": False,
            "linkify": False,
            "typographer": False,
            "breaks": True,
            "highlight": highlight_code,
            "maxNesting": 40,
        },
    )
    md.enable(["table", "strikethrough"])
    md.use(cjk_emphasis)
    md.use(dollarmath_plugin, allow_labels=False, allow_space=False, allow_digits=False, double_inline=True)
    md.use(tex_brackets)
    md.validateLink = _is_allowed_link  # type: ignore[method-assign]
    for name, display in (("math_inline", False), ("math_inline_double", True), ("math_block", True)):
        md.add_render_rule(name, _math(display))
    md.add_render_rule("image", _image_as_link)
    md.add_render_rule("th_open", _aligned_cell)
    md.add_render_rule("td_open", _aligned_cell)
    return md


_PARSER = _build()
