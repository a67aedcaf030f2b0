"""Fill the database with the demo once, and print its log-ins."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from workers.loop.demo import demo_exists, demo_logins, make_demo


class Command(BaseCommand):
    help = "Make the demo project with real jobs (once), and print the address and the log-ins."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", default=os.environ.get("PORT", "8000"))

    def handle(self, *_args: Any, **options: Any) -> None:
        if not demo_exists():
            start = time.monotonic()
            make_demo(lambda line: self.stdout.write(f"  {time.monotonic() - start:5.0f} s  {line}"))
            self.stdout.write(f"  {time.monotonic() - start:5.0f} s  done")
        self.stdout.write(f"\nChosen's demo: http://127.0.0.1:{options['port']}/\n")
        for login in demo_logins():
            self.stdout.write(f"  {login.role:<9} {login.username:<10} {login.password}")
        self.stdout.write("")
