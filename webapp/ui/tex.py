"""TeX formulas to MathML, by latex2mathml, without what makes it unsafe to feed.

The library writes its entities by undoing XML escapes, which would let `\\text{<script>}` through as markup;
here the tree is serialised properly. Formulas that define macros are refused: forty of them double into 2^40
nodes.
"""

from __future__ import annotations

import logging
import re
from xml.etree.ElementTree import Element, tostring

from django.utils.html import escape
from latex2mathml.converter import convert_to_element

log = logging.getLogger(__name__)

MAX_TEX_CHARS = 2_000
_MACRO = re.compile(r"\\(?:new|renew|provide)command|\\(?:g|e|x)?def\b|\\let\b|\\DeclareMathOperator")
_ENTITY = re.compile(r"&#x([0-9A-Fa-f]{1,6});")


def render_tex(source: str, *, display: bool) -> str:
    """MathML of a formula; its source in a `code.tex` where it is no TeX, too long, or defines macros."""
    if len(source) <= MAX_TEX_CHARS and not _MACRO.search(source):
        try:
            return _to_mathml(source, display=display)
        except (
            Exception
        ) as error:  # whatever the library's tables and stacks raise: the reader sees the source
            log.debug("Not TeX: %r (%r)", source[:80], error)
    return f'<code class="tex">{escape(source)}</code>'


def _to_mathml(source: str, *, display: bool) -> str:
    tree: Element = convert_to_element(source, display="block" if display else "inline")
    for element in tree.iter():
        if element.text:
            element.text = _ENTITY.sub(lambda match: chr(int(match[1], 16)), element.text)
    return tostring(tree, encoding="unicode")
