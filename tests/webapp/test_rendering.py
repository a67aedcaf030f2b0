"""Untrusted text to HTML: what must appear, what must never, and how long it may take."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from django.template import Context, Template

from webapp.ui.rendering import MAX_BRACKETS, MAX_CHARS, render_markdown
from webapp.ui.sanitizer import MATH_TAGS, TEXT_TAGS, clean
from webapp.ui.templatetags.ui import dot_x
from webapp.ui.tex import render_tex


class Inventory(HTMLParser):
    """Every tag and attribute of a page, as a browser's parser sees them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text += data


def test_chinese_emphasis_beside_punctuation():
    assert "<strong>你好：</strong>世界" in render_markdown("**你好：**世界")
    assert "<strong>“你好。”</strong>然后" in render_markdown("他说**“你好。”**然后")
    assert "<em>注意</em>，" in render_markdown("请*注意*，好")
    assert "<strong>（一）</strong>の" in render_markdown("**（一）**の")


def test_english_emphasis_stays_as_it_was():
    assert "<em>a</em>b <strong>c</strong>" in render_markdown("*a*b **c**")
    assert "2 * 3 * 4" in render_markdown("2 * 3 * 4")
    assert "snake_case_name" in render_markdown("snake_case_name")
    assert "a**“b”**c" in render_markdown("a**“b”**c")


def test_tables_lists_code_and_strikethrough():
    html = render_markdown(
        "| a | b |\n|:-:|--:|\n| 1 | ~~2~~ |\n\n1. x\n2. y\n\n```python\ndef f(): pass\n```"
    )
    assert '<th class="align-center">a</th>' in html
    assert '<td class="align-right"><s>2</s></td>' in html
    assert "<ol>" in html
    assert '<span class="k">def</span>' in html
    assert "style=" not in html


def test_single_line_breaks_are_kept():
    assert "a<br>\nb" in render_markdown("a\nb")


@pytest.mark.parametrize(
    "text",
    ["$x^2$", r"\(x^2\)", "$$x^2$$", "\\[\nx^2\n+ y\n=\nz\n\\]", r"so \[ x \] holds"],
)
def test_maths_becomes_mathml(text):
    html = render_markdown(text)
    assert "<math" in html
    assert "<mi>x</mi>" in html
    assert "<li>" not in html


def test_prices_are_not_maths():
    assert "<math" not in render_markdown("It costs $5, or $6 with tax; US$ 7 at most.")


@pytest.mark.parametrize(
    "tex", [r"\frac{", r"\left(", "{" * 900, "^", r"\begin{x}", r"\unknowncommand{", "x" * 3000]
)
def test_bad_tex_shows_its_source(tex):
    html = render_tex(tex, display=False)
    assert html.startswith(("<code", "<math"))
    assert render_markdown(f"before ${tex}$ after").startswith("<p>before")


def test_tex_macros_are_refused_before_they_can_double():
    bomb = "".join(rf"\newcommand{{\{chr(98 + i)}}}{{\{chr(97 + i)}\{chr(97 + i)}}}" for i in range(24))
    started = time.process_time()
    assert render_tex(bomb + r"\z", display=True).startswith('<code class="tex">')
    assert time.process_time() - started < 1


def test_a_formula_cannot_hide_or_cover_anything():
    html = render_markdown(r"$\color{white}{x} \hspace{900em} \raisebox{30em}{y} \Huge z$")
    names = {name for _tag, name, _value in Inventory(html).attributes}
    assert not names & {"mathcolor", "voffset", "height", "depth", "mathsize", "style", "href"}
    widths = [float(v.removesuffix("em")) for _t, name, v in Inventory(html).attributes if name == "width"]
    assert all(width <= 4 for width in widths)


def test_images_become_links_and_links_are_tamed():
    html = render_markdown(
        "![a cat](https://evil.example/x.png) [ok](https://good.example) [no](/admin/logout)"
    )
    found = Inventory(html)
    assert "img" not in found.tags
    links = [value for _tag, name, value in found.attributes if name == "href"]
    assert links == ["https://evil.example/x.png", "https://good.example"]
    assert html.count('rel="noopener noreferrer nofollow"') == 2
    assert html.count('target="_blank"') == 2
    assert "a cat · evil.example" in found.text


XSS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<math><annotation-xml encoding='text/html'><script>alert(1)</script></annotation-xml></math>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x](//evil.example/a)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![\"onerror=alert(1) x=\"](https://e.example/\"onerror=\"alert(1))",
    "[x](https://e.example \"\\\" onmouseover=alert(1) x=\\\"\")",
    "[a]: javascript:alert(1)\n\n[a]",
    "```\"><script>alert(1)</script>\ncode\n```",
    "```html\n<script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    "$\\text{<script>alert(1)</script>}$",
    "$\\href{javascript:alert(1)}{x}$",
    "$\\text{<img src=x onerror=alert(1)>}$",
    "$$\\unicode{x3c}script\\unicode{x3e}$$",
    "\\(</math><script>alert(1)</script>\\)",
    "| <script>alert(1)</script> |\n|-|\n| <img src=x onerror=alert(1)> |",
    "<style>*{display:none}</style>",
    "<form action=https://evil.example><input name=csrf></form>",
    "<base href=https://evil.example>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<div style='position:fixed;inset:0'>over</div>",
    "<x onclick=alert(1)>x</x>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\x00<script>alert(1)</script>",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "\ud800<script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "hx-get=/admin <b hx-get='/admin' hx-trigger=load>x</b>",
]  # fmt: skip


@pytest.mark.parametrize("payload", XSS)
def test_xss_corpus_leaves_only_the_allow_list(payload):
    for html in (
        render_markdown(payload),
        render_markdown(f"- x\n\n> {payload}"),
        clean(payload.replace("\ud800", "")),
    ):
        found = Inventory(html)
        assert found.tags <= TEXT_TAGS | MATH_TAGS, html
        for _tag, name, value in found.attributes:
            assert not name.startswith(("on", "hx-", "data-")), html
            assert name not in {"style", "id", "src", "srcdoc", "action", "name"}, html
            if name == "href":
                assert re.match(r"https?://|mailto:", value), html


HARD = {
    "stars": "*a " * MAX_CHARS,
    "bold": "**a" * MAX_CHARS,
    "brackets": "[" * MAX_CHARS,
    "most brackets": "[](" * MAX_BRACKETS,
    "most images": "![" * MAX_BRACKETS + "a" * MAX_CHARS,
    "links": "[a](" * MAX_CHARS,
    "images": "![" * MAX_CHARS,
    "tex inline": "\\(" * MAX_CHARS,
    "tex block": "\\[\n" * MAX_CHARS,
    "dollars": "$a " * MAX_CHARS,
    "ticks": "`a``" * MAX_CHARS,
    "quotes": ">" * MAX_CHARS,
    "nesting": "- " * MAX_CHARS,
    "tildes": "~~a " * MAX_CHARS,
    "formulas": "$x_1^2$ " * MAX_CHARS,
    "entities": "&" * MAX_CHARS,
    "references": "[a]: x\n" * MAX_CHARS,
    "code": "```python\n" + "('" * MAX_CHARS,
}


@pytest.mark.parametrize("name", HARD)
def test_the_worst_texts_of_the_largest_size_take_seconds_at_most(name):
    started = time.process_time()
    assert render_markdown(HARD[name][:MAX_CHARS])
    assert time.process_time() - started < 3


def test_a_megabyte_is_shown_as_it_is():
    text = "**x** <b>&\n" * 100_000
    started = time.process_time()
    html = render_markdown(text)
    assert time.process_time() - started < 2
    assert html.startswith('<pre class="plain">**x** &lt;b&gt;&amp;\n')


def test_the_second_rendering_comes_from_the_cache(monkeypatch):
    text = "a *text* that is rendered once"
    first = render_markdown(text)
    monkeypatch.setattr("webapp.ui.rendering._render", lambda _text: "never")
    assert render_markdown(text) == first


def test_the_filter_takes_nothing_and_anything():
    template = Template("{% load ui %}{{ value|markdown }}")
    assert template.render(Context({"value": None})) == ""
    assert template.render(Context({"value": 7})) == "<p>7</p>\n"


@pytest.mark.parametrize(
    ("p", "x"), [(1.0, "2.0%"), (0.0, "98.0%"), (0.5, "50.0%"), (None, "50.0%"), (7, "2.0%")]
)
def test_the_dot_stands_on_the_preferred_side(p, x):
    assert dot_x(p) == x
