"""Style sheets and scripts of one page in one file each, so that its first load is four requests and not twenty.

Plain concatenation: nothing is minified or renamed; lines of scripts that are comments stay behind. Each ES module
becomes a function that is called at once, in the order in which modules need one another, and its imports become
constants. Only the house's way of writing modules is understood; anything else raises BundleError when the files are
collected, and in the tests.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, overload

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

# Bundle -> what it holds: style sheets in order, or the modules that a page would name.
BUNDLES = {
    "bundles/label.css": ("css/tokens.css", "css/app.css", "css/code.css", "css/voices.css", "css/label.css"),
    "bundles/label.js": ("js/app.js", "js/label.js"),
}
_IMPORT = re.compile(r'^import (?:\{ (\w+(?:, \w+)*) \} from )?"(\.{1,2}/[\w./-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|let|class|function\*?) (\w+))", re.MULTILINE)
_COMMENTS = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)
_OTHER = re.compile(r"^\s*(?:import|export)\b.*", re.MULTILINE)


class BundleError(Exception):
    """A module is written in a way that a bundle cannot hold. `args` say which one and where."""


def bundle_scripts(root: Path, entries: Iterable[str]) -> str:
    """The modules `entries` under `root`, and all that they import, as one module."""
    numbers: dict[Path, int] = {}
    parts: list[str] = []
    for entry in entries:
        _add_module((root / entry).resolve(), (), numbers, parts)
    return "".join(parts)


def _add_module(path: Path, above: tuple[Path, ...], numbers: dict[Path, int], parts: list[str]) -> None:
    """Append the module to `parts`, behind those that it needs. `above` are the modules that wait for it."""
    if path in above:
        raise BundleError(f"{path.name} imports itself by way of {', '.join(part.name for part in above)}")
    if path in numbers:
        return
    text = _COMMENTS.sub("", path.read_text(encoding="utf-8"))
    for found in _IMPORT.finditer(text):
        _add_module((path.parent / found[2]).resolve(), (*above, path), numbers, parts)
    numbers[path] = len(numbers)

    def imported(found: re.Match[str]) -> str:
        number = numbers[(path.parent / found[2]).resolve()]
        return f"const {{ {found[1]} }} = m{number};" if found[1] else ""

    names = _EXPORT.findall(text)
    body = _EXPORT.sub("", _IMPORT.sub(imported, text))
    left = _OTHER.search(body)
    if left:
        raise BundleError(f"{path.name}: a bundle cannot hold “{left[0].strip()}”")
    parts.append(f"const m{numbers[path]} = (() => {{\n{body}\nreturn {{ {', '.join(names)} }};\n}})();\n")


def bundle_text(root: Path, name: str) -> str:
    if name.endswith(".js"):
        return bundle_scripts(root, BUNDLES[name])
    return "".join((root / sheet).read_text(encoding="utf-8") for sheet in BUNDLES[name])


class BundleFinder(BaseFinder):
    """Finds the bundles among the static files. They are written to DATA_DIR/bundled when somebody asks."""

    def __init__(self, app_names: object = None, *args: Any, **kwargs: Any) -> None:
        self.root = Path(settings.BASE_DIR) / "static"
        self.folder = Path(settings.DATA_DIR) / "bundled"
        self.storage = FileSystemStorage(location=self.folder)

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    @overload
    def find(self, path: str, find_all: Literal[False] = ...) -> str | None: ...

    @overload
    def find(self, path: str, find_all: Literal[True]) -> list[str]: ...

    def find(self, path: str, find_all: bool = False) -> str | list[str] | None:
        if path not in BUNDLES:
            return []
        found = str(self._written(path))
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:
        for name in BUNDLES:
            self._written(name)
            yield name, self.storage

    def _written(self, name: str) -> Path:
        """The bundle's file, written anew where its parts have changed. Several processes may do so at once."""
        target = self.folder / name
        content = bundle_text(self.root, name).encode()
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=target.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(draft).chmod(0o644)
            Path(draft).replace(target)
        return target
