"""What a manager chooses for an import, beside the file itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from labeling.importing.fields import MAX_LABEL, MAX_LABEL_DEFAULT
from labeling.importing.problems import ProblemError
from labeling.importing.records import PAIR_POLICIES, Record

MAX_LABELER = MAX_LABEL["annotator"]
MAX_LANGUAGE = MAX_LABEL["language"]
MAX_GROUP = MAX_LABEL_DEFAULT
SPLITS = ("", "test")


@dataclass(frozen=True)
class ImportOptions:
    """`group_key` names the row's key by which splits are made ("" means each prompt alone, or the row's own
    "group"). `labeler` is whose votes the file's choices are. `pairs` turns lists of responses into
    comparisons. `split` "test" holds every prompt of the file out of training, in all snapshots.
    """

    group_key: str = ""
    labeler: str = ""
    language: str = ""
    pairs: str = "all"
    skip_bad: bool = False
    use_gold: bool = True
    split: str = ""

    def __post_init__(self) -> None:
        if self.pairs not in PAIR_POLICIES:
            raise ValueError(f"pairs must be one of {', '.join(PAIR_POLICIES)}, not {self.pairs!r}")
        if self.split not in SPLITS:
            raise ValueError(f"split must be empty or test, not {self.split!r}")
        for name, limit in (("labeler", MAX_LABELER), ("language", MAX_LANGUAGE), ("group_key", MAX_GROUP)):
            if len(getattr(self, name)) > limit:
                raise ValueError(f"{name} is longer than {limit} characters")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ImportOptions:
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        return cls(**known)


def default_labeler(file_name: str) -> str:
    """The name under which a file's own choices are kept, unless somebody gives one."""
    return f"file: {PurePath(file_name).name}"[:MAX_LABELER]


def record_group(record: Record, options: ImportOptions) -> str:
    """The record's split group. Raises ProblemError when the chosen key is missing or its value too long."""
    if not options.group_key:
        return record.group
    group = record.group_value(options.group_key)
    if not group:
        raise ProblemError("missing_group", key=options.group_key)
    if len(group) > MAX_GROUP:
        raise ProblemError("label_too_long", path=options.group_key, limit=MAX_GROUP, found=len(group))
    return group
