"""The page of a running job in a real browser."""

import pytest
from django.conf import settings as live_settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_team
from tests.faults.settings import JOB_KINDS
from webapp.jobs.claims import job_claim
from webapp.jobs.models import Job
from webapp.jobs.services import job_enqueue

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def sent():
    """The web server runs in a process of its own; nothing is patched here."""


@pytest.fixture
def page(chromium, web_process):
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def log_in(page, url: str, user) -> None:
    client = Client()
    client.force_login(user)
    value = client.cookies[live_settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": live_settings.SESSION_COOKIE_NAME, "value": value, "url": url}])


def test_progress_moves_by_itself_keeps_the_focus_and_stops_asking_at_the_end(page, web_process):
    team = make_team()
    job = job_claim(
        job_enqueue(kind="test.count", params={}, project_id=team.project.pk, title="Count").pk, worker="w"
    )
    Job.objects.filter(pk=job.pk).update(progress_done=1, progress_total=10)
    url = web_process().url
    log_in(page, url, team.manager)
    page.goto(url + reverse("jobs:detail", args=[job.uid]))
    page.locator("#job-cancel").focus()

    Job.objects.filter(pk=job.pk).update(progress_done=7, log_tail="seven\n")
    page.wait_for_selector("progress[value='7']")
    assert "seven" in page.locator("#job-log").inner_text()
    assert page.locator("#job-cancel:focus").count() == 1

    Job.objects.filter(pk=job.pk).update(
        state="done", lease_expires_at=None, finished_at=timezone.now(), result={"made": 10}
    )
    page.wait_for_selector("[data-job-state='done']")
    assert page.locator("main progress, main [hx-trigger]").count() == 0


def test_a_manager_cancels_from_the_page(page, web_process, settings):
    settings.JOB_KINDS = JOB_KINDS
    team = make_team()
    job = job_enqueue(kind="fault.quick", params={}, project_id=team.project.pk, title="Count")
    url = web_process(env={"DJANGO_SETTINGS_MODULE": "tests.faults.settings"}).url
    log_in(page, url, team.manager)
    page.goto(url + reverse("jobs:detail", args=[job.uid]))
    page.click("#job-cancel")
    page.wait_for_selector("[data-job-state='cancelled']")
    job.refresh_from_db()
    assert job.state == "cancelled"
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(lambda address: str(job.uid) not in address)
    assert Job.objects.get(retry_of=job).state == "queued"
