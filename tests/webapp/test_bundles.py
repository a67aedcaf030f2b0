"""One file for all scripts of a page, one for its style sheets: made from the sources, refused when not understood."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.templatetags.static import static

from webapp.ui.bundles import BUNDLES, BundleError, bundle_scripts


def modules(tmp_path, **texts: str):
    """A folder of modules: `modules(tmp_path, a='import "./b.js";', b="")`."""
    for name, text in texts.items():
        (tmp_path / f"{name}.js").write_text(text)
    return tmp_path


def run(script: str) -> str:
    """What a module prints, in Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node to run the bundle with; the journeys run it in a browser")
    done = subprocess.run(
        [node, "--input-type=module"], input=script, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_modules_come_once_and_behind_what_they_need(tmp_path):
    root = modules(
        tmp_path,
        entry='import { two } from "./b.js";\nimport { one } from "./a.js";\nconsole.log(one, two());',
        b='import { one } from "./a.js";\nconst hidden = 1;\nexport function two() {\n  return one + hidden;\n}',
        a='// Why.\nconsole.log("once"); // here\n  // Why else.\nconst hidden = 5;\nexport const one = 1;\n'
        "export class Unused {}",
        other='import "./a.js";\nexport async function* more() {}',
    )
    text = bundle_scripts(root, ["entry.js", "other.js"])
    assert [text.index(f"const m{number} = ") for number in range(4)] == sorted(
        text.index(f"const m{number} = ") for number in range(4)
    )
    assert "return { one, Unused };" in text
    assert "// here\nconst hidden = 5" in text
    assert "Why" not in text
    assert "return { more };" in text
    assert run(text) == "once\n1 2"


@pytest.mark.parametrize(
    "line",
    [
        'import whole from "./b.js";',
        'import * as b from "./b.js";',
        'import { one as two } from "./b.js";',
        "import { one } from './b.js';",
        'import { one } from "b.js";',
        "export default 1;",
        "export { one };",
        'export * from "./b.js";',
    ],
)
def test_what_is_written_otherwise_is_refused_by_name(tmp_path, line):
    root = modules(tmp_path, a=f"{line}\n", b="export const one = 1;\n")
    with pytest.raises(BundleError, match=r"a\.js"):
        bundle_scripts(root, ["a.js"])


def test_modules_that_need_one_another_are_refused(tmp_path):
    root = modules(tmp_path, a='import { b } from "./b.js";\n', b='import { a } from "./a.js";\n')
    with pytest.raises(BundleError, match="imports itself"):
        bundle_scripts(root, ["a.js"])


def test_a_module_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        bundle_scripts(modules(tmp_path, a='import { b } from "./gone.js";\n'), ["a.js"])


def test_the_finder_writes_a_bundle_anew_when_its_parts_change(monkeypatch, tmp_path):
    finder = next(one for one in finders.get_finders() if type(one).__name__ == "BundleFinder")
    monkeypatch.setattr(finder, "root", tmp_path)
    monkeypatch.setattr(finder, "folder", tmp_path / "out")
    for sheet in BUNDLES["bundles/label.css"]:
        (tmp_path / sheet).parent.mkdir(exist_ok=True)
        (tmp_path / sheet).write_text(f"/* {sheet} */\n")
    first = finder._written("bundles/label.css")
    assert first.read_text() == "".join(f"/* {sheet} */\n" for sheet in BUNDLES["bundles/label.css"])
    (tmp_path / "css/label.css").write_text("p { color: red }\n")
    assert finder._written("bundles/label.css").read_text().endswith("p { color: red }\n")
    assert [path.name for path in first.parent.iterdir()] == ["label.css"]


@pytest.mark.parametrize("name", BUNDLES)
def test_the_page_finds_its_bundles_without_collecting(name, client):
    found = finders.find(name)
    assert finders.find(name, find_all=True) == [found]
    page = client.get(static(name))
    assert page.status_code == 200
    assert b"".join(page) == Path(found).read_bytes()


def test_a_file_that_nobody_has_is_not_found():
    assert finders.find("bundles/other.js") is None
    assert finders.find("bundles/other.js", find_all=True) == []


def test_collected_bundles_have_names_of_their_own(tmp_path, settings):
    settings.STATIC_ROOT = str(tmp_path)
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
    }
    call_command("collectstatic", interactive=False, verbosity=0)
    for name in BUNDLES:
        collected = tmp_path / Path(static(name)).relative_to("/static")
        assert collected.name != Path(name).name
        assert collected.suffix == Path(name).suffix
        assert collected.is_file()
