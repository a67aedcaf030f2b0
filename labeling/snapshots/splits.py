"""Splits by group: a pure function of seed, group and fractions, so that a group never stands in two splits.

A group's place is SHA-256 of (seed, group) read as a number in [0, 1): the first stretch is test, the next
validation, the rest train. New groups do not move old ones. Held-out groups are test whatever their hash
says. With few groups the hash can leave train empty; then the group with the largest place that is not held
out goes to train, in that snapshot. Validation and test may stay empty with few groups; a reader has to
allow for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


def group_place(seed: int, group: str) -> float:
    """The group's place in [0, 1), uniform over groups."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


@dataclass
class Splitter:
    """Assigns a split to a group; `moved_to_train` is the one group that was moved so that train has
    something.
    """

    seed: int
    fractions: Mapping[str, float]
    held_out: Collection[str] = field(default_factory=frozenset)
    moved_to_train: str | None = None

    def split_of(self, group: str) -> str:
        if group in self.held_out:
            return "test"
        if group == self.moved_to_train:
            return "train"
        place = group_place(self.seed, group)
        if place < self.fractions["test"]:
            return "test"
        if place < self.fractions["test"] + self.fractions["validation"]:
            return "validation"
        return "train"

    def ensure_train(self, groups: Collection[str]) -> None:
        """Move one of these groups to train if none is there and the fractions want one."""
        if self.fractions["train"] <= 0 or any(self.split_of(group) == "train" for group in groups):
            return
        movable = [group for group in groups if group not in self.held_out]
        self.moved_to_train = max(
            movable, key=lambda group: (group_place(self.seed, group), group), default=None
        )
