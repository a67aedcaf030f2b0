"""The allow-list that rendered text passes through. What is not named here does not reach a page."""

from __future__ import annotations

import nh3
from pygments.token import STANDARD_TYPES

TEXT_TAGS = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em",
    "strong", "s", "a", "span", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
# MathML Core, presentation only: no annotation-xml, maction or semantics, which can carry other markup.
MATH_TAGS = {
    "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle", "mpadded",
    "mphantom", "menclose", "mover", "munder", "munderover", "msub", "msup", "msubsup", "mmultiscripts",
    "mprescripts", "none", "mtable", "mtr", "mtd", "mlabeledtr", "mfenced", "merror",
}  # fmt: skip
MATH_ATTRIBUTES = {
    "display", "mathvariant", "stretchy", "fence", "separator", "form", "lspace", "rspace", "minsize",
    "maxsize", "symmetric", "largeop", "movablelimits", "accent", "accentunder", "linethickness",
    "scriptlevel", "displaystyle", "columnalign", "rowalign", "columnlines", "rowlines", "columnspan", "rowspan",
    "width", "notation", "open", "close", "separators",
}  # fmt: skip
# Colours, sizes and offsets are left out: a formula could hide itself or lie over other text.
MAX_WIDTH_EM = 4.0
CODE_CLASSES = {name for name in STANDARD_TYPES.values() if name}
ALIGN_CLASSES = {"align-left", "align-center", "align-right"}


def _keep(_tag: str, attribute: str, value: str) -> str | None:
    """Attribute values, widths up to MAX_WIDTH_EM alone: enough for every space of TeX."""
    if attribute not in ("width", "lspace", "rspace"):
        return value
    try:
        is_small = 0 <= float(value.removesuffix("em")) <= MAX_WIDTH_EM
    except ValueError:
        return None
    return value if is_small else None


_CLEANER = nh3.Cleaner(
    tags=TEXT_TAGS | MATH_TAGS,
    attributes={
        "a": {"href", "title"},
        "ol": {"start"},
        **dict.fromkeys(MATH_TAGS, MATH_ATTRIBUTES),
    },
    attribute_filter=_keep,
    allowed_classes={
        "span": CODE_CLASSES,
        "code": {"tex"},
        "pre": {"plain"},
        "a": {"image"},
        "th": ALIGN_CLASSES,
        "td": ALIGN_CLASSES,
    },
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    strip_comments=True,
)


def clean(html: str) -> str:
    """Only the tags, attributes, classes and URL schemes named above."""
    return _CLEANER.clean(html)
