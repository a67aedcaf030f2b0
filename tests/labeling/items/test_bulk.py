"""Bulk actions: the preview says what happens, they fit what they fit, and a killed job goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db.models import F
from django.utils import timezone

from labeling.items.filters import ItemFilter
from labeling.models import Batch, Comparison, Project, Resolution
from labeling.services import bulk
from labeling.services.adjudication import adjudicate
from labeling.services.allocation import CHECK_NEEDED, lease_next
from labeling.services.batches import batch_create, batch_release
from labeling.services.bulk import bulk_execute, bulk_preview, items_bulk, items_into_new_batch
from labeling.services.bulk_deeds import BulkAction, BulkError, Deed
from labeling.services.preferences import preference_submit, preference_undo
from tests.factories import make_comparison, make_labeler, make_member, make_team
from tests.labeling.items.builders import mixed_project
from webapp.audit.models import AuditEvent
from webapp.jobs.context import Interruptions, JobContext
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db
ALL = ItemFilter()
DEEDS = [
    Deed(BulkAction.PRIORITY, 7.0),
    Deed(BulkAction.PEOPLE, 2),
    Deed(BulkAction.GOLD),
    Deed(BulkAction.WORK),
    Deed(BulkAction.RETIRE),
    Deed(BulkAction.RESTORE),
]


def rows_of(project, *fields):
    return {row[0]: row[1:] for row in project.comparisons.order_by("pk").values_list("pk", *fields)}


def everything(project, deed, wanted=ALL):
    preview = bulk_preview(project=project, wanted=wanted, deed=deed)
    count, job = items_bulk(project=project, wanted=wanted, deed=deed, up_to=preview.up_to, actor=None)
    assert job is None
    assert count == preview.fitting
    return preview


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.action.value)
def test_the_preview_is_what_happens_and_nothing_else_changes(deed):
    project = mixed_project(60)
    Resolution.objects.filter(outcome="b").update(method="adjudicated")
    fields = ("state", "needed", "priority", "use", "gold_outcome")
    before, epoch = rows_of(project, *fields), project.work_epoch
    wanted = ItemFilter(language="zh")
    preview = everything(project, deed, wanted)
    after = rows_of(project, *fields)
    changed = {pk for pk in before if before[pk] != after[pk]}
    assert 0 < preview.fitting <= preview.total
    assert preview.left_out == 0 or preview.why_left_out
    assert len(changed) == preview.fitting
    assert all(project.comparisons.get(pk=pk).prompt.language == "zh" for pk in changed)
    # What is done is done: nothing is left that it fits, but for the two that may be repeated.
    if deed.action not in (BulkAction.PRIORITY, BulkAction.PEOPLE):
        assert bulk_preview(project=project, wanted=wanted, deed=deed).fitting == 0
    project.refresh_from_db()
    assert project.work_epoch == epoch + 1
    event = AuditEvent.objects.get(action="items.bulk")
    assert (event.subject, event.detail["filter"], event.detail["count"]) == (
        deed.action.value,
        {"language": "zh"},
        preview.fitting,
    )


def test_gold_needs_a_known_outcome_and_takes_an_adjudicated_one():
    team = make_team(overlap=2)
    known, voted, settled, retired = (make_comparison(team.project) for _ in range(4))
    Comparison.objects.filter(pk__in=[known.pk, retired.pk]).update(gold_outcome="tie")
    Comparison.objects.filter(pk=retired.pk).update(state="retired")
    for row, method in ((voted, "majority"), (settled, "adjudicated")):
        Comparison.objects.filter(pk=row.pk).update(state="done", label_count=2, open_slots=0)
        Resolution.objects.create(comparison=row, project=team.project, outcome="b", p_a=0, method=method)
    everything(team.project, Deed(BulkAction.GOLD))
    use = rows_of(team.project, "use", "gold_outcome", "state", "open_slots")
    assert use[known.pk] == ("gold", "tie", "open", CHECK_NEEDED)
    assert use[settled.pk] == ("gold", "b", "open", CHECK_NEEDED - 2)
    assert use[voted.pk] == ("work", "", "done", 0)
    assert use[retired.pk][0] == "work"
    everything(team.project, Deed(BulkAction.WORK))
    back = rows_of(team.project, "use", "gold_outcome", "state", "open_slots")
    assert back[known.pk] == ("work", "tie", "open", 2)
    assert back[settled.pk] == ("work", "b", "done", 0)


def test_what_a_reviewer_has_settled_is_asked_of_nobody_again():
    team = make_team(overlap=2)
    settled = make_comparison(team.project, gold_outcome="a")
    adjudicate(comparison=settled, reviewer=team.reviewer, outcome="b", reason="B is right.", key="k")
    person = make_labeler(team.project, user=team.labeler)
    standing = ("state", "open_slots", "use")
    assert bulk_preview(project=team.project, wanted=ALL, deed=Deed(BulkAction.PEOPLE, 1)).fitting == 0
    for away, back in ((BulkAction.RETIRE, BulkAction.RESTORE), (BulkAction.GOLD, BulkAction.WORK)):
        everything(team.project, Deed(away))
        everything(team.project, Deed(back))
        assert rows_of(team.project, *standing) == {settled.pk: ("done", 0, "work")}
        assert lease_next(person) == []
    settled.refresh_from_db()
    assert settled.gold_outcome == "b"  # the reviewer's word, not the file's


def test_gold_that_a_reviewer_settled_stays_gold_when_an_answer_is_undone():
    team = make_team(gold_share=1.0)
    settled = make_comparison(team.project)
    adjudicate(comparison=settled, reviewer=team.reviewer, outcome="b", reason="B is right.", key="k")
    everything(team.project, Deed(BulkAction.GOLD))
    [lease] = lease_next(make_labeler(team.project, user=team.labeler), count=1)
    submit(lease)
    preference_undo(assignment=lease, idempotency_key="undo")
    assert rows_of(team.project, "state", "open_slots") == {settled.pk: ("open", CHECK_NEEDED - 1)}


def test_what_was_skipped_too_often_comes_back_to_review_and_begins_anew_with_more_people():
    team = make_team(skip_limit=1)
    skipped = make_comparison(team.project, state="review", skip_count=1)
    everything(team.project, Deed(BulkAction.RETIRE))
    everything(team.project, Deed(BulkAction.RESTORE))
    assert rows_of(team.project, "state", "skip_count") == {skipped.pk: ("review", 1)}
    assert list(skipped.disagreements.values_list("kind", flat=True)) == ["skipped"]
    everything(team.project, Deed(BulkAction.PEOPLE, 1))
    assert rows_of(team.project, "state", "skip_count", "open_slots") == {skipped.pk: ("open", 0, 2)}


def test_a_rewrite_that_was_taken_back_is_not_brought_back():
    team = make_team()
    make_comparison(team.project, needed=0, state="retired")
    standing = make_comparison(team.project, needed=0, state="retired", label_count=1)
    everything(team.project, Deed(BulkAction.RESTORE))
    assert list(team.project.comparisons.filter(state="done")) == [standing]


def test_more_people_open_what_was_done_for_those_who_have_not_had_it():
    team = make_team(overlap=1)
    comparison = make_comparison(team.project)
    first = make_labeler(team.project, user=team.labeler)
    second = make_labeler(team.project, user=team.reviewer)
    [lease] = lease_next(first, count=1)
    submit(lease)
    assert lease_next(second) == []
    everything(team.project, Deed(BulkAction.PEOPLE, 1))
    comparison.refresh_from_db()
    assert (comparison.state, comparison.needed, comparison.open_slots) == ("open", 2, 1)
    assert lease_next(first) == []
    [lease] = lease_next(second)
    submit(lease)
    comparison.refresh_from_db()
    assert (comparison.state, comparison.label_count, comparison.open_slots) == ("done", 2, 0)


def submit(lease):
    return preference_submit(assignment=lease, data={"choice": "1"}, idempotency_key=f"k{lease.pk}")


def test_retired_while_somebody_has_it_in_hand_it_leaves_the_hand_and_comes_back():
    team = make_team(overlap=1)
    make_comparison(team.project)
    person = make_labeler(team.project, user=team.labeler)
    assert len(lease_next(person)) == 1
    everything(team.project, Deed(BulkAction.RETIRE))
    assert lease_next(person) == []
    everything(team.project, Deed(BulkAction.RESTORE))
    comparison = team.project.comparisons.get()
    assert (comparison.state, comparison.open_slots) == ("open", 1)
    assert len(lease_next(person)) == 1


@pytest.mark.parametrize(
    ("action", "value"),
    [("priority", float("nan")), ("priority", 1e9), ("people", 0), ("people", 21), ("people", 1.5)],
)
def test_a_value_that_means_nothing_is_refused(action, value):
    with pytest.raises(BulkError):
        Deed(BulkAction(action), value)


class KilledError(Exception):
    pass


@pytest.fixture
def many(monkeypatch):
    monkeypatch.setattr("labeling.services.bulk.AT_ONCE", 5)
    monkeypatch.setattr("labeling.items.finding.CHUNK", 8)
    return mixed_project(60)


RUNNING = {"state": "running", "fence": 1, "lease_expires_at": timezone.now() + timedelta(hours=1)}


def begun(project, deed, wanted=ALL):
    preview = bulk_preview(project=project, wanted=wanted, deed=deed)
    count, job = items_bulk(project=project, wanted=wanted, deed=deed, up_to=preview.up_to, actor=None)
    assert count == 0
    Job.objects.filter(pk=job.pk).update(**RUNNING)
    return preview, Job.objects.get(pk=job.pk)


def run(job):
    return bulk_execute(JobContext(Job.objects.get(pk=job.pk), Interruptions()))


@pytest.mark.parametrize("killed_after", [1, 2, 3])
@pytest.mark.parametrize("where", ["in the transaction", "behind it"])
def test_a_killed_job_goes_on_and_does_nothing_twice(many, monkeypatch, killed_after, where):
    before = rows_of(many, "needed")
    preview, job = begun(many, Deed(BulkAction.PEOPLE, 1), ItemFilter(use="work"))
    name, calls = ("write" if where == "in the transaction" else "checkpointed"), []
    plain = getattr(JobContext, name)

    def dies(self, *args, **options):
        calls.append(1)
        if len(calls) > killed_after:
            raise KilledError
        return plain(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(JobContext, name, dies)
        with pytest.raises(KilledError):
            run(job)
    done = many.comparisons.filter(needed__gt=F("project__overlap")).count()
    assert done < preview.fitting
    many.refresh_from_db()
    # Nothing that was changed stands behind a bookmark, even where the job never goes on.
    assert bool(many.work_epoch) == bool(done)
    late = make_comparison(many)
    result = run(job)
    assert result == {"treated": preview.fitting, "left_out": preview.left_out}
    after = rows_of(many, "needed")
    assert after.pop(late.pk) == (2,)  # newer than what the preview saw
    grown = [after[pk][0] - before[pk][0] for pk in before]
    assert (set(grown), sum(grown)) == ({0, 1}, preview.fitting)
    many.refresh_from_db()
    assert many.work_epoch > 1


@pytest.mark.parametrize("is_job", [False, True])
def test_what_has_left_the_filter_when_it_comes_to_its_lock_is_left_alone(many, monkeypatch, is_job):
    """`bookmarks_void` comes right before the locks."""
    wanted = ItemFilter(state="open", **({} if is_job else {"language": "zh"}))
    first = bulk.items_found(many, wanted).order_by("pk").first()

    def voted(_project_id):
        Comparison.objects.filter(pk=first.pk).update(state="done")

    monkeypatch.setattr(bulk, "bookmarks_void", voted)
    monkeypatch.setattr(bulk, "AT_ONCE", 5 if is_job else 100)
    preview = bulk_preview(project=many, wanted=wanted, deed=Deed(BulkAction.PRIORITY, 9))
    what = {"project": many, "wanted": wanted, "deed": Deed(BulkAction.PRIORITY, 9), "actor": None}
    count, job = items_bulk(**what, up_to=preview.up_to)
    if is_job:
        Job.objects.filter(pk=job.pk).update(**RUNNING)
        count = run(job)["treated"]
    assert count == many.comparisons.filter(priority=9).count() == preview.fitting - 1 > 0
    first.refresh_from_db()
    assert first.priority != 9


@pytest.mark.parametrize("at_once", [0, 100])
def test_what_the_manager_is_being_asked_about_is_in_neither_number(monkeypatch, at_once):
    """Else what was changed, held against the preview, would tell that it is gold."""
    monkeypatch.setattr(bulk, "AT_ONCE", at_once)
    team = make_team(overlap=1)
    rows = [make_comparison(team.project) for _ in range(3)]
    own = make_labeler(team.project, user=team.manager)
    held = lease_next(own, count=1)[0].comparison_id
    Comparison.objects.update(gold_outcome="a")
    what = {"project": team.project, "wanted": ALL, "deed": Deed(BulkAction.GOLD)}
    preview = bulk_preview(**what, viewer=team.manager)
    assert (preview.total, preview.fitting, preview.leaves_in_hand) == (2, 2, True)
    count, job = items_bulk(**what, up_to=rows[-1].pk, actor=team.manager)
    if job:
        Job.objects.filter(pk=job.pk).update(**RUNNING)
        count = run(job)["treated"]
    assert count == 2
    assert team.project.comparisons.get(use="work").pk == held
    retired = what | {"deed": Deed(BulkAction.RETIRE)}  # which tells nothing of it
    assert bulk_preview(**retired, viewer=team.manager).leaves_in_hand is False


def test_a_job_whose_deed_takes_rows_out_of_its_filter_still_treats_all(many):
    total = many.comparisons.exclude(state="retired").count()
    preview, job = begun(many, Deed(BulkAction.RETIRE))
    assert run(job) == {"treated": total, "left_out": preview.left_out}
    assert not many.comparisons.exclude(state="retired").exists()


def people_batch(team, person, name="Friday") -> Batch:
    return batch_create(
        project=team.project, name=name, people=[person], deadline=None, choice=None, actor=team.manager
    )


def test_into_a_batch_go_the_open_ones_alone_and_its_people_get_them_first():
    team = make_team(overlap=1)
    person, other = make_labeler(team.project, user=team.labeler), make_labeler(team.project)
    free, gold, kept, over = (make_comparison(team.project, priority=-1.0) for _ in range(4))
    elsewhere = people_batch(team, other, "Monday")
    Comparison.objects.filter(pk=gold.pk).update(gold_outcome="a", use="gold")
    Comparison.objects.filter(pk=kept.pk).update(batch=elsewhere)
    Comparison.objects.filter(pk=over.pk).update(state="done", open_slots=0, label_count=1)
    queued = make_comparison(team.project, priority=5.0)
    batch = people_batch(team, person)
    deed = Deed(BulkAction.BATCH, batch=batch.pk)
    wanted = ItemFilter(ids=(free.pk, gold.pk, kept.pk, over.pk))
    preview = bulk_preview(project=team.project, wanted=wanted, deed=Deed(BulkAction.BATCH))
    assert (preview.total, preview.fitting) == (4, 1)
    assert everything(team.project, deed, wanted).left_out == 3
    of = rows_of(team.project, "batch")
    assert {pk for pk, (found,) in of.items() if found == batch.pk} == {free.pk}
    assert of[kept.pk] == (elsewhere.pk,)
    assert [lease.comparison_id for lease in lease_next(person)] == [free.pk, queued.pk]


def test_a_new_batch_is_made_with_what_fits_and_not_at_all_where_nothing_does():
    team = make_team(overlap=1)
    person = make_labeler(team.project, user=team.labeler)
    rows = [make_comparison(team.project) for _ in range(3)]
    due = timezone.now() + timedelta(days=2)
    new = {"project": team.project, "wanted": ALL, "actor": team.manager}
    batch, count, job = items_into_new_batch(
        **new, up_to=rows[1].pk, name=" Hard ones ", people=[person], deadline=due
    )
    assert (batch.name, batch.deadline, count, job) == ("Hard ones", due, 2, None)
    assert list(batch.people.values_list("labeler", flat=True)) == [person.pk]
    assert set(team.project.comparisons.filter(batch=batch)) == set(rows[:2])
    for fields, said in (
        ({"name": "Hard ones", "people": [person], "deadline": None}, "Another batch"),
        ({"name": "Second", "people": [], "deadline": None}, "Name somebody"),
        ({"name": "Second", "people": [person], "deadline": due - timedelta(days=3)}, "time is over"),
        ({"name": "Second", "people": [person], "deadline": None}, "No comparison is left"),
    ):
        with pytest.raises(ValidationError, match=said):
            items_into_new_batch(**new, up_to=rows[1].pk, **fields)
    assert Batch.objects.count() == 1


def test_a_job_fills_a_batch_and_stops_where_it_is_closed(many):
    person = make_labeler(many)
    actor = make_member(many)
    batch = batch_create(project=many, name="Big", people=[person], deadline=None, choice=None, actor=actor)
    deed = Deed(BulkAction.BATCH, batch=batch.pk)
    preview, job = begun(many, deed)
    assert run(job) == {"treated": preview.fitting, "left_out": preview.left_out}
    assert many.comparisons.filter(batch=batch).count() == preview.fitting > 5
    batch_release(batch=batch, actor=actor)
    with pytest.raises(BulkError, match="closed"):
        items_bulk(project=many, wanted=ALL, deed=deed, up_to=preview.up_to, actor=None)
    with pytest.raises(BulkError, match="closed"):
        run(Job.objects.create(kind="items.bulk", project_id=many.pk, params=job.params, **RUNNING))
    assert not many.comparisons.filter(batch=batch, state="open").exists()


def test_work_again_takes_the_overlap_of_the_moment():
    """A job holds the project as it was when it began."""
    team = make_team(overlap=2)
    gold = make_comparison(team.project)
    Comparison.objects.filter(pk=gold.pk).update(use="gold", gold_outcome="a")
    Project.objects.filter(pk=team.project.pk).update(overlap=3)
    everything(team.project, Deed(BulkAction.WORK))
    assert rows_of(team.project, "use", "needed", "open_slots")[gold.pk] == ("work", 3, 3)
