"""Whether two sides hold the same labels: a project before an export and another after the import, a snapshot and a
file that was read back.

A side is a multiset of `Label`s, made by one of `labels_of_project`, `labels_of_snapshot` and `labels_of_records`.
`assert_same_labels` compares two of them and says what only one side has. What a layout cannot carry is named in
`without`, so that a test says exactly what is lost on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labeling.hashing import prompt_hash, response_hash
from labeling.importing.records import Record
from labeling.models import Preference, Project
from labeling.selectors.preferences import latest_revisions
from labeling.snapshots.rows import SnapshotRow

# Facts that `without` may name: each of them is lost in some layout. "ties" leaves out labels without a winner.
FACTS = ("strength", "labeler", "models", "ties", "aspects", "why")
SHOWN = 5


class Label(NamedTuple):
    """One label, whichever way round its responses stand.

    `responses` are the hashes of both texts, sorted; `models` stand in the same order. `winner` is the hash of the
    better text, or "tie" or "both_bad". `strength` is 1 to 4, or None where nobody gave one. `aspects` are (aspect,
    winner, strength), in order. `why` is rationale, reasons and passages (hash of the text, quote, nth,
    reason).
    """

    prompt: str
    responses: tuple[str, str]
    winner: str
    strength: float | None
    labeler: str
    models: tuple[str, str]
    aspects: tuple[tuple[str, str, int | None], ...] = ()
    why: tuple[object, ...] = ()


Labels = Counter[Label]


def label(
    messages: Iterable[dict[str, str]],
    responses: tuple[tuple[str, str], tuple[str, str]],
    outcome: str,
    *,
    strength: float | None = None,
    labeler: str = "",
    aspects: Mapping[str, str] | None = None,
    aspect_strengths: Mapping[str, int] | None = None,
) -> Label:
    """`responses` are (text, model) of a and b; `outcome` is one of a, b, tie, both_bad, those of `aspects` as well."""
    hashes = [response_hash(text) for text, _model in responses]
    winners = {"a": hashes[0], "b": hashes[1]}
    by_aspect = sorted(
        (aspect, winners.get(side, side), (aspect_strengths or {}).get(aspect))
        for aspect, side in (aspects or {}).items()
    )
    (first, first_model), (second, second_model) = sorted(
        zip(hashes, (model for _text, model in responses), strict=True)
    )
    return Label(
        prompt=prompt_hash(list(messages)),
        responses=(first, second),
        winner=winners.get(outcome, outcome),
        strength=strength,
        labeler=labeler,
        models=(first_model, second_model),
        aspects=tuple(by_aspect),
    )


def labels_of_project(project: Project) -> Labels:
    """The latest preference of each person on each comparison."""
    found: Labels = Counter()
    latest = latest_revisions(Preference.objects.filter(project=project)).exclude(
        outcome__in=["skip", "withdrawn"]
    )
    for preference in latest.select_related(
        "labeler", "comparison__prompt", "comparison__response_a", "comparison__response_b"
    ):
        comparison = preference.comparison
        found[
            label(
                comparison.prompt.messages,
                (
                    (comparison.response_a.text, comparison.response_a.model_name),
                    (comparison.response_b.text, comparison.response_b.model_name),
                ),
                preference.outcome,
                strength=preference.strength,
                labeler=preference.labeler.name,
                aspects=preference.aspects,
                aspect_strengths=preference.aspect_strengths,
            )._replace(why=_why(preference))
        ] += 1
    return found


def _why(preference: Preference) -> tuple[object, ...]:
    texts = {row.pk: row.text for row in (preference.comparison.response_a, preference.comparison.response_b)}
    passages = [
        (response_hash(texts[span["response"]]), span["quote"], span["nth"], span["reason"])
        for span in preference.spans or ()
    ]
    found = (preference.rationale, tuple(preference.reasons), tuple(passages))
    return found if any(found) else ()


def labels_of_snapshot(rows: Iterable[SnapshotRow]) -> Labels:
    """What each comparison was settled as. Nobody in particular said so: `labeler` is ""."""
    return Counter(
        label(
            row.messages,
            ((row.response_a, row.model_a), (row.response_b, row.model_b)),
            row.outcome,
            strength=row.strength if row.outcome in ("a", "b") else None,
        )
        for row in rows
    )


def labels_of_records(records: Iterable[Record]) -> Labels:
    """The votes that an import would make of these records. A margin stands as the strength, on the file's scale."""
    return Counter(
        label(
            [message.as_json() for message in record.messages],
            tuple(
                (record.responses[place].text, record.responses[place].model)
                for place in (vote.first, vote.second)
            ),  # type: ignore[arg-type]
            vote.outcome,
            strength=vote.margin if vote.strength is None else vote.strength,
            labeler=vote.labeler or "",
        )
        for record in records
        for vote in record.votes
    )


def reduced(labels: Labels, without: Iterable[str] = ()) -> Labels:
    """The labels with these facts left out."""
    lost = set(without)
    assert lost <= set(FACTS), f"unknown facts {sorted(lost - set(FACTS))}: choose from {FACTS}"
    found: Labels = Counter()
    for entry, count in labels.items():
        if "ties" in lost and entry.winner in ("tie", "both_bad"):
            continue
        found[
            entry._replace(
                strength=None if "strength" in lost else entry.strength,
                labeler="" if "labeler" in lost else entry.labeler,
                models=("", "") if "models" in lost else entry.models,
                aspects=() if "aspects" in lost else entry.aspects,
                why=() if "why" in lost else entry.why,
            )
        ] += count
    return found


def assert_same_labels(left: Labels, right: Labels, *, without: Iterable[str] = ()) -> None:
    """Both sides have the same labels, each as often, but for the facts in `without`. Two empty sides are a mistake."""
    mine, theirs = reduced(left, without), reduced(right, without)
    assert mine, "the left side has no labels"
    lost, added = mine - theirs, theirs - mine
    missing = f"{lost.total()} of {mine.total()} labels are missing on the right: {[*lost][:SHOWN]}"
    assert mine == theirs, f"{missing}; {added.total()} are only there: {[*added][:SHOWN]}"


def assert_same_order_of_strengths(left: Labels, right: Labels) -> None:
    """Where the right side's scale is another one: the stronger of two labels on the left is not the weaker one on the
    right. The labels must be the same but for their strengths, each there once.
    """
    assert_same_labels(left, right, without=("strength",))
    places = {entry._replace(strength=None): entry.strength for entry in right}
    pairs = sorted((entry.strength or 0.0, places[entry._replace(strength=None)] or 0.0) for entry in left)
    highest = float("-inf")
    for strength in sorted({strength for strength, _other in pairs}):
        others = [other for found, other in pairs if found == strength]
        assert min(others) >= highest, (
            f"strength {strength} became {min(others)}, below a weaker label's {highest}"
        )
        highest = max(others)
