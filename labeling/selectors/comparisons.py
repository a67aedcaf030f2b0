"""The list of a project's comparisons, filtered and paged by key, and what one comparison's page shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from labeling.models import Comparison, ComparisonState, Outcome, Preference, Project, Prompt, ResolvedOutcome
from webapp.caches import page_cache

PAGE_SIZE = 40
STATES = tuple(ComparisonState.values)
OUTCOMES = (*ResolvedOutcome.values, "none")


@dataclass(frozen=True)
class ComparisonFilter:
    """What to keep; an empty field keeps everything. `outcome` "none" keeps what nobody has settled yet."""

    state: str = ""
    outcome: str = ""
    disputed: bool = False
    language: str = ""
    topic: str = ""
    q: str = ""

    @property
    def is_empty(self) -> bool:
        return self == ComparisonFilter()


def comparisons_found(project: Project, wanted: ComparisonFilter) -> QuerySet[Comparison]:
    """The comparisons that match, newest first, with prompt, responses and resolution."""
    found = Comparison.objects.filter(project=project).select_related(
        "prompt", "response_a", "response_b", "resolution"
    )
    if wanted.state:
        found = found.filter(state=wanted.state)
    if wanted.outcome == "none":
        found = found.filter(resolution__isnull=True)
    elif wanted.outcome:
        found = found.filter(resolution__outcome=wanted.outcome)
    if wanted.disputed:
        found = found.filter(resolution__is_disputed=True)
    if wanted.language:
        found = found.filter(prompt__language=wanted.language)
    if wanted.topic:
        found = found.filter(prompt__topic=wanted.topic)
    if wanted.q:
        found = _with_text(found, wanted.q)
    return found.order_by("-pk")


def _with_text(found: QuerySet[Comparison], text: str) -> QuerySet[Comparison]:
    """Prompts or responses that hold the text, whatever its case. SQLite keeps JSON with escapes, PostgreSQL
    without:
    messages are searched for both spellings."""
    escaped = json.dumps(text)[1:-1]
    return found.annotate(messages_text=Cast("prompt__messages", TextField())).filter(
        Q(messages_text__icontains=text)
        | Q(messages_text__icontains=escaped)
        | Q(response_a__text__icontains=text)
        | Q(response_b__text__icontains=text)
    )


@dataclass(frozen=True)
class KeyPage:
    """One page by key. `older` and `newer` are the ids to continue from, or None at the ends."""

    rows: list[Comparison]
    older: int | None
    newer: int | None


def comparison_page(
    found: QuerySet[Comparison], *, before: int | None = None, after: int | None = None, size: int = PAGE_SIZE
) -> KeyPage:
    """The page below id `before`, or above id `after`, or the first. One query: costs the same on every page."""
    if after is not None:
        rows = list(found.filter(pk__gt=after).order_by("pk")[: size + 1])
        more_newer, rows = len(rows) > size, rows[:size][::-1]
        return KeyPage(rows, rows[-1].pk if rows else None, rows[0].pk if more_newer else None)
    rows = list((found.filter(pk__lt=before) if before is not None else found)[: size + 1])
    more_older, rows = len(rows) > size, rows[:size]
    newer = rows[0].pk if rows and before is not None else None
    return KeyPage(rows, rows[-1].pk if more_older else None, newer)


@dataclass(frozen=True)
class Choices:
    languages: tuple[str, ...]
    topics: tuple[str, ...]


def filter_choices(project: Project, most: int = 60) -> Choices:
    """Languages and topics to choose from, kept for five minutes."""
    key = f"comparison-choices:{project.pk}"
    found: Choices | None = page_cache.get(key)
    if found is None:
        prompts = Prompt.objects.filter(project=project).order_by()
        languages = prompts.exclude(language="").values_list("language", flat=True).distinct()[:most]
        topics = prompts.exclude(topic="").values_list("topic", flat=True).distinct()[:most]
        found = Choices(tuple(sorted(languages)), tuple(sorted(topics)))
        page_cache.set(key, found, 300)
    return found


@dataclass(frozen=True)
class PersonVoice:
    """One person on one comparison: the revision that stands and those before it. Empty outcome: none stands."""

    current: Preference
    earlier: tuple[Preference, ...]

    @property
    def outcome(self) -> str:
        return self.current.outcome if self.current.outcome not in (Outcome.SKIP, Outcome.WITHDRAWN) else ""

    @property
    def p_a(self) -> float | None:
        """Where the vote stands between A (1) and B (0), from its strength 1 to 4; ½ for a tie."""
        if self.current.outcome not in (Outcome.A, Outcome.B):
            return 0.5 if self.current.outcome == Outcome.TIE else None
        share = 0.5 + (self.current.strength or 4) / 8
        return share if self.current.outcome == Outcome.A else 1 - share

    @property
    def seconds(self) -> float | None:
        return None if self.current.duration_ms is None else self.current.duration_ms / 1000


def person_voices(comparison: Comparison) -> list[PersonVoice]:
    """Everybody who said something about the comparison, in the order in which they first did. One query."""
    rows = Preference.objects.filter(comparison=comparison).select_related("labeler").order_by("pk")
    by_labeler: dict[int, list[Preference]] = {}
    for row in rows:
        by_labeler.setdefault(row.labeler_id, []).append(row)
    return [
        PersonVoice(current=latest, earlier=tuple(rest))
        for *rest, latest in _by_revision(by_labeler.values())
    ]


def _by_revision(groups: Iterable[list[Preference]]) -> list[list[Preference]]:
    return [sorted(group, key=lambda row: row.revision) for group in groups]
