"""Notices: who reads them, where they lead, in whose language, and some that the app sends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone, translation

from labeling.services.deletion import project_delete
from labeling.services.snapshots import snapshot_create
from tests.factories import make_member, make_team
from webapp.jobs.claims import Claim, claim_cancel, claim_fail, claim_finish, job_claim
from webapp.jobs.messages import message
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, job_enqueue
from webapp.notices.models import Notice
from webapp.notices.services import is_own_path, notice_send, notices_sweep
from webapp.webhooks.claims import _switch_off
from webapp.webhooks.models import Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def team():
    return make_team("songs", name="Songs")


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def send(user, *, url: str = "/projects/songs/", words: str = "A word") -> Notice:
    notice_send(users=[user], kind="test", text=message(words), url=url)
    return Notice.objects.filter(user=user).latest("pk")


def test_one_reads_it_opens_it_and_the_bell_falls_silent(team):
    client = client_of(team.manager)
    notice = send(team.manager)
    assert "A word" in client.get("/notices/").content.decode()
    assert "1 unread notice" in client.get("/notices/count").content.decode()
    opened = client.post(f"/notices/{notice.pk}/")
    assert opened.headers["Location"] == "/projects/songs/"
    notice.refresh_from_db()
    assert notice.read_at is not None
    assert "unread" not in client.get("/notices/count").content.decode()


def test_all_are_read_at_once_and_only_ones_own(team):
    for user in (team.manager, team.manager, team.viewer):
        send(user)
    client_of(team.manager).post("/notices/read-all")
    unread = Notice.objects.filter(read_at__isnull=True)
    assert [notice.user for notice in unread] == [team.viewer]


def test_another_persons_notice_is_not_there(team):
    notice = send(team.manager, words="Between us")
    other = client_of(team.viewer)
    assert other.post(f"/notices/{notice.pk}/").status_code == 404
    assert "Between us" not in other.get("/notices/").content.decode()
    assert other.get("/api/v1/notices").json()["results"] == []
    notice.refresh_from_db()
    assert notice.read_at is None


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "", "projects/"],
)
def test_a_notice_leads_to_this_site_alone(team, url):
    assert not is_own_path(url)
    with pytest.raises(ValueError, match="path of this site"):
        send(team.manager, url=url)
    notice = Notice.objects.create(user=team.manager, kind="test", text="x", url=url)
    opened = client_of(team.manager).post(f"/notices/{notice.pk}/")
    assert opened.headers["Location"] == "/notices/"


def test_each_person_is_told_once_and_who_has_left_is_not(team):
    gone = make_member(team.project)
    gone.is_active = False
    gone.save()
    people = [team.manager, team.manager, team.viewer, gone]
    assert notice_send(users=people, kind="test", text=message("x"), url="/") == 2


def test_a_bell_of_nobody_says_nothing_and_leads_nowhere():
    """A page whose session has ended keeps the form that somebody fills in."""
    assert Client().get("/notices/count").status_code == 204


def test_the_bell_counts_to_99(team):
    Notice.objects.bulk_create(Notice(user=team.manager, kind="test", text="x", url="/") for _ in range(150))
    assert ">99+<" in client_of(team.manager).get("/notices/count").content.decode()


def test_the_label_page_has_no_bell(team):
    send(team.labeler, words="Wang says that A is better")
    shown = client_of(team.labeler).get("/projects/songs/label/").content.decode()
    assert "/notices/" not in shown
    assert "Wang" not in shown


def test_rest_lists_and_reads(team):
    send(team.manager)
    client = client_of(team.manager)
    (row,) = client.get("/api/v1/notices").json()["results"]
    assert (row["text"], row["url"], row["read_at"]) == ("A word", "/projects/songs/", None)
    assert client.post("/api/v1/notices/read").json() == {"read": 1}
    assert client.post("/api/v1/notices/read").json() == {"read": 0}


def test_a_text_is_put_into_the_readers_language(team):
    # A sentence that the catalogue has.
    notice = send(team.manager, words="This kind of job no longer exists.")
    with translation.override("zh-hans"):
        chinese = str(Notice.objects.get(pk=notice.pk).text)
    assert chinese != "This kind of job no longer exists."
    team.manager.language = "zh-hans"
    team.manager.save()
    assert chinese in client_of(team.manager).get("/notices/").content.decode()


def test_the_list_pages_by_number(team):
    for number in range(35):
        send(team.manager, words=f"Word {number}.")
    client = client_of(team.manager)
    first = client.get("/notices/").content.decode()
    last = Notice.objects.order_by("-pk")[29].pk
    assert f"?before={last}" in first
    rest = client.get("/notices/", {"before": last}).content.decode()
    assert "Word 34." in first
    assert "Word 34." not in rest
    assert "Word 0." in rest


def ended(how, *, waited_s: int = 0, created_by=None, **fields) -> Job:
    """A job that was asked for so long ago and ends now."""
    job = job_enqueue(kind="quality.fit", params={}, created_by=created_by, **fields)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(seconds=waited_s))
    job_claim(job.pk, worker="w")
    assert how(Claim(job.pk, 1))
    return job


def test_who_asked_for_a_job_hears_that_it_failed_or_was_done_after_a_while(team):
    def failed(claim):
        return claim_fail(claim, "disk full")

    def done(claim):
        return claim_finish(claim, {})

    songs = {"project_id": team.project.pk, "title": message("Import %(file)s", file="a.jsonl")}
    ended(failed, created_by=team.manager, **songs)
    ended(done, waited_s=90, created_by=team.manager, **songs)
    # Watched, cancelled, asked for by the schedule: nobody is told.
    ended(done, waited_s=30, created_by=team.manager, **songs)
    ended(claim_cancel, waited_s=90, created_by=team.manager, **songs)
    ended(failed, **songs)
    found = Notice.objects.order_by("pk")
    assert [(row.user, str(row)) for row in found] == [
        (team.manager, "Failed: Import a.jsonl"),
        (team.manager, "Done: Import a.jsonl"),
    ]
    for notice in found:
        assert client_of(team.manager).get(notice.url).status_code == 200


def test_nobody_hears_of_a_cancelled_job_that_was_done_all_the_same(team):
    job = job_enqueue(kind="quality.fit", params={}, created_by=team.manager)
    job_claim(job.pk, worker="w")
    job_cancel(job)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert claim_finish(Claim(job.pk, 1), {})
    assert Notice.objects.count() == 0


def test_a_job_ends_also_where_telling_of_it_fails(team, monkeypatch):
    def broken(**_said):
        raise ValueError("no such address")

    monkeypatch.setattr("webapp.jobs.endings.notice_send", broken)
    job = ended(lambda claim: claim_fail(claim, "disk full"), created_by=team.manager)
    job.refresh_from_db()
    assert job.state == "failed"


def test_a_failed_snapshot_tells_its_maker_once(team):
    snapshot = snapshot_create(project=team.project, created_by=team.manager)
    job = Job.objects.get(uid=snapshot.job_uid)
    job_claim(job.pk, worker="w")
    assert claim_fail(Claim(job.pk, 1), "disk full")
    snapshot.refresh_from_db()
    assert snapshot.state == "failed"
    notice = Notice.objects.get()
    assert (notice.user, str(notice)) == (team.manager, "Failed: Snapshot v1: Songs")


def test_a_webhook_that_is_switched_off_tells_the_managers(team):
    hook = Webhook.objects.create(
        project_id=team.project.pk, name="CI", url="https://ci.example/", secret_sealed="x", events=[]
    )
    _switch_off(hook.pk, message("Nothing arrived there for five days."))
    _switch_off(hook.pk, message("Nothing arrived there for five days."))
    notice = Notice.objects.get()
    assert notice.user == team.manager
    assert str(notice) == "The webhook CI was switched off. Nothing arrived there for five days."
    assert client_of(team.manager).get(notice.url).status_code == 200


def test_old_notices_and_those_of_a_deleted_project_go(team):
    old, kept = send(team.manager), send(team.manager)
    Notice.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=91))
    assert notices_sweep() == 1
    notice_send(users=[team.manager], kind="test", text=message("x"), url="/", project_id=team.project.pk)
    project_delete(project=team.project)
    assert list(Notice.objects.all()) == [kept]
