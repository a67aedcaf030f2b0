import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_team, make_user
from webapp.jobs.claims import job_claim
from webapp.jobs.models import Job
from webapp.jobs.services import job_enqueue

pytestmark = pytest.mark.django_db


@pytest.fixture
def team():
    return make_team("songs", name="Songs")


@pytest.fixture
def job(team):
    return job_enqueue(kind="test.count", params={}, project_id=team.project.pk, title="Count the songs")


def failed(job: Job) -> Job:
    Job.objects.filter(pk=job.pk).update(
        state="failed", error="Traceback (most recent call last):\n  x\nValueError: <b>no</b>"
    )
    return job


def test_strangers_find_no_job_and_see_none_in_their_list(client, team, job):
    client.force_login(team.stranger)
    for name in ("detail", "progress"):
        assert client.get(reverse(f"jobs:{name}", args=[job.uid])).status_code == 404
    for name in ("cancel", "retry"):
        assert client.post(reverse(f"jobs:{name}", args=[job.uid])).status_code == 404
    assert client.get(reverse("jobs:list"), {"project": "songs"}).status_code == 404
    assert "Count the songs" not in client.get(reverse("jobs:list")).text


@pytest.mark.parametrize(
    ("role", "page", "cancel"),
    [("manager", 200, 302), ("reviewer", 200, 403), ("viewer", 200, 403), ("labeler", 403, 403)],
)
def test_members_see_a_job_and_managers_alone_may_cancel_it(client, team, job, role, page, cancel):
    client.force_login(getattr(team, role))
    answer = client.get(reverse("jobs:detail", args=[job.uid]))
    assert answer.status_code == page
    assert ("Cancel this job" in answer.text) == (role == "manager")
    assert ("Count the songs" in client.get(reverse("jobs:list")).text) == (page == 200)
    assert client.post(reverse("jobs:cancel", args=[job.uid])).status_code == cancel
    job.refresh_from_db()
    assert job.state == ("cancelled" if role == "manager" else "queued")


def test_operators_see_and_manage_the_jobs_of_all_projects_and_of_none(client, job):
    own = job_enqueue(kind="test.count", params={}, title="House work")
    client.force_login(make_user(is_staff=True))
    page = client.get(reverse("jobs:list")).text
    assert "Count the songs" in page
    assert "House work" in page
    assert client.post(reverse("jobs:cancel", args=[own.uid])).status_code == 302


def test_a_job_of_no_project_is_seen_by_whoever_asked_for_it(client, team):
    job = job_enqueue(kind="test.count", params={}, created_by=team.labeler)
    client.force_login(team.labeler)
    assert client.get(reverse("jobs:detail", args=[job.uid])).status_code == 200
    client.force_login(team.manager)
    assert client.get(reverse("jobs:detail", args=[job.uid])).status_code == 404


def test_a_running_job_is_asked_about_every_two_seconds_and_an_ended_one_no_more(client, team, job):
    client.force_login(team.viewer)
    job = job_claim(job.pk, worker="w")
    Job.objects.filter(pk=job.pk).update(
        progress_done=3,
        progress_total=12,
        progress_message="songs",
        expected_end_at=timezone.now() + timedelta(seconds=65),
    )
    for name in ("detail", "progress"):
        answer = client.get(reverse(f"jobs:{name}", args=[job.uid]), headers={"HX-Request": "true"})
        assert "<html" not in answer.text
        assert 'hx-trigger="every 2s"' in answer.text
        assert 'max="12" value="3"' in answer.text
        assert "about 1 min" in answer.text
    Job.objects.filter(pk=job.pk).update(state="done", lease_expires_at=None)
    for name in ("detail", "progress"):
        answer = client.get(reverse(f"jobs:{name}", args=[job.uid]), headers={"HX-Request": "true"})
        assert "hx-trigger" not in answer.text
        assert "hx-get" not in answer.text
    assert answer["HX-Trigger"] == "job-ended"


def test_a_failed_job_shows_its_last_line_escaped_and_can_be_tried_again(client, team, job):
    failed(job)
    client.force_login(team.manager)
    page = client.get(reverse("jobs:detail", args=[job.uid])).text
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in page
    assert "<b>no</b>" not in page
    answer = client.post(reverse("jobs:retry", args=[job.uid]))
    new = Job.objects.get(retry_of=job)
    assert answer.url == reverse("jobs:detail", args=[new.uid])
    assert "Repeats" in client.get(answer.url).text


def test_the_list_has_pages_filters_and_a_fixed_number_of_queries(client, team, django_assert_num_queries):
    client.force_login(team.manager)
    for number in range(60):
        job_enqueue(kind="test.count", params={}, project_id=team.project.pk, title=f"Job number {number}.")
    url = reverse("jobs:list")
    with django_assert_num_queries(5):
        first = client.get(url, {"project": "songs"}).text
    seen = re.findall(r"Job number (\d+)\.", first)
    assert [int(number) for number in seen] == list(range(59, 9, -1))
    before = re.search(r"before=(\d+)", first).group(1)
    second = client.get(url, {"project": "songs", "before": before}).text
    assert [int(number) for number in re.findall(r"Job number (\d+)\.", second)] == list(range(9, -1, -1))
    assert "No job is in this state" in client.get(url, {"state": "failed"}).text


def test_an_empty_list_says_where_jobs_come_from(client, team):
    client.force_login(team.manager)
    assert "No jobs yet" in client.get(reverse("jobs:list"), {"project": "songs"}).text


def test_pages_need_a_login(client, job):
    assert client.get(reverse("jobs:list")).status_code == 302
    assert client.get("/api/v1/jobs").status_code == 401


def test_rest_lists_shows_cancels_and_retries(client, team, job):
    client.force_login(team.manager)
    (row,) = client.get("/api/v1/jobs", {"project": "songs", "state": "queued"}).json()["results"]
    assert (row["uid"], row["kind"], row["project"]) == (str(job.uid), "test.count", team.project.pk)
    assert "params" not in row
    assert client.get("/api/v1/jobs", {"state": "nonsense"}).status_code == 400
    assert client.get("/api/v1/jobs", {"kind": "other"}).json()["results"] == []

    assert client.post(f"/api/v1/jobs/{job.uid}/retry").status_code == 409
    assert client.post(f"/api/v1/jobs/{job.uid}/cancel").json()["state"] == "cancelled"
    again = client.post(f"/api/v1/jobs/{job.uid}/retry")
    assert (again.status_code, again.json()["retry_of"]) == (201, str(job.uid))
    assert client.get(f"/api/v1/jobs/{again.json()['uid']}").json()["log_tail"] == ""


def test_rest_hides_jobs_from_strangers_and_refuses_viewers(client, team, job):
    client.force_login(team.stranger)
    assert client.get("/api/v1/jobs").json()["results"] == []
    assert client.get(f"/api/v1/jobs/{job.uid}").status_code == 404
    assert client.get("/api/v1/jobs", {"project": "songs"}).status_code == 404
    client.force_login(team.viewer)
    assert client.get(f"/api/v1/jobs/{job.uid}").status_code == 200
    assert client.post(f"/api/v1/jobs/{job.uid}/cancel").status_code == 403


def test_operators_cancel_and_retry_in_the_admin(client, job):
    client.force_login(make_user(is_staff=True, is_superuser=True))
    url = reverse("admin:jobs_job_changelist")
    client.post(url, {"action": "cancel_jobs", "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.state == "cancelled"
    client.post(url, {"action": "retry_jobs", "_selected_action": [job.pk]})
    assert Job.objects.filter(retry_of=job).count() == 1
    assert client.get(reverse("admin:jobs_workerbeat_changelist")).status_code == 200
    assert client.get(reverse("admin:jobs_job_change", args=[job.pk])).status_code == 200
