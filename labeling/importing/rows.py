"""Records become database rows, many at a time, and the same record never becomes two.

Everything is found by content hash: prompts within the project, responses within the prompt, comparisons
by their two responses. What is missing is inserted in sorted order at every level, so two imports at once wait for each
other instead of deadlocking; where one has made a row meanwhile, the other's transaction fails, begins again and finds
it. Call inside a transaction. A batch costs about a dozen statements, whatever the project's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeling.hashing import prompt_hash, response_hash
from labeling.importing.bulk import find_pairs, ids_reserve, rows_insert
from labeling.importing.options import ImportOptions, record_group
from labeling.importing.records import HELD_OUT, ImportedResponse, ImportedVote, Record, record_pairs
from labeling.models import Comparison, ComparisonState, Labeler, LabelerKind, Project, Prompt, Response

FLIPPED = {"a": "b", "b": "a"}
PROMPT_KEY = ("project_id", "content_hash")
RESPONSE_KEY = ("prompt_id", "content_hash")
PAIR_KEY = ("response_a_id", "response_b_id")
PROMPT_VALUES = ("messages", "group", "language", "topic", "external_id", "metadata")
STANDING = ("label_count", "open_slots", "state")

ResponseKey = tuple[int, str]
PairKey = tuple[int, int]


@dataclass(frozen=True)
class PlacedVote:
    """A vote against the rows of the database; `outcome` and `aspects` are in the comparison's own orientation, and
    `spans` name the responses by their ids."""

    pair: PairKey
    labeler: str
    outcome: str
    vote: ImportedVote
    key: str
    aspects: dict[str, str] = field(default_factory=dict)
    spans: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class PlacedRecords:
    """What a batch became: its comparisons, which of them are new, its votes (one for each labeler and
    pair), which rows are new, and what a reviewer settled of which pair: outcome in the comparison's own
    orientation, and strength. New comparisons count their votes already."""

    prompts: int = 0
    new_responses: set[int] = field(default_factory=set)
    votes: list[PlacedVote] = field(default_factory=list)
    comparison_ids: dict[PairKey, int] = field(default_factory=dict)
    new_pairs: set[PairKey] = field(default_factory=set)
    adjudicated: dict[PairKey, tuple[str, int | None]] = field(default_factory=dict)


@dataclass
class Item:
    """A record with its hashes and the pairs it asks for; `pairs` are index pairs. The database's ids come later."""

    number: int
    record: Record
    group: str
    messages: list[dict[str, str]]
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

    `items` are made by `item_of`, and are filled in; `key` begins every vote's idempotency key. Raises IntegrityError
    when somebody else makes one of them at the same time.
    """
    placed = PlacedRecords()
    placed.prompts = _place_prompts(project, items, options)
    placed.new_responses = _place_responses(items)
    votes: dict[tuple[PairKey, str], PlacedVote] = {}
    for item in items:
        for vote in _votes(item, options, key):
            votes.setdefault((vote.pair, vote.labeler), vote)  # the first in file order counts
        if item.record.is_adjudicated:
            placed.adjudicated.setdefault(*_adjudicated(item))
    placed.votes = list(votes.values())
    _place_comparisons(project, items, options, placed)
    return placed


def item_of(number: int, record: Record, options: ImportOptions) -> Item:
    """What can be said of a record without the database. `number` is its row's."""
    messages = [message.as_json() for message in record.messages]
    return Item(
        number=number,
        record=record,
        group=record_group(record, options),
        messages=messages,
        prompt_hash=prompt_hash(messages),
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
    found = find_pairs(Prompt, PROMPT_KEY, [(project.pk, digest) for digest in firsts])
    known = {digest: pk for (_project, digest), pk in found.items()}
    missing = sorted(firsts.keys() - known.keys())
    new = dict(zip(missing, ids_reserve(Prompt, len(missing)), strict=True))
    held_out = {item.prompt_hash for item in items if options.split or item.record.is_held_out}
    rows = (
        (pk, digest, *_prompt_values(firsts[digest], options, digest in held_out))
        for digest, pk in new.items()
    )
    rows_insert(Prompt, ("id", "content_hash", *PROMPT_VALUES), rows, constants={"project_id": project.pk})
    _hold_out([pk for digest, pk in known.items() if digest in held_out])
    ids = known | new
    for item in items:
        item.prompt_id = ids[item.prompt_hash]
        item.is_new = item.prompt_hash in new
    return len(new)


def _hold_out(prompt_ids: Sequence[int]) -> None:
    """Marks prompts that an earlier file brought; without the mark they would be trained on."""
    if not prompt_ids:
        return
    rows = Prompt.objects.select_for_update(no_key=True).filter(pk__in=prompt_ids).order_by("pk")
    unmarked = [row for row in rows.only("metadata") if row.metadata.get("split") != HELD_OUT]
    for row in unmarked:
        row.metadata = row.metadata | {"split": HELD_OUT}
    Prompt.objects.bulk_update(unmarked, ["metadata"])


def _prompt_values(item: Item, options: ImportOptions, is_held_out: bool) -> tuple[Any, ...]:
    """In the order of `PROMPT_VALUES`."""
    record = item.record
    return (
        item.messages,
        item.group,
        record.language or options.language,
        record.topic,
        record.external_id,
        record.metadata | {"split": HELD_OUT} if is_held_out else record.metadata,
    )


def _place_responses(items: Sequence[Item]) -> set[int]:
    """Gives every item its responses' ids; returns those that are new."""
    wanted: dict[ResponseKey, ImportedResponse] = {}
    for item in items:
        for digest, response in zip(item.response_hashes, item.record.responses, strict=True):
            wanted.setdefault((item.prompt_id, digest), response)
    older = {item.prompt_id for item in items if not item.is_new}
    known = find_pairs(Response, RESPONSE_KEY, [key for key in wanted if key[0] in older])
    missing = sorted(wanted.keys() - known.keys())
    new = dict(zip(missing, ids_reserve(Response, len(missing)), strict=True))
    rows = ((pk, *key, wanted[key].text, wanted[key].model) for key, pk in new.items())
    rows_insert(Response, ("id", *RESPONSE_KEY, "text", "model_name"), rows, constants={})
    ids = known | new
    for item in items:
        item.response_ids = [ids[(item.prompt_id, digest)] for digest in item.response_hashes]
    return set(new.values())


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
                spans=[{**span, "response": item.response_ids[span["response"]]} for span in vote.spans],
            )


def _adjudicated(item: Item) -> tuple[PairKey, tuple[str, int | None]]:
    """The record's one pair, and what it was settled as."""
    said = item.record.settled
    assert said is not None
    pair, flipped = item.oriented((0, 1))
    return pair, (FLIPPED.get(said.outcome, said.outcome) if flipped else said.outcome, said.strength)


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
    older_ids = find_pairs(
        Comparison, PAIR_KEY, [key for key, prompt_id in prompts.items() if prompt_id in older]
    )
    _set_gold(older_ids, gold)
    missing = sorted(prompts.keys() - older_ids.keys())
    new = dict(zip(missing, ids_reserve(Comparison, len(missing)), strict=True))
    votes = Counter(vote.pair for vote in placed.votes)
    needed = project.overlap
    rows = (
        (pk, *pair, prompts[pair], gold.get(pair, ""), *_standing(votes[pair], needed))
        for pair, pk in new.items()
    )
    columns = ("id", *PAIR_KEY, "prompt_id", "gold_outcome", *STANDING)
    rows_insert(Comparison, columns, rows, constants={"project_id": project.pk, "needed": needed})
    placed.comparison_ids = older_ids | new
    placed.new_pairs = set(new)


def _standing(votes: int, needed: int) -> tuple[int, int, str]:
    """In the order of `STANDING`."""
    state = ComparisonState.DONE if votes >= needed else ComparisonState.OPEN
    return votes, max(0, needed - votes), state.value


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
        rows_insert(Labeler, ("name",), [(name,) for name in missing], constants=constants)
        found |= find(missing)
    return found
