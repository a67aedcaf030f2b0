"""Once round the loop without a browser, with a table of what each stage did. See workers/loop."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify

from labeling.models import Project
from labeling.services.projects import project_create
from workers.errors import WorkersError
from workers.loop.jobs import RoundError
from workers.loop.round import RoundOptions, RoundResult, close_loop
from workers.models import ModelKind

WIDE = 78


class Command(BaseCommand):
    help = "Import, label, snapshot, train, evaluate, gate, score, re-order, judge, export; print one table."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, required=True, help="file of prompts, responses and labels")
        parser.add_argument(
            "--test", type=Path, help="held-out file of the same layout: scored, never trained on"
        )
        parser.add_argument("--group-key", default="", help="row key whose equal values stay in one split")
        parser.add_argument("--project", required=True, help="name of the project; made if it is not there")
        parser.add_argument("--json", type=Path, help="write the figures to this file as well")
        parser.add_argument(
            "--simulate-labels", action="store_true", help="simulated labelers for unlabeled pairs"
        )
        parser.add_argument("--model", choices=ModelKind.values, default=ModelKind.STARTER)
        parser.add_argument("--config", default="{}", help="settings of the model as JSON")
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, *_args: Any, **options: Any) -> None:
        for name in ("data", "test"):
            path = options[name]
            if path is not None and not path.is_file():
                raise CommandError(f"--{name}: there is no file {path}.")
        try:
            config = json.loads(options["config"])
        except ValueError as error:
            raise CommandError(f"--config is not JSON: {error}") from error
        chosen = RoundOptions(
            data=options["data"],
            test=options["test"],
            group_key=options["group_key"],
            kind=options["model"],
            config=config,
            simulate=options["simulate_labels"],
            seed=options["seed"],
        )
        try:
            result = close_loop(self._project(options["project"]), chosen, say=self.stderr.write)
        except (RoundError, WorkersError) as error:
            raise CommandError(str(error)) from error
        self._print(result)
        if options["json"]:
            options["json"].write_text(
                json.dumps(result.as_json(), indent=2, ensure_ascii=False), encoding="utf-8"
            )
        if not result.worked:
            idle = ", ".join(stage.name for stage in result.stages if not stage.worked)
            raise CommandError(f"these stages did no real work: {idle}")

    def _project(self, name: str) -> Project:
        slug = slugify(name) or "project"
        found = Project.objects.filter(slug=slug).first()
        return found or project_create(name=name, slug=slug, created_by=None)

    def _print(self, result: RoundResult) -> None:
        self.stdout.write(f"{'stage':<20}{'seconds':>9}{'peak MiB':>10}  what")
        self.stdout.write("-" * WIDE)
        for stage in result.stages:
            counts = ", ".join(f"{key} {_plain(value)}" for key, value in stage.counts.items())
            mark = "" if stage.worked else "  << did nothing"
            self.stdout.write(f"{stage.name:<20}{stage.seconds:>9.1f}{stage.peak_mb:>10.0f}  {counts}{mark}")
        self.stdout.write("-" * WIDE)
        self.stdout.write(f"{'all':<20}{result.seconds:>9.1f}{result.peak_mb:>10.0f}")
        self.stdout.write(_accuracy(result.evaluation))
        if result.test_split != result.evaluation:
            self.stdout.write(_accuracy(result.test_split))
        if result.gate:
            verdict = "promoted" if result.gate["promote"] else "not promoted"
            codes = ", ".join(
                r["code"] + ("" if r["passed"] else " (failed)") for r in result.gate["reasons"]
            )
            self.stdout.write(f"gate: {verdict} ({codes})")


def _accuracy(found: dict[str, Any]) -> str:
    if found.get("accuracy") is None:
        return "no pair was held out: too few groups; give a test file with --test"
    return (
        f"held-out accuracy of the {found['kind']} ({found['method']}, {found['groups']} groups): "
        f"{found['accuracy']:.4f} [{found['low']:.4f}, {found['high']:.4f}], n {found['n']}"
        f" · longest wins {_baseline(found['longest'])} · random {_baseline(found['random'])}"
    )


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "/".join(f"{key} {number}" for key, number in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def _baseline(figures: dict[str, Any]) -> str:
    return f"{figures['value']:.4f} [{figures['low']:.4f}, {figures['high']:.4f}]" if figures else "–"
