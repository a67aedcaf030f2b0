"""What each subject adds to the tests of the whole site: one module each, found by itself.

A module may hold

RULES       lines of the table of access (see routes.py)
LISTS       route -> queries of a visit (see test_queries.py)
PARAMETERS  route -> parameters that it reads (see test_junk.py)
MAIN_PAGES  routes that axe looks at at 390 px, too (see tests/journeys/test_crawl.py)
PANELS      routes, or pieces of them, that are files or parts of pages: the crawler does not open them alone
fill        fill(filled, rows) adds rows, ids of addresses and canaries to a filled project (see filled.py)
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any


def tables() -> list[ModuleType]:
    """The modules of this package, by name."""
    names = sorted(found.name for found in iter_modules(__path__))
    return [import_module(f"{__name__}.{name}") for name in names]


def all_rules() -> str:
    return "\n".join(getattr(table, "RULES", "") for table in tables())


def merged(name: str) -> dict[str, Any]:
    """The dictionaries of this name in one. A route belongs to one module."""
    found: dict[str, Any] = {}
    for table in tables():
        part = getattr(table, name, {})
        assert not found.keys() & part.keys(), f"{table.__name__}.{name} repeats {found.keys() & part.keys()}"
        found |= part
    return found


def listed(name: str) -> tuple[str, ...]:
    """The tuples of this name, one after the other."""
    return tuple(entry for table in tables() for entry in getattr(table, name, ()))


def fills() -> list[Callable[..., None]]:
    return [table.fill for table in tables() if hasattr(table, "fill")]
