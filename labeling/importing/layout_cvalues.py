"""CValues-Comparison: a prompt with a positive and a negative response."""

from collections.abc import Mapping
from typing import Any

from labeling.importing import fields
from labeling.importing.layout import Layout, Parsed
from labeling.importing.layout_pairs import PAIR_KEYS, pair_of

KEYS = ("pos_resp", "neg_resp")


def _cvalues(row: Mapping[str, Any]) -> Parsed:
    chosen, rejected = (fields.text(row[key], key) for key in KEYS)
    return pair_of(row, fields.prompt(row["prompt"], "prompt"), chosen, rejected, keys=KEYS)


CVALUES = Layout(name="cvalues", required=("prompt", *KEYS), optional=PAIR_KEYS, read=_cvalues)
