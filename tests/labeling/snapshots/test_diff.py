"""What changed between two snapshots: the merge of both files, the job, the page, REST and the file of all changes."""

from __future__ import annotations

import io
import random
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from labeling.models import Assignment, Comparison, Labeler, Reveal, Role, SnapshotDiff, SnapshotState
from labeling.services.diffs import changes_open, changes_path, diff_build, diff_fail, diff_start
from labeling.services.resolution import resolve_comparisons
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import SnapshotNotReadyError, SnapshotRow
from labeling.snapshots.diff import KINDS, Differences, settings_changed
from labeling.snapshots.files import snapshot_path
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_prompt,
    make_user,
    vote,
)
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


def row(pk: int, outcome: str = "a", p_a: float = 1.0, split: str = "train") -> SnapshotRow:
    return SnapshotRow(comparison_id=pk, outcome=outcome, p_a=p_a, split=split)


def found(older, newer):
    differences = Differences(iter(older), iter(newer))
    return {
        (change.after or change.before).comparison_id: change.kinds for change in differences
    }, differences


def test_each_way_to_differ_is_told():
    older = [row(1), row(2), row(4), row(5, p_a=0.7), row(6), row(7, p_a=0.7)]
    newer = [
        row(2, "b", 0.0),
        row(3),
        row(4),
        row(5, p_a=0.5),
        row(6, split="test"),
        row(7, p_a=0.51),
    ]
    changes, differences = found(older, newer)
    assert changes == {
        1: ("removed",),
        2: ("outcome", "share"),
        3: ("added",),
        5: ("share",),  # moved by exactly 0.2
        6: ("split",),
    }
    assert differences.rows == {"older": 6, "newer": 6}
    assert differences.counts == {"added": 1, "removed": 1, "outcome": 1, "share": 2, "split": 1}
    assert differences.changed == 5
    assert (differences.outcomes["a"]["a"], differences.outcomes["a"]["b"]) == (4, 1)


@pytest.mark.parametrize(("older", "newer"), [([], [row(1)]), ([row(1)], []), ([], [])])
def test_one_side_may_be_empty(older, newer):
    _changes, differences = found(older, newer)
    assert differences.changed == len(older) + len(newer)


def test_the_merge_finds_what_a_lookup_finds():
    draw = random.Random(5)

    def side():
        return {
            pk: row(pk, draw.choice(["a", "b", "tie"]), draw.random(), draw.choice(["train", "test"]))
            for pk in draw.sample(range(200), 120)
        }

    older, newer = side(), side()
    changes, differences = found((older[pk] for pk in sorted(older)), (newer[pk] for pk in sorted(newer)))
    expected = {}
    for pk in older | newer:
        if pk in older and pk in newer:
            before, after = older[pk], newer[pk]
            kinds = [
                ("outcome", before.outcome != after.outcome),
                ("share", abs(before.p_a - after.p_a) >= 0.2),
                ("split", before.split != after.split),
            ]
            expected[pk] = tuple(name for name, differs in kinds if differs)
        else:
            expected[pk] = ("removed",) if pk in older else ("added",)
    assert changes == {pk: kinds for pk, kinds in expected.items() if kinds}
    assert sum(map(sum, (counts.values() for counts in differences.outcomes.values()))) == len(
        older.keys() & newer.keys()
    )


def build(project, **config):
    return snapshot_build(snapshot_create(project=project, config=config, enqueue=False))


@pytest.fixture
def two():
    """A project of six, and its snapshots before and after: one was voted over, one was retired, one is new."""
    project = labeled_project(6, labelers=1, outcomes="aaaaaa")
    older = build(project, group_key="prompt", fractions={"train": 1.0})
    first, second, *_rest = Comparison.objects.filter(project=project).order_by("pk")
    for _number in range(2):
        vote(first, make_labeler(project), "b")
    Comparison.objects.filter(pk=second.pk).update(state="retired")
    vote(make_comparison(make_prompt(project, "Something <b>new</b>?")), make_labeler(project), "tie")
    resolve_comparisons(Comparison.objects.filter(project=project).values_list("pk", flat=True))
    return older, build(project, group_key="prompt", fractions={"train": 1.0}, min_labels=1)


def made(two) -> SnapshotDiff:
    return diff_build(diff_start(older=two[0], newer=two[1], enqueue=False))


def test_a_difference_is_counted_kept_and_written(two):
    older, newer = two
    diff = made(two)
    assert diff.state == SnapshotState.READY
    assert diff.summary["rows"] == {"older": 6, "newer": 6}
    assert diff.summary["counts"] == {"added": 1, "removed": 1, "outcome": 1, "share": 1, "split": 0}
    [changed] = diff.summary["first"]["outcome"]
    assert (changed["outcome_before"], changed["outcome_after"], changed["votes_after"]) == ("a", "b", 3)
    with changes_open(older, newer) as file:
        table = pq.read_table(file)
    assert table.num_rows == diff.summary["changed"] == 3
    assert table.column("comparison_id").to_pylist() == sorted(table.column("comparison_id").to_pylist())
    for kind in KINDS:
        assert sum(table.column(kind).to_pylist()) == diff.summary["counts"][kind]
    [added] = (entry for entry in table.to_pylist() if entry["added"])
    assert (added["prompt"], added["outcome_before"], added["outcome_after"]) == (
        "Something <b>new</b>?",
        None,
        "tie",
    )


def test_the_same_difference_has_the_same_bytes_and_is_not_made_twice(two):
    diff = made(two)
    path = changes_path(diff)
    before, when = path.read_bytes(), path.stat().st_mtime_ns
    assert diff_start(older=two[0], newer=two[1], enqueue=False) == diff
    diff_build(diff)
    assert path.stat().st_mtime_ns == when
    SnapshotDiff.objects.update(state=SnapshotState.FAILED)
    diff_build(diff_start(older=two[0], newer=two[1], enqueue=False))
    assert path.read_bytes() == before
    assert SnapshotDiff.objects.count() == 1


def test_settings_that_differ_are_named_and_a_younger_setting_is_none(two):
    older, newer = two
    older.config = {**older.config, "min_labels": 2}
    del older.config["weights"]
    newer.config = {**newer.config, "seed": 9}
    assert settings_changed(older, newer) == [
        {"name": "min_labels", "before": 2, "after": 1},
        {"name": "seed", "before": 0, "after": 9},
    ]


def test_a_snapshot_that_is_not_ready_is_refused(two):
    making = snapshot_create(project=two[0].project, enqueue=False)
    with pytest.raises(SnapshotNotReadyError):
        diff_start(older=two[0], newer=making, enqueue=False)
    assert not SnapshotDiff.objects.exists()


def test_a_damaged_file_leaves_nothing_behind(two):
    diff = diff_start(older=two[0], newer=two[1], enqueue=False)
    path = snapshot_path(two[1])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Exception, match="has changed"):
        diff_build(diff)
    assert list(changes_path(diff).parent.iterdir()) == []
    diff_fail(diff.pk)
    diff.refresh_from_db()
    assert diff.state == SnapshotState.FAILED
    assert changes_open(*two) is None


def address(two, name="snapshot-diff", *, turned=False):
    older, newer = two[::-1] if turned else two
    return reverse(f"labeling:{name}", args=[newer.project.slug, newer.number, older.number])


@pytest.fixture
def manager(client, two):
    client.force_login(make_user(two[0].project, Role.MANAGER))
    return client


def test_the_page_asks_first_then_follows_then_tells(manager, two):
    page = manager.get(address(two)).content.decode()
    assert "have not been compared yet" in page
    assert manager.post(address(two, turned=True)).url == address(two)
    diff = SnapshotDiff.objects.get()
    assert Job.objects.get(uid=diff.job_uid).kind == "snapshot.diff"
    assert "every 2s" in manager.get(address(two)).content.decode()
    part = manager.get(address(two), headers={"HX-Request": "true"})
    assert "HX-Refresh" not in part.headers
    diff_build(diff)
    assert manager.get(address(two), headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    page = manager.get(address(two)).content.decode()
    assert "3 comparisons changed" in page
    assert "Something &lt;b&gt;new&lt;/b&gt;?" in page
    file = manager.get(address(two, "snapshot-changes"))
    assert pq.read_table(io.BytesIO(b"".join(file.streaming_content))).num_rows == 3


def test_a_stale_snapshot_leads_to_what_changed(manager, two):
    older, _newer = two
    page = reverse("labeling:snapshot-detail", args=[older.project.slug, older.number])
    assert "What changed up to" in manager.get(page).content.decode()  # the plain link
    label = older.project.preferences.first()
    vote(label.comparison, label.labeler, "b")
    note = manager.get(page).content.decode().split("Stale: 1 label")[1].split("</div>")[0]
    assert address(two) in note


def test_what_is_in_hand_stays_closed(client, two):
    """Who is being asked about a response, now, reads no outcome of it (invariant 3)."""
    made(two)
    project = two[0].project
    user = make_user(project, Role.MANAGER)
    client.force_login(user)
    assert "open after your answer" not in client.get(address(two)).content.decode()
    rest = f"/api/v1/projects/{project.slug}/snapshots/{two[0].number}/diff/{two[1].number}"
    before = sum(map(len, client.get(rest).json()["summary"]["first"].values()))
    changed = Comparison.objects.filter(project=project).order_by("pk").first()
    Assignment.objects.create(
        comparison=changed,
        labeler=Labeler.objects.create(project=project, name="me", user=user),
        swapped=False,
        lease_expires_at=timezone.now() + timedelta(minutes=5),
    )
    assert "open after your answer" in client.get(address(two)).content.decode()
    told = [row for rows in client.get(rest).json()["summary"]["first"].values() for row in rows]
    assert 0 < len(told) < before
    assert changed.pk not in {row["comparison_id"] for row in told}


def test_that_the_listed_changes_were_shown_is_recorded(client, two):
    diff = made(two)
    user = make_user(two[0].project, Role.MANAGER)
    client.force_login(user)
    listed = {row["comparison_id"] for rows in diff.summary["first"].values() for row in rows}
    held = Comparison.objects.get(pk=min(listed))
    lease = Assignment.objects.create(
        comparison=held,
        labeler=Labeler.objects.create(project=held.project, name="me", user=user),
        swapped=False,
        lease_expires_at=timezone.now() + timedelta(minutes=5),
    )
    client.get(address(two))
    seen = Reveal.objects.filter(user=user).values_list("comparison_id", flat=True)
    assert set(seen) == listed - {held.pk} != set()
    lease.delete()
    client.get(address(two))
    assert set(seen.all()) == listed


def test_equal_snapshots_say_so(manager, two):
    again = build(two[1].project, group_key="prompt", fractions={"train": 1.0}, min_labels=1)
    same = (two[1], again)
    made(same)
    assert "Nothing differs" in manager.get(address(same)).content.decode()


def test_a_file_that_is_not_there_leads_to_the_page(manager, two):
    assert manager.get(address(two, "snapshot-changes")).url == address(two)


def test_a_viewer_sees_and_cannot_start(client, two):
    client.force_login(make_user(two[0].project, Role.VIEWER))
    assert "A manager of this project can start it." in client.get(address(two)).content.decode()
    assert client.post(address(two)).status_code == 403
    assert client.get(address((two[0], two[0]))).status_code == 404


def test_rest_starts_tells_and_hands_out(two):
    client = APIClient()
    client.force_authenticate(make_user(two[0].project, Role.MANAGER))
    path = f"/api/v1/projects/{two[0].project.slug}/snapshots/{two[0].number}/diff/{two[1].number}"
    assert client.get(path).status_code == 404
    assert client.get(f"{path}/changes").status_code == 404
    answer = client.post(path)
    assert (answer.status_code, answer.json()["state"]) == (202, "making")
    assert client.post(path).json()["job_uid"] == answer.json()["job_uid"]
    diff_build(SnapshotDiff.objects.get())
    told = client.get(path).json()
    assert (told["older"], told["newer"], told["summary"]["changed"]) == (two[0].number, two[1].number, 3)
    assert b"".join(client.get(f"{path}/changes").streaming_content).startswith(b"PAR1")
    making = snapshot_create(project=two[0].project, enqueue=False)
    refused = f"/api/v1/projects/{two[0].project.slug}/snapshots/{making.number}/diff/{two[0].number}"
    assert client.post(refused).status_code == 409
