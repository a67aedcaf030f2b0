"""Data sets of a Hugging Face hub: their data files, fetched into a folder. No script of a data set is ever run.

Only public data sets are read, whatever account this machine has; from the hub that HF_ENDPOINT names, else the public
one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.utils.translation import gettext_noop as _

from labeling.importing.dataset_card import card_naming, data_splits
from webapp.jobs.messages import Message, message

MAX_CARD_BYTES = 256 * 1024
_NAME = re.compile(r"(?P<dataset>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<config>[\w.-]+))?", re.ASCII)

FetchProgress = Callable[[int, int], None]


class HubError(Exception):
    """The data set cannot be had; says why. Permanent."""

    permanent = True

    def __init__(self, words: Message) -> None:
        super().__init__(words)
        self.words = words

    def __str__(self) -> str:
        return str(self.words)


@dataclass(frozen=True)
class HubName:
    """`org/name`, with `@revision` and `:config` where they are given."""

    dataset: str
    revision: str = "main"
    config: str = ""

    @classmethod
    def read(cls, text: str) -> HubName:
        """Raises HubError for what is no name of a data set."""
        found = _NAME.fullmatch(text.strip())
        if not found or ".." in text or len(text) > 200:
            msgid = _("“%(name)s” is no data set. Write org/name, org/name@revision or org/name:config.")
            raise HubError(message(msgid, name=text[:60]))
        return cls(found["dataset"], found["revision"] or "main", found["config"] or "")

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"{self.dataset}{revision}{f':{self.config}' if self.config else ''}"


def fetch_dataset(
    name: HubName, folder: Path, *, max_bytes: int, progress: FetchProgress | None = None
) -> None:
    """Fetches the data files of one configuration into the folder, all of one revision.

    Raises HubError where there is no such data set, no data in it, or more than `max_bytes` of it; what may pass (a
    network that is down) is raised as it came.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise HubError(
            message(_("This machine cannot fetch from a hub: huggingface_hub is missing."))
        ) from error
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        info = HfApi(endpoint=endpoint, token=False).dataset_info(
            name.dataset, revision=name.revision, files_metadata=True
        )
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or [] if _is_inside(file.rfilename)}

        def download(path: str) -> Path:
            found = hf_hub_download(
                name.dataset,
                path,
                repo_type="dataset",
                revision=info.sha,
                local_dir=folder,
                endpoint=endpoint,
                token=False,
            )
            return Path(found)

        card = ""
        if 0 < sizes.get("README.md", 0) <= MAX_CARD_BYTES:
            card = download("README.md").read_text("utf-8", "replace")
        chosen = _chosen(name, sizes, card)
        total, done = sum(sizes[path] for path in chosen), 0
        _check_size(total, max_bytes)
        for path in chosen:
            done += download(path).stat().st_size
            _check_size(done, max_bytes)
            if progress:
                progress(done, total)
        # Of several configurations the one that was asked for.
        (folder / "README.md").write_text(card_naming(chosen), "utf-8")
    except HfHubHTTPError as error:
        if error.response.status_code not in (400, 401, 403, 404):
            raise  # it may be well later
        msgid = _("The hub has no public data set %(name)s with the revision %(revision)s.")
        raise HubError(message(msgid, name=name.dataset, revision=name.revision)) from error


def _is_inside(path: str) -> bool:
    """Whether a file's path stays within the folder that it is fetched into."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path


def _chosen(name: HubName, sizes: dict[str, int], card: str) -> dict[str, str]:
    try:
        found = data_splits(sizes, ("README.md", card), name.config)
    except KeyError:
        msgid = _("%(name)s has no configuration “%(config)s”.")
        raise HubError(message(msgid, name=name.dataset, config=name.config)) from None
    if not found:
        msgid = _(
            "%(name)s holds no data file that can be imported: .jsonl, .json, .csv, .tsv, .parquet or .arrow."
        )
        raise HubError(message(msgid, name=name.dataset))
    return found


def _check_size(found: int, limit: int) -> None:
    if found > limit:
        msgid = _("The data set has %(found)s MB; at most %(limit)s MB are taken.")
        raise HubError(message(msgid, found=-(-found // 1024**2), limit=limit // 1024**2))
