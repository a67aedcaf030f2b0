"""The house rules of ARCHITECTURE.md: storeys, where torch may live, where things are fetched by id."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("webapp", "labeling", "judging", "workers")


def sources(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def test_imports_only_go_down():
    result = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


def calls(tree: ast.AST) -> list[str]:
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


WEB_CODE = [p for p in sources("labeling", "judging", "workers", "webapp") if {"views", "api"} & set(p.parts)]


@pytest.mark.parametrize("path", WEB_CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_fetched_by_an_id_outside_access(path: Path):
    """Invariant 10: views and API classes fetch through loaders, never by `.get(` or get_object_or_404."""
    found = [
        name
        for name in calls(ast.parse(path.read_text(encoding="utf-8")))
        if name.endswith(("objects.get", "get_object_or_404", "objects.aget", "get_list_or_404"))
    ]
    assert not found, f"{path.relative_to(ROOT)} fetches by {found}; use an access loader"


WEB_PROBE = """
import sys
import django
django.setup()
from django.urls import get_resolver
from django.urls.resolvers import URLResolver

def walk(resolver):
    n = 0
    for pattern in resolver.url_patterns:
        n += walk(pattern) if isinstance(pattern, URLResolver) else bool(pattern.callback)
    return n

count = walk(get_resolver())
from drf_spectacular.generators import SchemaGenerator
SchemaGenerator().get_schema(request=None, public=True)
heavy = sorted(name for name in ("torch", "transformers", "vllm", "peft", "accelerate") if name in sys.modules)
print(count, ",".join(heavy))
"""


def test_a_web_process_never_imports_torch(tmp_path: Path):
    """Invariant 11: with every URL and the whole REST schema loaded, no model library is in memory."""
    env = {
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "CHOSEN_DATA_DIR": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }
    result = subprocess.run(
        [sys.executable, "-c", WEB_PROBE], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    count, _space, heavy = result.stdout.strip().splitlines()[-1].partition(" ")
    assert int(count) > 40
    assert heavy == ""
