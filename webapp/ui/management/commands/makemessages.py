"""Django's makemessages with this project's options: a run without news leaves the catalogue as it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import makemessages

LOCALE = "zh_Hans"
# Folders without a string of the interface.
IGNORED = ["var", "docs", "tests", "benchmarks", "docker", "staticfiles"]


class Command(makemessages.Command):
    """`manage.py makemessages` alone refreshes locale/zh_Hans."""

    # A guess at a new string's translation would have to be undone by hand: leave it empty instead.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(locale=[LOCALE], add_location="file", no_obsolete=True, no_wrap=True)

    def handle(self, *args: Any, **options: Any) -> None:
        options["ignore_patterns"] = [*options["ignore_patterns"], *IGNORED]
        super().handle(*args, **options)

    def write_po_file(self, potfile: str, locale: str) -> None:
        """Without the date of the run: it would change the file each time."""
        super().write_po_file(potfile, locale)
        path = Path(potfile).parent / locale / "LC_MESSAGES" / f"{self.domain}.po"
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r'^"POT-Creation-Date:.*\n', "", text, flags=re.MULTILINE), encoding="utf-8")
