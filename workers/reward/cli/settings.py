"""The file that describes a training run, and files that describe a scorer. Complaints name file, line and key."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config import KINDS
from ..errors import ConfigError
from ..files import KEYS, read_pairs, split_pairs
from ..scorers.spec import SCORER_KINDS, ScorerSpec, Settings, settings_from_dict, spec_from_dict
from ..types import Pair

TOP = ("kind", "out", "data", "split", "model")
SPLIT = {"validation": 0.1, "test": 0.1, "seed": 0}


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of pairs, and what its columns are called."""

    path: Path
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One training run. Without ``split`` every row's own ``split`` holds; else all files are split together."""

    kind: str
    out: Path
    data: tuple[DataFile, ...]
    split: Mapping[str, float] | None
    config: Settings

    def pairs(self) -> Iterator[Pair]:
        """All pairs with their split; raises ``DataError``."""
        scale = float(getattr(self.config, "margin_scale", 1.0) or 1.0)
        found = itertools.chain.from_iterable(
            read_pairs(part.path, keys=part.keys, margin_scale=scale) for part in self.data
        )
        if self.split is None:
            return found
        shares = {name: self.split[name] for name in ("validation", "test")}
        return split_pairs(found, **shares, seed=int(self.split["seed"]))


class Document:
    """A YAML or JSON file whose complaints know on which line a key stands."""

    def __init__(self, path: Path) -> None:
        import yaml

        self.path = path
        self.lines: dict[tuple[str, ...], int] = {}
        try:
            text = path.read_text(encoding="utf-8")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            values = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            raise ConfigError(
                f"{path.name}{where}: is not YAML: {getattr(error, 'problem', error)}"
            ) from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path.name}: holds no settings (key: value)")
        self._walk(node, ())
        self.values: dict[str, Any] = values

    def _walk(self, node: Any, at: tuple[str, ...]) -> None:
        if node.id == "mapping":
            seen: set[str] = set()
            for key, value in node.value:
                place = (*at, str(key.value))
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise ConfigError(f"{self.path.name}, line {line}: {'.'.join(place)} stands here twice")
                seen.add(key.value)
                self.lines[place] = key.start_mark.line + 1
                self._walk(value, place)
        elif node.id == "sequence":
            for number, value in enumerate(node.value):
                self.lines[*at, str(number)] = value.start_mark.line + 1
                self._walk(value, (*at, str(number)))

    def error(self, at: tuple[str, ...], what: str) -> ConfigError:
        """A complaint about the key at a place, or about the nearest one around it."""
        place = at
        while place and place not in self.lines:
            place = place[:-1]
        line = f", line {self.lines[place]}" if place else ""
        return ConfigError(f"{self.path.name}{line}: {'.'.join(at)} {what}")

    def about(self, at: tuple[str, ...], error: ConfigError) -> ConfigError:
        """The same complaint with the line of the key that it names."""
        text = str(error)
        named = [
            place for place in self.lines if place[:-1] == at and place[-1] in text.replace(",", " ").split()
        ]
        place = named[0] if named else at
        line = f", line {self.lines[place]}" if place in self.lines else ""
        return ConfigError(f"{self.path.name}{line}: {text}")


def read_settings(path: Path | str) -> RunSettings:
    """Read and check the file of a training run; paths in it are relative to its folder."""
    document = Document(Path(path))
    values = document.values
    for key in values:
        if key not in TOP:
            raise document.error((str(key),), f"is none of {', '.join(TOP)}")
    kind = values.get("kind")
    kinds = (*KINDS, *SCORER_KINDS)
    if kind not in kinds:
        raise document.error(("kind",), f"must be one of {', '.join(kinds)}, got {kind!r}")
    out = values.get("out")
    if not isinstance(out, str) or not out:
        raise document.error(("out",), "must name the folder to write")
    model = values.get("model") or {}
    if not isinstance(model, dict):
        raise document.error(("model",), "must be settings (key: value)")
    base = Path(path).parent
    given = {str(key): value for key, value in model.items()}
    if kind in SCORER_KINDS:
        given = _beside(given, base)
    try:
        config = settings_from_dict(kind, given)
    except ConfigError as error:
        raise document.about(("model",), error) from error
    return RunSettings(kind, base / out, _data(document, base), _split(document), config)


def _data(document: Document, base: Path) -> tuple[DataFile, ...]:
    given = document.values.get("data")
    entries = given if isinstance(given, list) else [given]
    if not given:
        raise document.error(("data",), "must name at least one file of pairs")
    found = []
    for number, entry in enumerate(entries):
        at = ("data", str(number)) if isinstance(given, list) else ("data",)
        part = entry if isinstance(entry, dict) else {"path": entry}
        for key in part:
            if key not in ("path", "keys"):
                raise document.error((*at, str(key)), "is none of path, keys")
        path, keys = part.get("path"), part.get("keys") or {}
        if not isinstance(path, str):
            raise document.error(at, f"must be a path, or path and keys; got {entry!r}")
        if not isinstance(keys, dict) or not all(isinstance(name, str) for name in keys.values()):
            raise document.error((*at, "keys"), "must map our names to the file's")
        for key in keys:
            if key not in KEYS:
                raise document.error((*at, "keys", str(key)), f"is none of {', '.join(KEYS)}")
        if not (base / path).is_file():
            raise document.error(at, f"names {path}, and there is no such file beside {document.path.name}")
        found.append(DataFile(base / path, keys))
    return tuple(found)


def _split(document: Document) -> dict[str, float] | None:
    given = document.values.get("split")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise document.error(("split",), f"must be settings: {', '.join(SPLIT)}")
    for key, value in given.items():
        if key not in SPLIT:
            raise document.error(("split", str(key)), f"is none of {', '.join(SPLIT)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise document.error(("split", str(key)), f"must be a number, got {value!r}")
    found: dict[str, float] = {**SPLIT, **given}
    if not (found["validation"] >= 0 and found["test"] >= 0 and found["validation"] + found["test"] < 1):
        raise document.error(
            ("split",), "needs shares of 0 or more for validation and test whose sum is below 1"
        )
    return found


def read_spec(path: Path | str) -> ScorerSpec:
    """Read the file of a scorer. Folders in it are relative to its own where they exist there."""
    document = Document(Path(path))
    if document.values.get("kind") not in SCORER_KINDS:
        raise document.error(("kind",), f"must be one of {', '.join(SCORER_KINDS)}")
    values = _beside(document.values, Path(path).parent)
    try:
        return spec_from_dict(values)
    except ConfigError as error:
        raise document.about((), error) from error


def _beside(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """A scorer's settings, with folders and files that stand beside the file that names them."""
    found = dict(values)
    for key in ("model", "reference", "verdicts"):
        if found.get(key) and (base / str(found[key])).exists():
            found[key] = str(base / str(found[key]))
    return found
