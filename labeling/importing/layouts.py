"""The table of layouts, and which one a file has.

To teach the importer a layout: write a module like `layout_votes.py` with a `Layout` (name, the keys that
tell it, keys it also reads, and `read`), and add it to `LAYOUTS`. Detection, error messages, the preview
and REST read the table. Order matters only where one layout's required keys contain another's: the fuller
one first.
"""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any

from labeling.importing import (
    layout_cvalues,
    layout_kto,
    layout_lists,
    layout_llamafactory,
    layout_pairs,
    layout_pandalm,
    layout_rewardbench,
    layout_rm_finetuning,
    layout_swift,
    layout_votes,
)
from labeling.importing.layout import Layout
from labeling.importing.mapping import Mapping as KeyMapping
from labeling.importing.problems import ProblemError
from labeling.importing.records import Record

LAYOUTS: tuple[Layout, ...] = (
    layout_votes.VOTES,
    layout_swift.MS_SWIFT,
    layout_lists.RESPONSES,
    layout_rewardbench.REWARDBENCH2,
    layout_rewardbench.REWARDBENCH,
    layout_pairs.EXPLICIT,
    layout_llamafactory.ALPACA_PAIRS,
    layout_llamafactory.SHAREGPT_PAIRS,
    layout_pairs.IMPLICIT,
    layout_pairs.MESSAGE_PAIRS,
    layout_cvalues.CVALUES,
    layout_pandalm.PANDALM,
    layout_lists.RANKED,
    layout_kto.KTO,
    layout_kto.KTO_MESSAGES,
    layout_rm_finetuning.RM_FINETUNING,
)

LAYOUTS_BY_NAME = {layout.name: layout for layout in LAYOUTS}
DETECTION_ROWS = 100
SAME_WORD = 0.6  # likeness from which a key counts as another one misspelt


def layout_for(name: str, mapping: object = None) -> Layout | None:
    """The layout that a mapping describes, else that of this name; None when it is still to be found."""
    return KeyMapping.from_json(mapping).layout() if mapping else LAYOUTS_BY_NAME.get(name)


def layout_of(row: Mapping[str, Any]) -> Layout | None:
    """The layout whose keys the row has; None when no layout knows it."""
    return next((layout for layout in LAYOUTS if layout.matches(row)), None)


def detect_layout(rows: Iterable[Mapping[str, Any]]) -> Layout | None:
    """The layout of most of the rows (the earliest found wins a draw); None when no row has one."""
    counts: dict[str, int] = {}
    for row in rows:
        layout = layout_of(row)
        if layout:
            counts[layout.name] = counts.get(layout.name, 0) + 1
    return LAYOUTS_BY_NAME[max(counts, key=counts.__getitem__)] if counts else None


def closest_layout(keys: Iterable[str]) -> Layout:
    """The layout that these keys were probably meant for: fewest misspelt or missing required keys. What a
    list would hold is not among the keys, so it counts as missing.
    """
    found = list(keys)

    def distance(layout: Layout) -> float:
        needed = (*layout.required, *layout.one_of[:1])
        lacking = sum(1 - max((_nearness(key, name) for name in found), default=0.0) for key in needed)
        unseen = len(layout.last_has) if layout.required[0] in found else 0
        return lacking + unseen + sum(key in found for key in layout.excluded)

    return min(LAYOUTS, key=lambda layout: (distance(layout), -len(layout.required)))


def _nearness(wanted: str, found: str) -> float:
    """Likeness of what could be the same word misspelt; nothing for other words."""
    likeness = _likeness(wanted, found)
    return likeness if likeness >= SAME_WORD else 0.0


def _likeness(wanted: str, found: str) -> float:
    return SequenceMatcher(None, wanted, found.lower()).ratio()


def parse_row(layout: Layout, row: Mapping[str, Any], line: int, first_place: int | str = 1) -> Record:
    """The record of a row of a file whose layout is known.

    Raises ProblemError: "wrong_keys" (with the keys found and expected), "mixed_layouts" when the row has
    another layout than the file (`first_place` is where the file's layout was seen), or what the layout's
    parser found.
    """
    if layout.matches(row):
        return layout.parse(row, line)
    other = layout_of(row)
    if other:
        raise ProblemError(
            "mixed_layouts", layout=other.name, file_layout=layout.name, first_line=first_place
        )
    raise wrong_keys(row, layout)


def wrong_keys(row: Mapping[str, Any], layout: Layout | None = None) -> ProblemError:
    """What to say of a row that no layout knows."""
    layout = layout or closest_layout(row)
    missing = layout.missing(row)
    spare = [name for name in row if name not in (*layout.required, *layout.one_of, *layout.optional)]
    return ProblemError(
        "wrong_keys",
        found=[key[:60] for key in list(row)[:20]],
        expected=layout.expected,
        missing=missing,
        layout=layout.name,
        meant={key: name for key in missing if (name := _meant(key, spare))},
    )


def _meant(key: str, names: Iterable[str]) -> str:
    """The name that was probably written for this key; "" when none is near."""
    likeness, name = max(((_likeness(key, name), name) for name in names), default=(0.0, ""))
    return name[:60] if likeness >= SAME_WORD else ""
