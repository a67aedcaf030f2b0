"""Every text of the sample renders as its author meant: formulas as MathML, no markup left over."""

import re

import pytest
from latex2mathml.converter import convert

from labeling.demo.data import load_sample
from labeling.demo.scheme import guidelines
from webapp.ui.rendering import render_markdown

SAMPLE = load_sample()
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
# Display before inline; a dollar before a space or with a digit after it is money.
TEX = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|\$(?! )([^$\n]+?)(?<! )\$(?!\d)",
    re.S,
)


def texts_of(prompt):
    return [content for _, content in prompt.messages] + [response.text for response in prompt.responses]


def formulas(text):
    return [next(filter(None, found)) for found in TEX.findall(CODE.sub("", text))]


def test_the_sample_has_many_formulas():
    assert sum(len(formulas(text)) for prompt in SAMPLE for text in texts_of(prompt)) > 150


@pytest.mark.parametrize("prompt", SAMPLE, ids=lambda prompt: prompt.id)
def test_every_formula_is_tex(prompt):
    for formula in [formula for text in texts_of(prompt) for formula in formulas(text)]:
        mathml = convert(formula)
        assert mathml.startswith("<math")
        assert "\\" not in re.sub(r'alttext="[^"]*"', "", mathml), formula


@pytest.mark.parametrize("prompt", SAMPLE, ids=lambda prompt: prompt.id)
def test_it_renders_with_nothing_left_over(prompt):
    for text in texts_of(prompt):
        html = render_markdown(text)
        assert html.count("<math") == len(formulas(text))
        assert 'class="tex"' not in html
        assert 'class="plain"' not in html
        visible = re.sub(r"<pre.*?</pre>|<code.*?</code>|<math.*?</math>|<[^>]+>", "", html, flags=re.S)
        assert "**" not in visible
        assert "|---" not in visible
        assert "```" not in visible


@pytest.mark.parametrize("language", ["en", "zh", "both"])
def test_the_guidelines_render(language):
    html = render_markdown(guidelines(language))
    assert "<table>" in html
    assert "<math" in html
    assert "**" not in html
