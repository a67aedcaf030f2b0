"""Records become database rows, many at a time, and the same record never becomes two.

Everything is found by content hash: prompts within the project, responses within the prompt, comparisons
by their two responses. What is missing is inserted with conflicts ignored, and what another import
inserted meanwhile is read back; in sorted order at every level, so two imports at once wait for each other
instead of deadlocking, and end with one row each. Call inside a transaction. A batch costs about a dozen
statements, whatever the project's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeling.hashing import prompt_hash, response_hash
from labeling.importing.bulk import find_pairs, rows_insert
from labeling.importing.options import ImportOptions, record_group
from labeling.importing.records import HELD_OUT, ImportedVote, Record, record_pairs
from labeling.models import Comparison, ComparisonState, Labeler, LabelerKind, Project, Prompt, Response

FLIPPED = {"a": "b", "b": "a"}
PROMPT_KEY = ("project_id", "content_hash")
RESPONSE_KEY = ("prompt_id", "content_hash")
PAIR_KEY = ("response_a_id", "response_b_id")

ResponseKey = tuple[int, str]
PairKey = tuple[int, int]


@dataclass(frozen=True)
class PlacedVote:
    """A vote against the rows of the database; `outcome` and `aspects` are in the comparison's own orientation."""

    pair: PairKey
    labeler: str
    outcome: str
    vote: ImportedVote
    key: str
    aspects: dict[str, str] = field(default_factory=dict)


@dataclass
class PlacedRecords:
    """What a batch became: its comparisons, which of them are new, its votes (one for each labeler and
    pair), and which rows are new. New comparisons count their votes already."""

    prompts: int = 0
    new_responses: set[int] = field(default_factory=set)
    votes: list[PlacedVote] = field(default_factory=list)
    comparison_ids: dict[PairKey, int] = field(default_factory=dict)
    new_pairs: set[PairKey] = field(default_factory=set)


@dataclass
class Item:
    """A record with its hashes and the pairs it asks for; `pairs` are index pairs. The database's ids come later."""

    number: int
    record: Record
    group: str
    prompt_hash: str
    response_hashes: list[str]
    pairs: list[tuple[int, int]]
    prompt_id: int = 0
    is_new: bool = False  # the prompt was made just now, so nothing below it is there yet
    response_ids: list[int] = field(default_factory=list)

    def oriented(self, pair: tuple[int, int]) -> tuple[PairKey, bool]:
        """The comparison's key, responses in the order of their hashes, and whether that turned the pair."""
        first, second = pair
        flipped = self.response_hashes[first] > self.response_hashes[second]
        if flipped:
            first, second = second, first
        return (self.response_ids[first], self.response_ids[second]), flipped


def records_place(
    *, project: Project, items: Sequence[Item], options: ImportOptions, key: str
) -> PlacedRecords:
    """Prompts, responses and comparisons of the records, made where they are missing; their votes, placed.

    `items` are made by `item_of`, and are filled in; `key` begins every vote's idempotency key.
    """
    placed = PlacedRecords()
    placed.prompts = _place_prompts(project, items, options)
    placed.new_responses = _place_responses(items)
    votes: dict[tuple[PairKey, str], PlacedVote] = {}
    for item in items:
        for vote in _votes(item, options, key):
            votes.setdefault((vote.pair, vote.labeler), vote)  # the first in file order counts
    placed.votes = list(votes.values())
    _place_comparisons(project, items, options, placed)
    return placed


def item_of(number: int, record: Record, options: ImportOptions) -> Item:
    """What can be said of a record without the database. `number` is its row's."""
    return Item(
        number=number,
        record=record,
        group=record_group(record, options),
        prompt_hash=prompt_hash([message.as_json() for message in record.messages]),
        response_hashes=[response_hash(response.text, response.model) for response in record.responses],
        pairs=record_pairs(record, options.pairs),
    )


def _place_prompts(project: Project, items: Sequence[Item], options: ImportOptions) -> int:
    """Gives every item its prompt's id; returns how many are new. The first row of a prompt gives its
    facts.
    """
    firsts: dict[str, Item] = {}
    for item in items:
        firsts.setdefault(item.prompt_hash, item)

    def find(hashes: Iterable[str]) -> dict[str, int]:
        found = find_pairs(Prompt, PROMPT_KEY, [(project.pk, digest) for digest in hashes])
        return {digest: pk for (_project, digest), pk in found.items()}

    ids = find(firsts)
    missing = sorted(firsts.keys() - ids.keys())
    held_out = {item.prompt_hash for item in items if options.split or item.record.is_held_out}
    rows = [_prompt_row(firsts[digest], options, digest in held_out) for digest in missing]
    inserted = rows_insert(Prompt, rows, constants={"project_id": project.pk}, returning=["content_hash"])
    ids |= {digest: pk for pk, digest in inserted}
    if len(inserted) < len(missing):
        ids |= find(missing)
    new = {digest for _pk, digest in inserted}
    _hold_out([ids[digest] for digest in held_out - new])
    for item in items:
        item.prompt_id = ids[item.prompt_hash]
        item.is_new = item.prompt_hash in new
    return len(inserted)


def _hold_out(prompt_ids: Sequence[int]) -> None:
    """Marks prompts that an earlier file brought; without the mark they would be trained on."""
    if not prompt_ids:
        return
    rows = Prompt.objects.select_for_update(no_key=True).filter(pk__in=prompt_ids).order_by("pk")
    unmarked = [row for row in rows.only("metadata") if row.metadata.get("split") != HELD_OUT]
    for row in unmarked:
        row.metadata = row.metadata | {"split": HELD_OUT}
    Prompt.objects.bulk_update(unmarked, ["metadata"])


def _prompt_row(item: Item, options: ImportOptions, is_held_out: bool) -> dict[str, Any]:
    record = item.record
    return {
        "messages": [message.as_json() for message in record.messages],
        "content_hash": item.prompt_hash,
        "group": item.group,
        "language": record.language or options.language,
        "topic": record.topic,
        "external_id": record.external_id,
        "metadata": record.metadata | ({"split": HELD_OUT} if is_held_out else {}),
    }


def _place_responses(items: Sequence[Item]) -> set[int]:
    """Gives every item its responses' ids; returns those that are new."""
    wanted: dict[ResponseKey, dict[str, Any]] = {}
    for item in items:
        for digest, response in zip(item.response_hashes, item.record.responses, strict=True):
            wanted.setdefault(
                (item.prompt_id, digest),
                {
                    "prompt_id": item.prompt_id,
                    "content_hash": digest,
                    "text": response.text,
                    "model_name": response.model,
                },
            )
    older = {item.prompt_id for item in items if not item.is_new}
    ids = find_pairs(Response, RESPONSE_KEY, [key for key in wanted if key[0] in older])
    missing = sorted(wanted.keys() - ids.keys())
    inserted = rows_insert(Response, [wanted[key] for key in missing], constants={}, returning=RESPONSE_KEY)
    ids |= {(prompt_id, digest): pk for pk, prompt_id, digest in inserted}
    if len(inserted) < len(missing):
        ids |= find_pairs(Response, RESPONSE_KEY, missing)
    for item in items:
        item.response_ids = [ids[(item.prompt_id, digest)] for digest in item.response_hashes]
    return {pk for pk, _prompt_id, _digest in inserted}


def _votes(item: Item, options: ImportOptions, key: str) -> Iterable[PlacedVote]:
    wanted = set(item.pairs)
    for index, vote in enumerate(item.record.votes):
        if (vote.first, vote.second) in wanted:
            pair, flipped = item.oriented((vote.first, vote.second))
            yield PlacedVote(
                pair=pair,
                labeler=vote.labeler or options.labeler,
                outcome=FLIPPED.get(vote.outcome, vote.outcome) if flipped else vote.outcome,
                vote=vote,
                key=f"{key}:{item.number}:{index}",
                aspects={
                    aspect: FLIPPED.get(side, side) if flipped else side
                    for aspect, side in vote.aspects.items()
                },
            )


def _place_comparisons(
    project: Project, items: Sequence[Item], options: ImportOptions, placed: PlacedRecords
) -> None:
    """Fills `comparison_ids` and `new_pairs`. A new comparison is inserted with its votes counted."""
    prompts: dict[PairKey, int] = {}
    gold: dict[PairKey, str] = {}
    for item in items:
        for pair in item.pairs:
            prompts.setdefault(item.oriented(pair)[0], item.prompt_id)
        known = item.record.gold
        if known and options.use_gold:
            key, flipped = item.oriented((known.first, known.second))
            gold.setdefault(key, FLIPPED.get(known.outcome, known.outcome) if flipped else known.outcome)
    older = {item.prompt_id for item in items if not item.is_new}
    ids = find_pairs(Comparison, PAIR_KEY, [key for key, prompt_id in prompts.items() if prompt_id in older])
    _set_gold(ids, gold)
    missing = sorted(prompts.keys() - ids.keys())
    votes = Counter(vote.pair for vote in placed.votes)
    needed = project.overlap
    rows = [_comparison_row(key, prompts[key], votes[key], needed, gold.get(key, "")) for key in missing]
    constants = {"project_id": project.pk, "needed": needed}
    inserted = rows_insert(Comparison, rows, constants=constants, returning=PAIR_KEY)
    new = {(first, second): pk for pk, first, second in inserted}
    if len(new) < len(missing):
        ids |= find_pairs(Comparison, PAIR_KEY, sorted(set(missing) - new.keys()))
    placed.comparison_ids = ids | new
    placed.new_pairs = set(new)


def _comparison_row(key: PairKey, prompt_id: int, votes: int, needed: int, gold: str) -> dict[str, Any]:
    state = ComparisonState.DONE if votes >= needed else ComparisonState.OPEN
    return {
        "prompt_id": prompt_id,
        "response_a_id": key[0],
        "response_b_id": key[1],
        "label_count": votes,
        "open_slots": max(0, needed - votes),
        "state": state.value,
        "gold_outcome": gold,
    }


def _set_gold(found: dict[PairKey, int], gold: dict[PairKey, str]) -> None:
    """Gold outcomes of comparisons that were there before and had none."""
    for outcome in sorted(set(gold.values())):
        ids = [found[key] for key, value in gold.items() if value == outcome and key in found]
        if ids:
            Comparison.objects.filter(pk__in=ids, gold_outcome="").update(gold_outcome=outcome)


def labelers_ensure(project: Project, names: Iterable[str]) -> dict[str, int]:
    """Ids of the imported labelers of these names, made where they are missing."""

    def find(wanted: Iterable[str]) -> dict[str, int]:
        rows = Labeler.objects.filter(
            project=project, user=None, kind=LabelerKind.IMPORTED, name__in=list(wanted)
        )
        return dict(rows.order_by().values_list("name", "pk"))

    wanted = set(names)
    found = find(wanted)
    missing = sorted(wanted - found.keys())
    if missing:
        constants = {"project_id": project.pk, "kind": LabelerKind.IMPORTED.value}
        rows_insert(Labeler, [{"name": name} for name in missing], constants=constants)
        found |= find(missing)
    return found
