"""Which of the models that wrote the responses is best: by people, by each judge, by the reward model."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Length
from numpy.typing import NDArray

from labeling.bradley_terry import Games, Strengths, fit, sigmoid
from labeling.models import Comparison, Project, Voice
from labeling.selectors.figures import kept_figure
from labeling.selectors.preferences import latest_preferences
from labeling.statistics import Estimate

# Fewer games of a voice say too little of anybody.
MINIMUM = 20
# The newest comparisons that are looked at, and the most models that are ranked: those with most games.
COMPARISONS_MOST = 300_000
MODELS_MOST = 40
# Of one strength unit in Elo's scale.
ELO = 400 / np.log(10)
_WON = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}
KINDS = ("people", "judge", "model")


class Pairing(NamedTuple):
    """A comparison of responses of two models. `lengths` are characters of a and b."""

    prompt_id: int
    models: tuple[str, str]
    lengths: tuple[int, int]


@dataclass(frozen=True)
class Standing:
    """One model by one voice. `share`: how often it would beat the average model of its group. `elo`: the same on Elo's
    scale, 0 for the average. `rank` 1 is the best of the group. `only` is "won" or "lost" where it never did the other:
    then the interval says nothing.
    """

    rank: int
    group: int
    share: Estimate
    elo: float
    only: str = ""


@dataclass(frozen=True)
class VoiceRanking:
    """What one voice makes of the models. `standings` is empty with fewer than MINIMUM games. `longer` is how often the
    longer of two responses would win if their models were equal, and is there under length control alone: longer by
    enough that a twice as long difference says little more. `groups` > 1: some models never met, not even by others."""

    kind: str
    name: str
    games: int
    both_bad: int
    standings: dict[str, Standing]
    groups: int = 1
    longer: Estimate | None = None
    minimum: int = MINIMUM


@dataclass(frozen=True)
class ModelRanking:
    """`models`: best first by people, or by the first voice that ranks any. `left_out`: models with too few games to be
    among the MODELS_MOST. `is_newest`: only the newest comparisons were looked at."""

    models: tuple[str, ...]
    voices: tuple[VoiceRanking, ...]
    left_out: int
    is_newest: bool
    controlled: bool


@dataclass
class Said:
    """Outcomes by comparison, as (comparison, outcome): the games of one voice."""

    kind: str
    name: str
    outcomes: list[tuple[int, str]] = field(default_factory=list)


def model_ranking(
    project: Project, *, controlled: bool = False, language: str = "", topic: str = ""
) -> ModelRanking:
    """Five queries; kept until there is a newer vote or voice. `controlled` takes the length of the responses out."""
    newest = Voice.objects.filter(project=project).aggregate(newest=Max("updated_at"))["newest"]
    name = f"model-ranking:{controlled}:{language}:{topic}"
    return kept_figure(name, project, lambda: _made(project, controlled, language, topic), version=newest)


def _made(project: Project, controlled: bool, language: str, topic: str) -> ModelRanking:
    found = Comparison.objects.filter(project=project).exclude(response_a__model_name="")
    found = found.exclude(response_b__model_name="").exclude(
        response_a__model_name=F("response_b__model_name")
    )
    if language:
        found = found.filter(prompt__language=language)
    if topic:
        found = found.filter(prompt__topic=topic)
    pairings = _pairings(found)
    is_newest = len(pairings) > COMPARISONS_MOST
    if is_newest:
        del pairings[min(pairings)]
    return ranking_of(pairings, _said(project, pairings), controlled=controlled, is_newest=is_newest)


def ranking_of(
    pairings: dict[int, Pairing], said: list[Said], *, controlled: bool, is_newest: bool
) -> ModelRanking:
    """The ranking by each voice, given what was compared and what they said of it."""
    models, left_out = _most_compared(said, pairings)
    voices = tuple(_ranked(voice, pairings, models, controlled) for voice in said)
    return ModelRanking(_in_order(models, voices), voices, left_out, is_newest, controlled)


def _pairings(found: QuerySet[Comparison]) -> dict[int, Pairing]:
    """The newest comparisons by id, one more than are looked at where there are more."""
    lengths = (Length("response_a__text"), Length("response_b__text"))
    rows = found.order_by("-pk").values_list(
        "pk", "prompt_id", "response_a__model_name", "response_b__model_name", *lengths
    )[: COMPARISONS_MOST + 1]
    return {
        pk: Pairing(prompt, (model_a, model_b), (length_a, length_b))
        for pk, prompt, model_a, model_b, length_a, length_b in rows.iterator(chunk_size=5000)
    }


def _said(project: Project, pairings: dict[int, Pairing]) -> list[Said]:
    """People first, then judges and the reward model by name."""
    people = Said("people", "")
    if not pairings:
        return [people]
    oldest = min(pairings)
    votes = latest_preferences(project).order_by().filter(comparison_id__gte=oldest)
    for comparison, outcome in votes.values_list("comparison_id", "outcome").iterator(chunk_size=5000):
        if comparison in pairings:
            people.outcomes.append((comparison, outcome))
    voices: dict[tuple[str, str], Said] = {}
    names: dict[tuple[str, str], str] = defaultdict(str)
    heard = Voice.objects.filter(project=project, comparison_id__gte=oldest).exclude(outcome="").order_by()
    rows = heard.values_list("kind", "source", "name", "comparison_id", "outcome")
    for kind, source, name, comparison, outcome in rows.iterator(chunk_size=5000):
        if comparison in pairings:
            # While a new version takes over, a source has two names: the later one by name counts.
            names[kind, source] = max(names[kind, source], name)
            voice = voices.setdefault((kind, source), Said(kind, name))
            voice.outcomes.append((comparison, outcome))
    for key, voice in voices.items():
        voice.name = names[key]
    return [people, *sorted(voices.values(), key=lambda voice: (KINDS.index(voice.kind), voice.name))]


def _most_compared(said: list[Said], pairings: dict[int, Pairing]) -> tuple[list[str], int]:
    """The models that are ranked, most games first, and how many are not."""
    games: dict[str, int] = defaultdict(int)
    for voice in said:
        for comparison, _outcome in voice.outcomes:
            for model in pairings[comparison].models:
                games[model] += 1
    models = sorted(games, key=lambda model: (-games[model], model))
    return models[:MODELS_MOST], max(0, len(models) - MODELS_MOST)


def _ranked(voice: Said, pairings: dict[int, Pairing], models: list[str], controlled: bool) -> VoiceRanking:
    place = {model: number for number, model in enumerate(models)}
    played = [
        (pairings[comparison], outcome)
        for comparison, outcome in voice.outcomes
        if place.keys() >= set(pairings[comparison].models)
    ]
    both_bad = sum(outcome == "both_bad" for _pairing, outcome in played)
    if len(played) < MINIMUM:
        return VoiceRanking(voice.kind, voice.name, len(played), both_bad, {})
    met = sorted({place[model] for pairing, _outcome in played for model in pairing.models})
    number = {player: index for index, player in enumerate(met)}
    sides = np.array([[number[place[model]] for model in pairing.models] for pairing, _o in played])
    strengths = fit(
        Games(
            players=len(met),
            first=sides[:, 0],
            second=sides[:, 1],
            won=np.array([_WON[outcome] for _pairing, outcome in played]),
            cluster=np.array([pairing.prompt_id for pairing, _outcome in played]),
            gap=length_gaps([pairing.lengths for pairing, _outcome in played]) if controlled else None,
        )
    )
    standings = {models[player]: standing(strengths, index) for player, index in number.items()}
    groups = len(np.unique(strengths.groups))
    longer = _longer(strengths.slope)
    return VoiceRanking(voice.kind, voice.name, len(played), both_bad, standings, groups, longer)


def length_gaps(lengths: list[tuple[int, int]]) -> NDArray[np.float64]:
    """(N,) tanh of the difference in characters, in standard deviations around 0: from −1 to 1."""
    gaps = np.array([a - b for a, b in lengths], dtype=np.float64)
    spread = float(np.sqrt(np.mean(gaps**2)))
    return np.tanh(gaps / spread) if spread else gaps


def standing(strengths: Strengths, player: int) -> Standing:
    group = strengths.groups == strengths.groups[player]
    rank = 1 + int(np.sum(strengths.theta[group] > strengths.theta[player] + 1e-9))
    games, points = int(strengths.games[player]), float(strengths.points[player])
    only = "won" if points == games else "lost" if points == 0 else ""
    elo = float(ELO * strengths.theta[player])
    return Standing(rank, int(strengths.groups[player]), strengths.share(player), elo, only)


def _longer(slope: Estimate | None) -> Estimate | None:
    """β as how often the clearly longer response wins between equal models."""
    if slope is None:
        return None
    value, low, high = (
        None if end is None else float(sigmoid(np.float64(end)))
        for end in (slope.value, slope.low, slope.high)
    )
    assert value is not None
    return Estimate(value, low, high, slope.n)


def _in_order(models: list[str], voices: tuple[VoiceRanking, ...]) -> tuple[str, ...]:
    """Best first by the first voice that ranks any; those that it does not rank stand last."""
    first = next((voice.standings for voice in voices if voice.standings), {})

    def key(model: str) -> tuple[bool, int, float, str]:
        found = first.get(model)
        return (found is None, found.group if found else 0, -found.elo if found else 0.0, model)

    return tuple(sorted(models, key=key))
