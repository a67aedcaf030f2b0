"""Import a file into a project, in this process, with the same checks as the browser."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from labeling.importing.folders import packed_folder
from labeling.importing.hub import HubError, HubName
from labeling.importing.mapping import Mapping, MappingError
from labeling.importing.options import ImportOptions
from labeling.importing.pages import problems_of
from labeling.importing.records import PAIR_POLICIES
from labeling.importing.services import (
    ImportStateError,
    import_create,
    import_discard,
    import_fetch,
    import_from_hub,
    import_run,
)
from labeling.importing.texts import mapping_message
from labeling.importing.uploads import UploadTooLargeError, read_chunks, upload_store
from labeling.importing.writing import ImportWriteError, WriteCounts
from labeling.models import Import, Project

SHOWN_PROBLEMS = 20


class Command(BaseCommand):
    help = (
        "Import prompts, responses and labels from a JSONL, JSON, CSV, TSV (gzipped or not) or Parquet file, a zip of "
        "such files, a folder of them such as a Hugging Face data set's, or a data set of the hub."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", help="a file, a folder, or with --hub a data set: org/name[@revision][:config]"
        )
        parser.add_argument(
            "--hub", action="store_true", help="fetch a public data set of the Hugging Face hub"
        )
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--group-key", default="", help="row key whose equal values stay in one split")
        parser.add_argument("--labeler", default="", help="whose choices “chosen” and ranks are")
        parser.add_argument("--language", default="", help="language of rows that do not name one")
        parser.add_argument(
            "--pairs", choices=PAIR_POLICIES, default="all", help="pairs made of longer lists"
        )
        parser.add_argument("--map", metavar="FILE", help="JSON that says which key of the file is what")
        parser.add_argument(
            "--skip-bad", action="store_true", help="import the good lines of a file with bad ones"
        )
        parser.add_argument("--dry-run", action="store_true", help="check only")

    def handle(self, *_args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(_("There is no project “%(slug)s”.") % {"slug": options["project"]})
        try:
            import_ = self._create(project, options)
            if options["hub"]:
                import_fetch(import_)
            counts = import_run(
                import_, skip_bad=options["skip_bad"], dry_run=options["dry_run"], say=self.stdout.write
            )
        except (HubError, ImportStateError, ImportWriteError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        self._report(import_, counts, dry_run=options["dry_run"])

    def _create(self, project: Project, options: dict[str, Any]) -> Import:
        path = Path(options["file"])
        chosen = ImportOptions(
            group_key=options["group_key"],
            labeler=options["labeler"],
            language=options["language"],
            pairs=options["pairs"],
        )
        mapping = _mapping(Path(options["map"])) if options["map"] else None
        if options["hub"]:
            name = HubName.read(options["file"])
            return import_from_hub(project=project, name=name, options=chosen, mapping=mapping, enqueue=False)
        try:
            with packed_folder(path) if path.is_dir() else path.open("rb") as handle:
                stored = upload_store(read_chunks(handle))
        except UploadTooLargeError as error:
            raise CommandError(_("The file is too large. Split it.")) from error
        return import_create(
            project=project,
            file_name=path.resolve().name,
            stored=stored,
            options=chosen,
            mapping=mapping,
            enqueue=False,
        )

    def _report(self, import_: Import, counts: WriteCounts | None, *, dry_run: bool) -> None:
        groups = problems_of(import_)[:SHOWN_PROBLEMS]
        for group in groups:
            problem = group.first
            name = "/".join(filter(None, (import_.file_name, problem.member)))
            place = f"{name}:{problem.line}:{problem.column}"
            lines = _("Lines: %(where)s.") % {"where": group.where} if group.count > 1 else ""
            self.stderr.write(" ".join(filter(None, (f"{place}: {problem.message}", problem.hint, lines))))
        more = import_.problem_count - sum(group.count for group in groups)
        if more:
            self.stderr.write(_("… and %(more)s more problems") % {"more": more})
        for name, line in (
            ("adjudicated", _("%(number)s comparisons come settled by a reviewer")),
            (
                "settled_anew",
                _("%(number)s comparisons, settled by reliabilities or judges, are settled anew"),
            ),
        ):
            if number := import_.counts.get(name):
                self.stderr.write(line % {"number": number})
        if counts is None:
            state, found = import_.state, import_.counts
            import_discard(import_)
            if not dry_run or state == "refused":
                raise CommandError(_("Nothing was imported."))
            line = _("%(layout)s: %(records)s records, %(pairs)s pairs, %(votes)s votes; nothing was written")
            self.stdout.write(line % {"layout": import_.layout, **found})
            return
        line = _(
            "imported %(records)s records: %(prompts)s new prompts, %(responses)s responses, "
            "%(comparisons)s comparisons, %(preferences)s preferences; %(skipped)s lines skipped"
        )
        self.stdout.write(line % vars(counts))


def _mapping(path: Path) -> Mapping:
    try:
        return Mapping.from_json(json.loads(path.read_bytes()))
    except MappingError as error:
        raise CommandError(f"{path.name}: {error.target}: {mapping_message(error)}") from error
    except ValueError as error:
        raise CommandError(f"{path.name}: {error}") from error
