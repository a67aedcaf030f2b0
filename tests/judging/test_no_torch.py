"""Invariant 11: nothing of judging that a web process imports brings torch along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WEB = [
    "judging.urls",
    "judging.api.urls",
    "judging.admin",
    "judging.forms",
    "judging.tasks",
    "judging.services.runs",
    "judging.services.training_start",
    "judging.selectors.report",
]


def test_web_modules_do_not_import_torch():
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'webapp.settings'\n"
        "import django; django.setup()\n"
        f"import importlib; [importlib.import_module(name) for name in {WEB!r}]\n"
        "print(sorted({'torch', 'transformers', 'vllm'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
