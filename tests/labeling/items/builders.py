"""A project in which every filter finds some and leaves some, and a slow way to say which."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.utils import timezone

from labeling.items.filters import CHAMPION, ItemFilter
from labeling.items.finding import items_chunks
from labeling.models import LABEL_OUTCOMES, Comparison, Labeler, Project, Voice
from labeling.search.indexing import index_chunk
from labeling.search.tokens import query_of, words_of
from labeling.services.resolution import resolve_comparisons
from tests.factories import make_comparison, make_labeler, make_project, make_prompt
from tests.labeling.resolution.builders import vote

WORDS = [
    "solubility",
    "pressure",
    "café",
    "naïve",
    "v1.2",
    "a-b",
    "溶解度",
    "压力",
    "高压",
    "化学",
    "物理",
    "反应堆",
    "テスト",
    "がく",
    "ﬁne",
    "ＡＢＣ",
    "straße",
    "한국어",
    "x",
    "42",
    "don't",
]
JUDGES = ("a" * 32, "b" * 32)


def text_of(chance: random.Random) -> str:
    glue = chance.choice((" ", "，", ", ", ""))
    return glue.join(chance.choices(WORDS, k=chance.randint(1, 5)))


def index_all(project: Project) -> None:
    later = timezone.now() + timedelta(days=1)
    while index_chunk(project, before=later):
        pass


def mixed_project(size: int = 60, *, seed: int = 1) -> Project:
    chance = random.Random(seed)
    project = make_project(overlap=2)
    people = [make_labeler(project, name) for name in ("Ann", "Bo", "Cy")]
    start = timezone.make_aware(datetime(2026, 3, 1, 12))
    prompt = None
    for number in range(size):
        if prompt is None or chance.random() < 0.7:
            prompt = make_prompt(
                project,
                f"{text_of(chance)} {number}",
                language=chance.choice(("en", "zh", "")),
                topic=chance.choice(("chemistry", "physics", "")),
            )
        comparison = make_comparison(
            project,
            prompt=prompt,
            texts=(f"{text_of(chance)} A{number}", f"{text_of(chance)} B{number}"),
            state=chance.choice(("open", "open", "done", "review", "retired")),
            priority=chance.random(),
        )
        for response in (comparison.response_a, comparison.response_b):
            type(response).objects.filter(pk=response.pk).update(
                model_name=chance.choice(("alpha-7b", "beta", ""))
            )
        if chance.random() < 0.15:
            Comparison.objects.filter(pk=comparison.pk).update(gold_outcome="a", use="gold")
        for person in people:
            for _ in range(chance.choice((0, 0, 1, 1, 1, 2))):
                outcome = chance.choice(("a", "a", "b", "tie", "both_bad", "skip", "withdrawn"))
                vote(comparison, person, outcome, created_at=start + timedelta(days=chance.randint(0, 9)))
        add_voices(comparison, chance)
    resolve_comparisons(project.comparisons.values_list("pk", flat=True))
    index_all(project)
    return project


def add_voices(comparison: Comparison, chance: random.Random) -> None:
    for source in JUDGES:
        if chance.random() < 0.6:
            Voice.objects.create(
                project_id=comparison.project_id,
                comparison=comparison,
                kind="judge",
                source=source,
                name=f"Judge {source[0]}",
                outcome=chance.choice(("a", "b", "tie", "")),
            )
    if chance.random() < 0.7:
        share = chance.random()
        Voice.objects.create(
            project_id=comparison.project_id,
            comparison=comparison,
            kind="model",
            source=CHAMPION,
            name="v1",
            outcome="a" if share > 0.5 else "b",
            p_a=share,
            value_a=chance.uniform(-3, 3),
            value_b=chance.uniform(-3, 3),
        )


def found(project: Project, wanted: ItemFilter) -> list[int]:
    return [pk for chunk in items_chunks(project, wanted) for pk in chunk]


def slowly(project: Project, wanted: ItemFilter, rows: list[Comparison] | None = None) -> list[int]:
    """The same in Python, row by row: of all there are, or of these, where many filters are tried."""
    return [row.pk for row in (read_all(project) if rows is None else rows) if keeps(row, wanted)]


def read_all(project: Project) -> list[Comparison]:
    """Every comparison with all that a filter may ask of it."""
    rows = Comparison.objects.filter(project=project).order_by("pk")
    return list(
        rows.select_related("prompt", "response_a", "response_b", "resolution").prefetch_related(
            "voices", "preferences__labeler", "prompt__responses"
        )
    )


def keeps(row: Comparison, wanted: ItemFilter) -> bool:
    resolution = getattr(row, "resolution", None)
    models = {row.response_a.model_name, row.response_b.model_name}
    return all(
        (
            not wanted.q or has_text(row, wanted.q),
            wanted.state in ("", row.state),
            wanted.use in ("", row.use),
            wanted.language in ("", row.prompt.language),
            wanted.topic in ("", row.prompt.topic),
            not wanted.model or wanted.model in models,
            not wanted.outcome or (resolution.outcome if resolution else "none") == wanted.outcome,
            not wanted.disputed or bool(resolution and resolution.is_disputed),
            within(resolution.agreement if resolution else None, wanted.agreement_min, wanted.agreement_max),
            not wanted.ids or row.pk in wanted.ids,
            has_voice(row, wanted),
            has_answer(row, wanted),
        )
    )


def within(value: float | None, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def has_voice(row: Comparison, wanted: ItemFilter) -> bool:
    voices = list(row.voices.all())
    judges = [voice for voice in voices if voice.kind == "judge"]
    models = [voice for voice in voices if voice.kind == "model"]
    said = "" if wanted.verdict == "unread" else wanted.verdict
    asked = [v for v in (models if wanted.judge == CHAMPION else judges) if wanted.judge in ("", v.source)]
    spoke = not (wanted.judge or wanted.verdict) or any(
        not wanted.verdict or v.outcome == said for v in asked
    )
    no_share = wanted.p_min is None and wanted.p_max is None
    no_score = wanted.score_min is None and wanted.score_max is None
    return (
        spoke
        and (no_share or any(within(v.p_a, wanted.p_min, wanted.p_max) for v in models))
        and (
            no_score
            or any(
                within(x, wanted.score_min, wanted.score_max) for v in models for x in (v.value_a, v.value_b)
            )
        )
    )


def has_answer(row: Comparison, wanted: ItemFilter) -> bool:
    if wanted.labeler is None and wanted.labeled_from is None and wanted.labeled_to is None:
        return True
    latest: dict[int, object] = {}
    for preference in sorted(row.preferences.all(), key=lambda p: p.revision):
        latest[preference.labeler_id] = preference
    return any(
        p.outcome in LABEL_OUTCOMES
        and (wanted.labeler is None or p.labeler.uid == wanted.labeler)
        and within(timezone.localdate(p.created_at), wanted.labeled_from, wanted.labeled_to)
        for p in latest.values()
    )


def has_text(row: Comparison, q: str) -> bool:
    query = query_of(q)
    texts = [turn["content"] for turn in row.prompt.messages] + [r.text for r in row.prompt.responses.all()]
    words = set(words_of(texts).split())
    own = " ".join([*(t["content"] for t in row.prompt.messages), row.response_a.text, row.response_b.text])
    return words.issuperset(query.words) and all(p.lower() in own.lower() for p in query.phrases)


def labeler(project: Project, name: str) -> Labeler:
    return project.labelers.get(name=name)
