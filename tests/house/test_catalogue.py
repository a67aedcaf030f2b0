"""Every word of the interface is in the Simplified Chinese catalogue, and none is written past gettext."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import polib
import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("webapp", "labeling", "judging", "workers")
PO = Path("locale/zh_Hans/LC_MESSAGES/django.po")
LETTERS = re.compile(r"[^\W\d_]")

# --- the catalogue
Key = tuple[str, str, str]


def keys(catalogue: polib.POFile | polib.MOFile) -> dict[Key, polib.POEntry]:
    return {(e.msgctxt or "", e.msgid, e.msgid_plural or ""): e for e in catalogue if not e.obsolete}


def translations(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


@pytest.fixture(scope="module")
def committed() -> dict[Key, polib.POEntry]:
    return keys(polib.pofile(str(ROOT / PO)))


@pytest.fixture(scope="module")
def extracted(tmp_path_factory) -> dict[Key, polib.POEntry]:
    """What a fresh `manage.py makemessages` makes of a copy of the sources."""
    if not shutil.which("xgettext") or not shutil.which("msgmerge"):
        pytest.skip("GNU gettext (xgettext, msgmerge) is not installed on this machine")
    copy = tmp_path_factory.mktemp("sources")
    for folder in (*APPS, "templates", "locale"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    shutil.copy(ROOT / "manage.py", copy)
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings", "CHOSEN_DATA_DIR": str(copy / "data")}
    done = subprocess.run(
        [sys.executable, "manage.py", "makemessages"], cwd=copy, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return keys(polib.pofile(str(copy / PO)))


def test_every_string_of_the_source_is_translated(extracted, committed):
    assert len(extracted) > 1000
    missing = [
        f"{', '.join(path for path, _line in entry.occurrences)}: {entry.msgid}"
        for key, entry in extracted.items()
        if key not in committed or not all(translations(committed[key]))
    ]
    assert not missing, "run `make messages` and translate:\n" + "\n".join(missing)


def test_no_translation_is_a_guess(committed):
    assert [entry.msgid for entry in committed.values() if entry.fuzzy] == []


def test_the_compiled_catalogue_is_that_of_the_source_catalogue(committed):
    compiled = keys(polib.mofile(str(ROOT / PO.with_suffix(".mo"))))
    assert {k: translations(e) for k, e in compiled.items()} == {
        k: translations(e) for k, e in committed.items() if all(translations(e))
    }, "run `make messages`"


def test_the_catalogue_holds_nothing_that_changes_by_itself():
    """No date of the run, no line numbers, no folders of one machine: a diff shows strings alone."""
    text = (ROOT / PO).read_text(encoding="utf-8")
    assert "POT-Creation-Date" not in text
    places = [place for line in re.findall(r"^#: (.*)$", text, re.MULTILINE) for place in line.split()]
    assert [place for place in places if place.startswith("/") or ":" in place] == []


PLACEHOLDER = re.compile(r"%\(\w+\)[-+0-9.]*[a-zA-Z]|%[sd]|%%|</?\w+[^>]*>")


def test_placeholders_and_tags_survive_translation(committed):
    changed = [
        f"{original} -> {text}"
        for entry in committed.values()
        # Chinese has one plural form: it carries what the English plural carries.
        for original in [entry.msgid_plural or entry.msgid]
        for text in translations(entry)
        if text and sorted(PLACEHOLDER.findall(original)) != sorted(PLACEHOLDER.findall(text))
    ]
    assert changed == []


def test_edges_of_translations_are_those_of_the_original(committed):
    """Spaces and line ends at the edges keep a text apart from its neighbours."""
    edges = re.compile(r"^\s*|\s*$")
    assert [
        entry.msgid
        for entry in committed.values()
        for text in translations(entry)
        if text and edges.findall(entry.msgid) != edges.findall(text)
    ] == []


# --- templates
# Served when Django itself is broken, with no language known: it says everything in both.
BILINGUAL = {"500.html"}
# Names, formats and single-letter symbols that are the same in every language.
SAME_EVERYWHERE = {
    "A", "B", "P", "n", "v", "Aa", "Chosen", "JSON", "JSONL", "CSV", "Parquet", "REST", "API", "MB", "UTF",
    "Esc", "Enter", "Authorization", "Bearer", "https", "http", "OpenAPI", "YAML",
}  # fmt: skip
CODE = ("script", "style", "kbd", "code", "pre", "svg")
SHOWN_ATTRIBUTES = {"title", "aria-label", "alt", "placeholder", "content", "label"}
TRANSLATED = re.compile(
    r"\{% *comment *%\}.*?\{% *endcomment *%\}"
    r"|\{% *block body_class *%\}.*?\{% *endblock *%\}"
    r"|\{% *blocktrans(?:late)?\b.*?\{% *endblocktrans(?:late)? *%\}"
    r"|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}",
    re.DOTALL,
)
LITERAL_DEFAULT = re.compile(r"\|(?:default|default_if_none|yesno|pluralize|join):\"([^\"]*)\"")


class BareText(HTMLParser):
    """Collects (line, text) of what a reader would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.inside: list[str] = []
        self.found: list[tuple[int, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in CODE:
            self.inside.append(tag)
        shown = SHOWN_ATTRIBUTES - (
            {"content"} if tag != "meta" or dict(attrs).get("name") != "description" else set()
        )
        self.found += [(self.getpos()[0], value) for name, value in attrs if value and name in shown]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            self.inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self.inside:
            first = len(data) - len(data.lstrip())
            self.found.append((self.getpos()[0] + data[:first].count("\n"), data.strip()))


def bare_words(source: str) -> list[tuple[int, str]]:
    """(line, word) of every word that is shown and not translated."""
    parser = BareText()
    # Tags become spaces, line ends stay, so that lines keep their numbers.
    parser.feed(TRANSLATED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), source))
    parser.close()
    words = [(line, word) for line, text in parser.found for word in re.findall(r"[^\W\d_]+", text)]
    for match in LITERAL_DEFAULT.finditer(source):
        words += [(source[: match.start()].count("\n") + 1, w) for w in re.findall(r"[^\W\d_]+", match[1])]
    return [(line, word) for line, word in words if word not in SAME_EVERYWHERE]


def test_the_template_check_sees_bare_words():
    source = '<p title="Look">{% translate "Fine" %}\n<b>Bare</b> {{ n }} s <kbd>Tab</kbd> &times;</p>'
    assert bare_words(source) == [(1, "Look"), (2, "Bare"), (2, "s")]
    assert bare_words('{{ word|default:"none" }}{% comment %}Not shown{% endcomment %}') == [(1, "none")]


def test_templates_hold_no_text_outside_of_translate_tags():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in sorted((ROOT / "templates").rglob("*.html"))
        if path.name not in BILINGUAL
        for line, word in bare_words(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


# --- Python
SHOWN_KEYWORDS = {
    "help_text",
    "label",
    "verbose_name",
    "verbose_name_plural",
    "empty_label",
    "short_description",
}
MESSAGES = {f"messages.{level}" for level in ("debug", "info", "success", "warning", "error")}
# A number, a separator, an example of what to type, or a name that is the same in every language.
NOT_LANGUAGE = {"REST"}


def literal(node: ast.AST) -> str:
    """The letters of a string or f-string literal; empty for anything else (a call of gettext, a name)."""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) for part in node.values)
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return text if LETTERS.search(text) and text not in NOT_LANGUAGE else ""


def texts_of_error(node: ast.AST) -> Iterator[ast.AST]:
    """The messages in ValidationError("…"), ValidationError(["…"]) and ValidationError({"field": "…"})."""
    if isinstance(node, ast.Dict):
        for value in node.values:
            yield from texts_of_error(value)
    elif isinstance(node, ast.List | ast.Tuple):
        for value in node.elts:
            yield from texts_of_error(value)
    else:
        yield node


def shown(node: ast.AST, keywords: set[str]) -> Iterator[ast.AST]:
    """Expressions under `node` whose text reaches a page."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name in MESSAGES:
            yield from node.args[1:2]
        if name.split(".")[-1] == "ValidationError" and node.args:
            yield from texts_of_error(node.args[0])
        yield from (word.value for word in node.keywords if word.arg in keywords)
    if isinstance(node, ast.ClassDef):
        if any(ast.unparse(base).endswith("AppConfig") for base in node.bases):
            keywords = keywords - {"label"}  # there it is the app's identifier
        assigned = [item for item in node.body if isinstance(item, ast.Assign)]
        if any("Choices" in ast.unparse(base) for base in node.bases):
            yield from (i.value.elts[-1] for i in assigned if isinstance(i.value, ast.Tuple))
        yield from (i.value for i in assigned if ast.unparse(i.targets[0]) in keywords)


def unmarked(source: str, *, keywords: set[str] = SHOWN_KEYWORDS) -> list[tuple[int, str]]:
    """(line, text) of literals that reach a page without gettext."""
    return [
        (expression.lineno, literal(expression))
        for node in ast.walk(ast.parse(source))
        for expression in shown(node, keywords)
        if literal(expression)
    ]


def test_the_python_check_sees_unmarked_strings():
    source = """
messages.success(request, f"Saved {name}")
raise ValidationError({"name": ["Too long", _("Fine")]})
field = CharField(label="Name", help_text=_("Fine"), max_length=3)
class Kind(models.TextChoices):
    ONE = "one", "One"
    TWO = "two", _("two")
"""
    assert {text for _line, text in unmarked(source)} == {"Saved ", "Too long", "Name", "One"}


def keywords_in(path: Path) -> set[str]:
    """The REST reference is in English as a whole, with the docstrings it is made of: no help texts there."""
    return SHOWN_KEYWORDS - {"help_text"} if "api" in {*path.parts, path.stem} else SHOWN_KEYWORDS


def test_python_shows_no_string_without_gettext():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for app in APPS
        for path in sorted((ROOT / app).rglob("*.py"))
        if not {"migrations", "management"} & set(path.parts)
        for line, text in unmarked(path.read_text(encoding="utf-8"), keywords=keywords_in(path))
    ]
    assert not found, "\n".join(found)
