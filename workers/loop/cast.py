"""Who takes part in the demo: the simulated labelers, and the accounts that some of them speak for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from labeling.access import labeler_for
from labeling.demo.simulate import LABELERS
from labeling.demo.story import MEMBERS, REVIEWER, text_of
from labeling.models import Assignment, Comparison, Labeler, Project
from webapp.users.models import User
from workers.loop.simulation import Diary, Simulated, Truth, simulate_answer, simulated


@dataclass(frozen=True)
class Cast:
    """Everybody who labels in the demo, and how the simulated ones see the responses."""

    project: Project
    users: Mapping[str, User]
    everybody: Sequence[Simulated]
    reviewer: Simulated
    truth: Truth
    diary: Diary

    @property
    def manager(self) -> User:
        return self.users["manager"]

    def named(self, name: str) -> Simulated:
        return next(who for who in self.everybody if who.person.name == name)

    def labeler(self, name: str) -> Labeler:
        """Of an account, or of a simulated labeler."""
        is_account = name in self.users
        return labeler_for(self.users[name], self.project) if is_account else self.named(name).labeler

    def answer(self, lease: Assignment, who: Simulated) -> None:
        simulate_answer(lease, who.person, self.truth, diary=self.diary)


def cast_of(project: Project, users: Mapping[str, User], truth: Truth) -> Cast:
    """The simulated labelers, and the accounts that some of them speak for."""
    members = [Simulated(person, labeler_for(users[name], project)) for name, person in MEMBERS.items()]
    others = [simulated(project, person) for person in LABELERS]
    reviewer = Simulated(REVIEWER, labeler_for(users["reviewer"], project))
    began = timezone.localtime().replace(hour=9, minute=0, second=0, microsecond=0) - timedelta(days=4)
    Comparison.objects.filter(project=project).update(
        created_at=began - timedelta(hours=1)
    )  # before any vote
    return Cast(project, users, [*members, *others], reviewer, truth, Diary(began))


def pair(project: Project, prompt_id: str, model: str, other: str) -> Comparison:
    """The comparison of what these two models answer to this prompt of the sample."""
    texts = [text_of(prompt_id, name) for name in (model, other)]
    rows = Comparison.objects.select_related("prompt", "response_a", "response_b", "project")
    return rows.get(project=project, response_a__text__in=texts, response_b__text__in=texts)
