"""What a job says is read in the reader's language, whoever made it and wherever it ran."""

from __future__ import annotations

import pytest
from django.core import serializers
from django.db import connection
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext_noop

from tests.factories import make_team
from webapp.audit.models import AuditEvent
from webapp.jobs.inline import run_inline
from webapp.jobs.messages import MARK, Message, cut, decode, encode, message, said_by
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, job_enqueue, job_retry

pytestmark = pytest.mark.django_db
# Sentences of the catalogue.
TITLE = gettext_noop("Import %(file)s")
NOTE = gettext_noop("rows written")


@pytest.fixture
def team():
    return make_team("songs")


def in_language(language: str, text: object) -> str:
    with translation.override(language):
        return str(text)


def made_in(language: str, team) -> Job:
    """A failed job and one at work, asked for by somebody who reads this language."""
    with translation.override(language):
        job = job_enqueue(
            kind="import.check",
            params={"import": "00000000-0000-0000-0000-000000000000"},
            project_id=team.project.pk,
            title=message(TITLE, file="songs.jsonl"),
        )
        job = run_inline(job)
        Job.objects.filter(pk=job.pk).update(progress_message=message(NOTE), progress_total=2)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize(("maker", "reader"), [("zh-hans", "en"), ("en", "zh-hans")])
def test_a_job_made_in_one_language_is_read_in_another(client, team, maker, reader):
    job = made_in(maker, team)
    assert job.state == "failed"
    words = [in_language(reader, text) for text in (job.title, job.progress_message, job.error)]
    others = [in_language(maker, text) for text in (job.title, job.progress_message, job.error)]
    assert not set(words) & set(others)

    team.manager.language = reader
    team.manager.save()
    client.force_login(team.manager)
    page = client.get(reverse("jobs:detail", args=[job.uid])).text
    assert words[0] in page
    assert words[2] in page
    assert words[0] in client.get(reverse("jobs:list")).text
    Job.objects.filter(pk=job.pk).update(state="queued", attempts=0, error="")
    Job.objects.filter(pk=job.pk).update(state="running", lease_expires_at="2100-01-01T00:00Z")
    assert words[1] in client.get(reverse("jobs:progress", args=[job.uid])).text


@pytest.mark.parametrize(("maker", "reader"), [("zh-hans", "en"), ("en", "zh-hans")])
def test_rest_answers_in_the_language_that_is_asked_for(client, team, maker, reader):
    job = made_in(maker, team)
    client.force_login(team.viewer)
    row = client.get(f"/api/v1/jobs/{job.uid}", headers={"accept-language": reader}).json()
    told = [row["title"], row["progress_message"], row["error"]]
    assert told == [in_language(reader, text) for text in (job.title, job.progress_message, job.error)]
    if reader == "en":
        assert told == ["Import songs.jsonl", "rows written", "The import was thrown away."]
    else:
        assert "songs.jsonl" in told[0]
        assert not any(text.isascii() for text in told[1:])


def test_rows_from_before_are_shown_as_they_stand(client, team):
    job = job_enqueue(kind="test.count", params={}, project_id=team.project.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET title = %s, error = %s, state = 'failed' WHERE id = %s",
            ["导入 100%.jsonl", "Traceback (most recent call last):\n  x\nValueError: %(no)s", job.pk],
        )
    job.refresh_from_db()
    assert (job.title, job.error_line) == ("导入 100%.jsonl", "ValueError: %(no)s")
    client.force_login(team.viewer)
    assert "导入 100%.jsonl" in client.get(reverse("jobs:detail", args=[job.uid])).text


def test_a_retry_keeps_the_title_and_the_audit_log_is_in_english(team):
    with translation.override("zh-hans"):
        job = job_enqueue(kind="test.count", params={}, title=message(TITLE, file="a"), project_id=1)
        job_cancel(job)
        again = job_retry(job)
    again.refresh_from_db()
    assert again.title == message(TITLE, file="a")
    subjects = AuditEvent.objects.filter(action__startswith="job.").values_list("subject", flat=True)
    assert set(subjects) == {"Import a"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain, with 100 % of %(it)s",
        MARK + '"not ours", "params": {}}',
        MARK + "broken",
        message("%(a)d of %(b)s", a=3, b=message(NOTE)),
        message("no values, 100 %"),
    ],
)
def test_what_is_stored_is_read_back(text):
    assert str(decode(encode(text))) == str(text)


def test_nuls_are_left_out_and_unknown_values_do_not_break_a_page():
    assert "\x00" not in encode("a\x00b") + encode(message("%(x)s", x="a\x00b"))
    assert str(Message("%(a)s and %(b)s", {"a": 1})) == "%(a)s and %(b)s"
    assert str(decode(MARK + '"x", "params": []}')) == MARK + '"x", "params": []}'


def test_long_values_are_cut_and_the_sentence_stays_whole():
    assert str(cut(message(TITLE, file="x" * 999), 10)) == "Import " + "x" * 10


def test_an_error_says_its_message_its_text_or_its_name():
    told = message(NOTE)
    assert said_by(ValueError(told)) is told
    assert (said_by(ValueError("text")), said_by(ValueError())) == ("text", "ValueError")


def test_rows_are_dumped_and_loaded_with_their_messages(team):
    job = job_enqueue(kind="test.count", params={}, title=message(TITLE, file="a"))
    (loaded,) = serializers.deserialize("json", serializers.serialize("json", [job]))
    assert loaded.object.title == message(TITLE, file="a")
