"""Which files of a folder are data: those that a Hugging Face data set's card names, else those named like data."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

_DATA = re.compile(r"\.(jsonl?|ndjson|csv|tsv|parquet|arrow)(\.gz)?$", re.IGNORECASE)
# Files that stand beside data and are none.
_SPARE = {"manifest.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)


def data_splits(names: Iterable[str], card: tuple[str, str] = ("", ""), config: str = "") -> dict[str, str]:
    """The data files in the order of their names, with the split that the card gives them, "" where it gives none.

    `card` is the name and the text of the README beside them. Of several configurations the named one counts, else the
    default one, else the first. Raises KeyError for a configuration that the card does not have.
    """
    found = sorted(names)
    files = list(card_files(card[1], config))
    if not files:
        return {name: "" for name in found if _is_data(name)}
    root = card[0].rpartition("/")[0]
    wanted = [
        (re.compile(_glob(f"{root}/{pattern}" if root else pattern)), split) for pattern, split in files
    ]
    splits = {name: next((split for one, split in wanted if one.fullmatch(name)), None) for name in found}
    return {name: split for name, split in splits.items() if split is not None}


def card_naming(splits: Mapping[str, str]) -> str:
    """A card that names these files with their splits, and nothing else."""
    files = [{"split": split, "path": name} if split else name for name, split in splits.items()]
    front = yaml.safe_dump({"configs": [{"config_name": "default", "data_files": files}]}, allow_unicode=True)
    return f"---\n{front}---\n"


def _is_data(name: str) -> bool:
    last = name.rpartition("/")[2]
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    return bool(_DATA.search(last)) and last not in _SPARE and not hidden


def card_files(text: str, config: str = "") -> Iterator[tuple[str, str]]:
    """Patterns of the paths that a card's configuration names, with their splits; nothing where the card names none."""
    configs = [one for one in _listed(_front_matter(text).get("configs")) if isinstance(one, dict)]
    if config and config not in [str(one.get("config_name")) for one in configs]:
        raise KeyError(config)
    chosen = next(
        (one for one in configs if config and str(one.get("config_name")) == config),
        next(
            (one for one in configs if one.get("default") is True or one.get("config_name") == "default"),
            configs[0] if configs else {},
        ),
    )
    folder = f"{str(chosen['data_dir']).strip('/')}/" if chosen.get("data_dir") else ""
    files = _listed(chosen.get("data_files"))
    if folder and not files:
        yield f"{folder}**", ""
    for one in files:
        path, split = (one.get("path"), one.get("split")) if isinstance(one, dict) else (one, None)
        for pattern in _listed(path):
            yield folder + str(pattern).removeprefix("./"), str(split or "")


def _front_matter(text: str) -> dict[str, Any]:
    found = _FRONT.match(text.replace("\r\n", "\n").removeprefix("\ufeff"))
    try:
        value = yaml.safe_load(found[1]) if found else None
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _glob(pattern: str) -> str:
    """A regular expression of a path pattern: `**` is any folders, `*` and `?` stay within one."""
    steps = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.sub(r"\*\*/|\*\*|\*|\?|[^*?]+", lambda step: steps.get(step[0]) or re.escape(step[0]), pattern)
