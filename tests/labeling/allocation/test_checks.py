"""Gold at a set rate, the qualification set, and what a labeler learns of either: nothing."""

from __future__ import annotations

import json
import math

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from labeling.models import (
    Assignment,
    Comparison,
    ComparisonState,
    Disagreement,
    DrawnBy,
    Labeler,
    Preference,
)
from labeling.selectors.history import history_of
from labeling.selectors.label import settled_counts, why_nothing
from labeling.selectors.progress import project_progress
from labeling.services.adjudication import adjudicate
from labeling.services.allocation import CHECK_NEEDED, lease_next
from labeling.services.checks import checks_add, checks_mark, checks_release
from labeling.services.preferences import preference_submit, preference_undo
from labeling.services.qualification import qualification_grant, qualification_reset
from tests.labeling.label.factories import make_labeler, make_project
from webapp.caches import page_cache
from webapp.notices.models import Notice
from webapp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager():
    return User.objects.create_user("manager")


def mark(project, manager, number: int, use: str, outcome: str = "a") -> list[int]:
    """The `number` last comparisons become checks with this known outcome."""
    rows = Comparison.objects.filter(project=project, use="work").order_by("priority")[:number]
    ids = [row.pk for row in rows]
    Comparison.objects.filter(pk__in=ids).update(gold_outcome=outcome)
    assert checks_mark(project=project, comparison_ids=ids, use=use, actor=manager) == number
    return ids


def say(lease: Assignment, outcome: str) -> Preference:
    """Answer so that this outcome is stored, on whichever side it stands."""
    left = (outcome == "a") != lease.swapped
    choice = outcome if outcome in ("tie", "both_bad") else ("2" if left else "7")
    return preference_submit(assignment=lease, data={"choice": choice}, idempotency_key=str(lease.uid))


def test_gold_comes_at_the_set_rate_and_to_everybody_once(manager):
    project = make_project(240, gold_share=0.3, overlap=50)
    gold = set(mark(project, manager, 100, "gold"))
    seen, draws = 0, 0
    for labeler in [make_labeler(project) for _ in range(3)]:
        own = []
        for _ in range(100):
            lease = lease_next(labeler, count=1)[0]
            own.append(lease.comparison_id)
            assert (lease.drawn == DrawnBy.GOLD) == (lease.comparison_id in gold)
            Assignment.objects.filter(pk=lease.pk).update(state="submitted")
        assert len(set(own)) == 100
        seen, draws = seen + len(gold.intersection(own)), draws + 100
    assert abs(seen - 0.3 * draws) < 3 * math.sqrt(draws * 0.3 * 0.7)


def test_without_a_share_gold_is_never_drawn_and_is_in_no_figure(manager):
    project = make_project(5, random_share=0.5)
    mark(project, manager, 3, "gold")
    labeler = make_labeler(project)
    assert len(lease_next(labeler, count=5)) == 2
    page_cache.clear()
    assert project_progress(project).total == settled_counts(project).total == 2


def test_gold_takes_a_label_of_everybody_and_is_never_done(manager):
    project = make_project(1, gold_share=1.0)
    mark(project, manager, 1, "gold")
    for number in range(1, 4):
        lease = lease_next(make_labeler(project))[0]
        say(lease, "a")
        row = Comparison.objects.get()
        assert (row.state, row.label_count) == ("open", number)
        assert (row.needed, row.open_slots) == (CHECK_NEEDED, CHECK_NEEDED - number)


def test_the_database_knows_no_check_without_an_outcome(manager):
    project = make_project(2)
    ids = list(Comparison.objects.values_list("pk", flat=True))
    assert checks_mark(project=project, comparison_ids=ids, use="gold", actor=manager) == 0
    with pytest.raises(IntegrityError), transaction.atomic():
        Comparison.objects.update(use="gold")


def test_known_comparisons_are_marked_at_random_and_become_work_again(manager):
    project = make_project(10, overlap=2)
    with pytest.raises(ValidationError):
        checks_add(project=project, use="gold", count=2, actor=manager)
    Comparison.objects.filter(priority__lte=4).update(gold_outcome="b")
    assert checks_add(project=project, use="gold", count=3, actor=manager) == 3
    assert Comparison.objects.filter(use="gold", gold_outcome="b").count() == 3
    labeler = make_labeler(project)
    project.gold_share = 1.0
    project.save()
    lease = lease_next(labeler, count=1)[0]
    assert lease.drawn == "gold"
    assert checks_release(project=project, use="gold", actor=manager) == 3
    places = set(Comparison.objects.values_list("use", "needed", "open_slots"))
    assert places == {("work", 2, 2), ("work", 2, 1)}  # one is still in hand
    say(lease, "b")
    assert Comparison.objects.get(pk=lease.comparison_id).label_count == 1


def test_a_labeled_comparison_becomes_gold_and_done_again(manager):
    project = make_project(1)
    say(lease_next(make_labeler(project))[0], "a")
    mark(project, manager, 1, "gold")
    assert Comparison.objects.get().state == ComparisonState.OPEN
    checks_release(project=project, use="gold", actor=manager)
    row = Comparison.objects.get()
    assert (row.state, row.open_slots, row.needed) == (ComparisonState.DONE, 0, 1)


def test_what_a_reviewer_settled_is_done_again_after_it_was_gold_and_its_history_tells_of_both(manager):
    project = make_project(1)
    mark(project, manager, 1, "gold", "b")
    only = Comparison.objects.get()
    adjudicate(comparison=only, reviewer=manager, outcome="b", reason="B is right.", key="k")
    checks_mark(project=project, comparison_ids=[only.pk], use="qualification", actor=manager)
    checks_release(project=project, use="qualification", actor=manager)
    only.refresh_from_db()
    assert (only.state, only.open_slots, only.label_count) == (ComparisonState.DONE, 0, 0)
    told = [(event.kind, event.person) for event in history_of(only)]
    assert [kind for kind, who in told if who == str(manager)] == [
        "gold",
        "adjudicated",
        "qualification",
        "work",
    ]


# --- qualification ---------------------------------------------------------------------------------------


@pytest.fixture
def asked(manager):
    """A project that asks for four answers of a set of six, three of them right."""
    project = make_project(12, qualification_size=4, qualification_pass=0.75)
    mark(project, manager, 6, "qualification", "tie")
    return project


def answer_all(labeler: Labeler, outcomes: list[str]) -> list[Assignment]:
    given = []
    for outcome in outcomes:
        lease = lease_next(labeler, count=2)[0]
        assert lease.drawn == DrawnBy.QUALIFY
        say(lease, outcome)
        given.append(lease)
    return given


def test_whoever_answers_well_enough_goes_on_to_work(asked):
    labeler = make_labeler(asked)
    answer_all(labeler, ["tie", "tie", "a", "tie"])
    leases = lease_next(labeler)
    assert {lease.drawn for lease in leases} == {"priority"}
    labeler.refresh_from_db()
    assert labeler.qualified_at is not None
    assert labeler.failed_at is None


def test_no_more_are_leased_than_are_asked(asked):
    labeler = make_labeler(asked)
    answer_all(labeler, ["tie", "tie", "tie"])
    leases = lease_next(labeler, count=2)
    assert [lease.drawn for lease in leases] == ["qualify"]
    assert [lease.pk for lease in lease_next(labeler, count=2)] == [leases[0].pk]


def test_an_answer_undone_is_asked_again(asked):
    labeler = make_labeler(asked)
    lease = answer_all(labeler, ["a"])[0]
    preference_undo(assignment=lease, idempotency_key="undo")
    again = lease_next(labeler, count=1)[0]
    assert again.pk == lease.pk
    preference_submit(assignment=again, data={"choice": "tie"}, idempotency_key="again")
    answer_all(labeler, ["tie", "a", "tie"])
    assert lease_next(labeler)[0].drawn == "priority"


def test_whoever_fails_waits_for_a_manager_who_is_told_once(asked, manager):
    asked.memberships.create(user=manager, role="manager")
    labeler = make_labeler(asked)
    answer_all(labeler, ["a", "b", "tie", "tie"])
    assert lease_next(labeler) == lease_next(labeler) == []
    assert why_nothing(labeler).kind == "qualified_wait"
    notice = Notice.objects.get()
    assert (notice.user, notice.kind) == (manager, "qualification.failed")
    client = Client()
    client.force_login(labeler.user)
    page = client.get(reverse("labeling:label", args=[asked.slug])).content.decode()
    assert "A manager will look at your answers" in page
    for told in ("right", "wrong", "gold", "known"):
        assert told not in page.partition('data-nothing="qualified_wait"')[2].partition("</div>")[0]


def test_a_manager_waves_through(asked, manager):
    labeler = make_labeler(asked)
    answer_all(labeler, ["a"] * 4)
    assert lease_next(labeler) == []
    qualification_grant(labeler=labeler, actor=manager)
    assert [lease.drawn for lease in lease_next(labeler)] == ["priority", "priority"]


def test_a_second_try_is_on_comparisons_not_had(asked, manager):
    labeler = make_labeler(asked)
    first = {lease.comparison_id for lease in answer_all(labeler, ["a"] * 4)}
    assert lease_next(labeler) == []
    labeler = Labeler.objects.select_related("project").get(pk=labeler.pk)
    with pytest.raises(ValidationError, match="2 qualification"):
        qualification_reset(labeler=labeler, actor=manager)
    mark(asked, manager, 2, "qualification", "tie")
    qualification_reset(labeler=labeler, actor=manager)
    second = {lease.comparison_id for lease in answer_all(labeler, ["tie"] * 4)}
    assert not first & second
    assert lease_next(labeler)[0].drawn == "priority"


def skip(lease: Assignment) -> None:
    data = {"choice": "skip", "skip_reason": "unclear"}
    preference_submit(assignment=lease, data=data, idempotency_key=str(lease.uid))


@pytest.mark.parametrize("right", [0, 1, 2])
def test_skipping_what_one_does_not_know_is_no_way_through(asked, right):
    """Two right answers of two given are two of the four that are asked."""
    labeler = make_labeler(asked)
    answer_all(labeler, ["tie"] * right)
    for _ in range(6 - right):
        skip(lease_next(labeler, count=1)[0])
    assert lease_next(labeler) == []
    labeler.refresh_from_db()
    assert (labeler.qualified_at, labeler.failed_at is None) == (None, False)


def test_a_skip_that_others_make_good_does_no_harm(asked):
    labeler = make_labeler(asked)
    for _ in range(2):
        skip(lease_next(labeler, count=1)[0])
    answer_all(labeler, ["tie"] * 4)
    assert lease_next(labeler)[0].drawn == "priority"


def test_a_set_that_has_shrunk_lets_nobody_through_on_fewer_answers(asked, manager):
    ids = list(Comparison.objects.filter(use="qualification").values_list("pk", flat=True))
    checks_mark(project=asked, comparison_ids=ids[2:], use="work", actor=manager)
    labeler = make_labeler(asked)
    answer_all(labeler, ["tie", "tie"])
    assert lease_next(labeler) == []
    assert why_nothing(labeler).kind == "qualified_wait"


@pytest.mark.parametrize(("use", "size"), [("gold", 0), ("qualification", 1)])
def test_a_check_that_many_skip_stays_for_everybody_else(manager, use, size):
    project = make_project(1, gold_share=1.0, qualification_size=size, skip_limit=2)
    mark(project, manager, 1, use)
    for _ in range(3):
        skip(lease_next(make_labeler(project), count=1)[0])
    row = Comparison.objects.get()
    assert (row.state, row.skip_count) == (ComparisonState.OPEN, 3)
    assert not Disagreement.objects.exists()
    assert len(lease_next(make_labeler(project), count=1)) == 1


def test_what_was_skipped_too_often_is_drawn_once_it_is_gold(manager):
    project = make_project(1, gold_share=1.0, skip_limit=1)
    skip(lease_next(make_labeler(project))[0])
    assert Comparison.objects.get().state == ComparisonState.REVIEW
    assert Disagreement.objects.get().kind == "skipped"
    mark(project, manager, 1, "gold")
    assert lease_next(make_labeler(project))[0].drawn == "gold"
    assert not Disagreement.objects.exists()


def test_a_set_in_use_is_not_taken_away(asked, manager):
    with pytest.raises(ValidationError, match="to 0 first"):
        checks_release(project=asked, use="qualification", actor=manager)
    asked.qualification_size = 0
    asked.save()
    assert lease_next(make_labeler(asked))[0].drawn == "priority"
    assert checks_release(project=asked, use="qualification", actor=manager) == 6


def test_what_a_labeler_is_sent_of_gold_and_of_work_has_the_same_shape(manager):
    """Nothing but texts and ids differs between a gold pair and another one, in REST and on the page."""
    project = make_project(1, gold_share=1.0)
    client = Client()
    labeler = make_labeler(project)
    client.force_login(labeler.user)
    url = f"/api/v1/projects/{project.slug}/comparisons/next"
    work = client.post(url, {}, content_type="application/json").json()
    Assignment.objects.all().delete()
    Comparison.objects.update(open_slots=1)
    mark(project, manager, 1, "gold")
    gold = client.post(url, {}, content_type="application/json").json()
    assert Assignment.objects.get().drawn == "gold"
    for answer in (work, gold):
        for name in ("assignment", "lease_expires_at"):
            del answer["results"][0][name]
    pair = {"left", "right", "messages", "draft"}
    assert set(work["results"][0]) == pair
    sides = ({pair["left"], pair["right"]} for pair in (work["results"][0], gold["results"][0]))
    assert len({json.dumps(sorted(side)) for side in sides}) == 1
    for pair in (work["results"][0], gold["results"][0]):
        del pair["left"], pair["right"]
    assert work == gold
