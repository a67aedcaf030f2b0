"""The dataset card: what a hub and `datasets` read at its top, then in words what the data is and what it is not.

It is written in English whoever exports, so that the same options give the same bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from labeling.exporting.layouts import LAYOUTS
from labeling.exporting.options import ExportOptions
from labeling.models import Snapshot
from labeling.selectors.agreement import Agreement, snapshot_agreement
from labeling.snapshots.reading import read_snapshot
from labeling.snapshots.rows import SETTLED_BY
from labeling.statistics import Estimate

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]{1,38}")
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
# What settles comparisons.
RULES = {
    "votes": "the majority of their labelers' latest votes (a draw is a tie)",
    "reliability": "their labelers' latest votes and how reliable each labeler is (Dawid and Skene)",
    "adjudication": "a reviewer, whatever the votes say",
    "judges": "language models that judged them and all agree, without a vote",
}
OUTCOMES = {"a": "one response better", "b": "one response better", "tie": "tie", "both_bad": "both bad"}


@dataclass(frozen=True)
class CardFacts:
    """What a card says of the labels behind the rows: of the exported splits, the agreement of the whole snapshot.
    `single` comparisons have one vote or none, but for those that judges alone settled. `settled` are comparisons by
    what settled them, one of SETTLED_BY.
    """

    languages: tuple[str, ...]
    people: int
    votes: int
    single: int
    settled: dict[str, int]
    outcomes: dict[str, int]
    agreement: Agreement


def read_facts(snapshot: Snapshot, options: ExportOptions) -> CardFacts:
    """Costs two passes over a few columns. Raises SnapshotError."""
    languages, outcomes, settled = set[str](), Counter[str](), Counter[str]()
    people, votes, single = set[str](), 0, 0
    columns = ("language", "outcome", "annotators", "settled_by")
    for row in read_snapshot(snapshot, splits=options.splits, columns=columns):
        if row.settled_by == "judges" and options.verdicts == "out":
            continue
        languages.add(row.language.split("-")[0].lower())
        outcomes[OUTCOMES[row.outcome]] += 1
        votes += len(row.annotators)
        settled[row.settled_by] += 1
        single += len(row.annotators) < 2 and row.settled_by != "judges"
        people.update(vote["labeler"] for vote in row.annotators)
    return CardFacts(
        languages=tuple(sorted(filter(_LANGUAGE.fullmatch, languages))),
        people=len(people),
        votes=votes,
        single=single,
        settled={by: settled[by] for by in SETTLED_BY if settled[by]},
        outcomes=dict(sorted(outcomes.items())),
        agreement=snapshot_agreement(snapshot),
    )


def card_text(
    snapshot: Snapshot,
    options: ExportOptions,
    facts: CardFacts,
    *,
    rows: Mapping[str, int],
    left_out: Mapping[str, int],
) -> str:
    """`rows` are written rows by split, `left_out` comparisons by reason."""
    head = "\n".join(["---", *_front_matter(options, facts, rows), "---"])
    name = f"{snapshot.project.name}, snapshot v{snapshot.number}"
    return (
        "\n\n".join(
            [
                head,
                f"# {name}",
                _what(options, rows),
                "## How it was labeled\n\n" + _how(snapshot, facts),
                "## What was written\n\n" + _written(options, rows, left_out),
                "## Known limits\n\n" + _limits(facts),
                "## Where it is from\n\n" + _origin(snapshot, options),
            ]
        )
        + "\n"
    )


def _front_matter(options: ExportOptions, facts: CardFacts, rows: Mapping[str, int]) -> list[str]:
    """YAML. Texts are quoted as JSON strings, which YAML reads as they are meant."""
    found = ["configs:", "- config_name: default", "  data_files:"] if rows else []
    for split in rows:
        found += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    if facts.languages:
        found += ["language:", *(f"- {_quoted(language)}" for language in facts.languages)]
    if options.licence and _LICENCE_ID.fullmatch(options.licence.lower()):
        found.append(f"license: {_quoted(options.licence.lower())}")
    elif options.licence:
        found += ["license: other", f"license_name: {_quoted(options.licence)}"]
    total = sum(rows.values())
    size = next((name for most, name in SIZES if total < most), "n>100M")
    return [
        *found,
        "size_categories:",
        f"- {size}",
        "tags:",
        "- preference",
        "- human-feedback",
        f"- {options.layout}",
    ]


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _what(options: ExportOptions, rows: Mapping[str, int]) -> str:
    splits = ", ".join(f"{count:,} {split}" for split, count in rows.items())
    unit = {"pairs": "comparison", "unpaired": "response", "whole": "comparison", "prompts": "prompt"}
    return (
        f"Preferences between responses to the same prompt, in the layout `{options.layout}`: "
        f"{sum(rows.values()):,} rows ({splits or 'no split has any'}), one for each "
        f"{unit[LAYOUTS[options.layout].kind]}."
    )


def _how(snapshot: Snapshot, facts: CardFacts) -> str:
    kinds = ", ".join(snapshot.config.get("labeler_kinds", []))
    outcomes = ", ".join(f"{count:,} {name}" for name, count in facts.outcomes.items())
    return "\n".join(
        [
            f"- {facts.people:,} labelers ({kinds}) gave {facts.votes:,} votes.",
            *(f"- Comparisons settled by {RULES[by]}: {count:,}." for by, count in facts.settled.items()),
            f"- Fewest votes for a comparison: {snapshot.config.get('min_labels', 1)}.",
            f"- Outcomes: {outcomes or 'none'}.",
            *_agreement(facts.agreement),
        ]
    )


def _agreement(agreement: Agreement) -> list[str]:
    """Lines on the whole snapshot's agreement, or why there is none."""
    if agreement.pairwise is None:
        return [
            f"- Agreement is not stated: {agreement.comparisons:,} comparisons have two votes or more, and "
            f"{agreement.minimum} are needed."
        ]
    lines = [f"- Two people agree on a comparison in {_interval(agreement.pairwise)} of the cases"]
    if agreement.alpha is not None:
        lines[0] += f"; Krippendorff's alpha (nominal) is {_interval(agreement.alpha)}"
    return [
        f"{lines[0]}. {agreement.comparisons:,} comparisons of the whole snapshot have two votes or more."
    ]


def _interval(estimate: Estimate) -> str:
    """The figure, with its 95 % interval where it has one."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} (95 % interval {estimate.low:.3f} to {estimate.high:.3f})"


def _written(options: ExportOptions, rows: Mapping[str, int], left_out: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    lines = [
        f"- Ties: {options.ties}. Both bad: {options.both_bad}. System prompts: {options.system}.",
        f"- Margin: {options.margin}. Least agreement: {options.min_agreement:g}. Texts: {options.text}.",
        f"- Rewrites: {options.rewrites}. Judges' verdicts: {options.verdicts}.",
        f"- Left out, by comparison: {reasons or 'none'}.",
    ]
    if LAYOUTS[options.layout].kind == "whole":
        lines.append(f"- People stand under {options.labelers}.")
    return "\n".join(lines)


def _limits(facts: CardFacts) -> str:
    lines = [
        "- The labels say what these people preferred under their project's guidelines, and no more.",
        "- Splits are by group of prompts, so their sizes differ from the shares that were asked for.",
        "- Texts are as they were imported: nothing was filtered for private data or harm.",
    ]
    if facts.single:
        total = sum(facts.outcomes.values())
        lines.append(f"- {facts.single:,} of the {total:,} comparisons were labeled by one person alone.")
    return "\n".join(lines)


def _origin(snapshot: Snapshot, options: ExportOptions) -> str:
    return "\n".join(
        [
            f"- Project `{snapshot.project.slug}`, snapshot v{snapshot.number} of {snapshot.created_at:%Y-%m-%d}.",
            f"- Content hash of the snapshot: `{snapshot.content_hash}`.",
            f"- Splits keep together what has the same {snapshot.config.get('group_key')}; "
            f"their seed is {snapshot.config.get('seed', 0)}.",
            f"- Licence: {options.licence or 'none was stated; ask before you pass it on'}.",
            "- `manifest.json` has every option and the hash of each file.",
        ]
    )
