"""Import, export, import: every layout that can be imported comes back with the same preferences.

`ROUND_TRIPS` is the one table of it; docs/formats.md lists the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from labeling.exporting.layouts import LAYOUTS as EXPORTED
from labeling.importing.layouts import LAYOUTS
from labeling.models import Comparison
from labeling.snapshots import read_snapshot
from tests.labeling.equality import assert_same_labels, labels_of_project
from tests.labeling.exporting.builders import brought, export, settle
from tests.labeling.importing.helpers import jsonl, rows_of

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).resolve().parents[3] / "docs"
# Layout of the import, layout of the export that carries its preferences, options of the export.
NAMES = {"labelers": "names"}
ROUND_TRIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "trl_explicit": ("trl-explicit", {"text": "plain"}),
    "trl_implicit": ("trl-implicit", {}),
    "message_pairs": ("ms-swift-messages", {}),
    "ms_swift": ("ms-swift", {}),
    "alpaca_pairs": ("llamafactory-alpaca", {}),
    "sharegpt_pairs": ("llamafactory-sharegpt", {}),
    "cvalues": ("cvalues", {}),
    "rm_finetuning": ("rm-finetuning", {}),
    "rewardbench": ("rewardbench", {}),
    "rewardbench2": ("rewardbench2", {}),
    "ranked": ("ranked", {}),
    "votes": ("votes", NAMES),
    "pandalm": ("votes", NAMES),
    "kto": ("kto", {"text": "plain"}),
    "kto_messages": ("llamafactory-kto", {}),
}
WITHOUT_PREFERENCES = {"responses"}


def rows_with_pairs(layout: str) -> list[dict[str, Any]]:
    """Rows of the layout; of KTO's, two with one prompt, since a lone response is compared with nothing."""
    rows = rows_of(layout, 6)
    for number, row in enumerate(rows):
        if layout == "kto":
            row["prompt"] = f"Sum {number // 2}"
        if layout == "kto_messages":
            row["messages"][0] = {"role": "user", "content": f"Sum {number // 2}"}
    return rows


@pytest.mark.parametrize("layout", ROUND_TRIPS)
def test_preferences_come_back_and_go_out_again_the_same(layout):
    """The labeler of a file that names none is the same both times. A second export says what the first one said."""
    leaves_as, options = ROUND_TRIPS[layout]
    first = brought(jsonl(rows_with_pairs(layout)), labeler="Ann")
    data = export(settle(first), layout=leaves_as, **options)
    second = brought(data, labeler="Ann")
    assert_same_labels(labels_of_project(first), labels_of_project(second))
    again = export(settle(second), layout=leaves_as, **options)
    assert without_ids(again) == without_ids(data)


def without_ids(data: bytes) -> list[bytes]:
    """Lines in order, without the numbers that rows have in their project."""
    return sorted(re.sub(rb'"id":("?)\d+("?)', b'"id":0', line) for line in data.splitlines())


@pytest.mark.parametrize("layout", WITHOUT_PREFERENCES)
def test_a_layout_without_preferences_has_none_to_bring_back(layout):
    project = brought(jsonl(rows_of(layout, 6)))
    assert Comparison.objects.filter(project=project).count() == 18
    assert list(read_snapshot(settle(project))) == []


def listed(name: str, column: int) -> dict[str, str]:
    """The first table below "## Layouts" of a page of the docs: its first column's names, with another column."""
    lines = (
        (DOCS / name).read_text(encoding="utf-8").split("## Layouts", 1)[1].split("|---", 1)[1].splitlines()
    )
    rows = [line.strip("| ").split(" | ") for line in lines[1 : lines.index("", 1)]]
    return {row[0].strip("`"): row[column].strip("`") for row in rows}


def test_the_docs_list_every_layout_and_what_it_leaves_as():
    expected = {layout: leaves_as for layout, (leaves_as, _options) in ROUND_TRIPS.items()}
    assert listed("formats.md", 3) == expected | dict.fromkeys(WITHOUT_PREFERENCES, "–")
    assert {layout.name for layout in LAYOUTS} == ROUND_TRIPS.keys() | WITHOUT_PREFERENCES
    assert listed("exports.md", 0).keys() == EXPORTED.keys()
