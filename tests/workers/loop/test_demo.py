"""The people of the demo at work, without its models: each deed leaves what its pages show."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db.models import Count, Exists, F, OuterRef
from django.db.models.functions import Now

from labeling.demo.story import OVERLOOKED, REWRITES, SETTLED, TASTE, text_of
from labeling.models import (
    Adjudication,
    Assignment,
    AssignmentState,
    Batch,
    Comment,
    Comparison,
    ComparisonUse,
    Disagreement,
    DisagreementKind,
    Labeler,
    Preference,
    PreferenceSource,
    Ranking,
    RankingTask,
    Response,
    SavedFilter,
)
from webapp.notices.models import Notice
from workers.loop import people
from workers.loop.cast import pair
from workers.loop.demo import gather
from workers.loop.reviewing import review

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cast(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return gather()


def notices(username: str, kind: str) -> int:
    return Notice.objects.filter(user__username=username, kind=kind).count()


def test_known_outcomes_check_on_everybody_and_nobody_is_left_waiting(cast):
    people.qualify(cast)
    uses = [
        Comparison.objects.filter(use=use).count()
        for use in (ComparisonUse.QUALIFICATION, ComparisonUse.GOLD)
    ]
    assert uses == [10, 10]
    assert not Labeler.objects.filter(qualified_at=None).exists()
    assert not Labeler.objects.exclude(failed_at=None).exists()
    drawn = dict(Labeler.objects.values_list("name").annotate(number=Count("assignments")))
    # Four to qualify, unless the manager knows the person, and gold in each language that they read.
    assert drawn["Ada (simulated)"] == 4 + 5
    assert drawn["Dot in a hurry (simulated)"] == 4 + 10
    assert drawn["Lee Labeler"] == 5


def test_what_is_written_out_is_said_rewritten_and_reviewed(cast):
    people.qualify(cast)
    people.say(cast)
    taste, settled, overlooked = (pair(cast.project, *place) for place in (TASTE, SETTLED, OVERLOOKED))
    disputed = Disagreement.objects.filter(kind=DisagreementKind.PEOPLE).values_list("comparison", flat=True)
    assert {taste.pk, settled.pk, overlooked.pk} <= set(disputed)
    assert Preference.objects.filter(spans__isnull=False).count() == 2
    rewrites = Response.objects.exclude(parent=None)
    assert {row.author.user.username for row in rewrites} == {"labeler", "biaozhu"}
    assert all(
        row.parent.text == text_of(said.prompt, said.model)
        for row, said in zip(rewrites.order_by("pk"), REWRITES, strict=True)
    )
    review(cast)
    better = settled.response_a if Adjudication.objects.get().outcome == "a" else settled.response_b
    assert better.model_name == SETTLED[1]
    assert list(Comment.objects.values_list("comparison", flat=True)) == [taste.pk] * 2
    assert Disagreement.objects.get(kind=DisagreementKind.SENT_BACK).comparison == overlooked
    assert (notices("manager", "comment.mention"), notices("reviewer", "comment.mention")) == (1, 1)
    assert notices("labeler", "review.again") == 1
    assert SavedFilter.objects.get().is_shared


def test_rankings_are_of_readable_prompts_and_batches_have_begun(cast):
    people.qualify(cast)
    who = cast.named("林晓（模拟）")
    people.rank(cast, who, 2)
    tasks = RankingTask.objects.filter(labeler=who.labeler, state=AssignmentState.SUBMITTED)
    assert [task.prompt.language for task in tasks] == ["zh", "zh"]
    assert Ranking.objects.filter(task__in=tasks).count() == 2
    people.batches(cast)
    for batch in Batch.objects.all():
        states = Counter(Comparison.objects.filter(batch=batch).values_list("state", flat=True))
        assert states == {"open": people.BATCH_SIZE - people.BATCH_DONE, "done": people.BATCH_DONE}
        assert batch.people.count() == 2


def test_everything_is_marked_as_simulated(cast):
    people.qualify(cast)
    people.say(cast)
    people.rank(cast, cast.named("Ada (simulated)"), 1)
    assert set(Preference.objects.values_list("source", flat=True)) == {PreferenceSource.SIMULATION}
    assert not Preference.objects.filter(created_at__gt=Now()).exists()
    # Each comparison was there before it was given to anybody, and in somebody's hand before the answer.
    assert not Preference.objects.filter(created_at__lt=F("comparison__created_at")).exists()
    own = Assignment.objects.filter(labeler=OuterRef("labeler"), comparison=OuterRef("comparison"))
    late = own.filter(created_at__gt=OuterRef("created_at"))
    assert not Preference.objects.filter(Exists(late)).exists()
