"""REST of import, and the command."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from labeling.importing.services import import_fail
from labeling.models import Comparison, Import, ImportState, Membership, Preference, Prompt, Role
from tests.labeling.importing.conftest import finish_job
from tests.labeling.importing.helpers import FAMILIES, gz, jsonl, rows_of
from webapp.users.models import User

URL = "/api/v1/projects/pairs/imports"


@pytest.fixture
def api(manager, project):
    client = APIClient()
    client.force_authenticate(manager)
    return client


def send_multipart(api, data, **options):
    return api.post(URL, {"file": SimpleUploadedFile("f.jsonl", data), **options}, format="multipart")


def send_raw(api, data, content_type="application/x-ndjson", **options):
    query = "&".join(f"{key}={value}" for key, value in {"file_name": "f.jsonl", **options}.items())
    return api.generic("POST", f"{URL}?{query}", data, content_type=content_type)


@pytest.mark.django_db
@pytest.mark.parametrize("send", [send_multipart, send_raw], ids=["multipart", "raw"])
@pytest.mark.parametrize("layout", FAMILIES)
def test_a_file_is_sent_checked_confirmed_and_written(api, send, layout):
    sent = send(api, jsonl(rows_of(layout, 4)), group_key="debate", labeler="Crowd")
    assert sent.status_code == 201
    body = sent.json()
    assert (body["state"], body["file_name"]) == ("uploaded", "f.jsonl")
    assert (body["options"]["group_key"], body["options"]["labeler"]) == ("debate", "Crowd")
    one = f"{URL}/{body['uid']}"
    finish_job(Import.objects.get())
    found = api.get(one).json()
    assert (found["state"], found["layout"], found["row_count"]) == ("ready", layout, 4)
    assert len(api.get(f"{one}/preview").json()["results"]) == 4
    assert not Prompt.objects.exists()
    assert api.post(f"{one}/confirm", {}, format="json").status_code == 202
    finish_job(Import.objects.get())
    assert api.get(one).json()["state"] == "done"
    assert Comparison.objects.count() == found["counts"]["pairs"]
    assert api.post(f"{one}/confirm", {}, format="json").status_code == 409
    assert api.delete(one).status_code == 409
    assert [row["uid"] for row in api.get(URL).json()["results"]] == [body["uid"]]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/gzip", "application/octet-stream", "text/plain"]
)
def test_a_raw_body_of_any_content_type_is_the_file(api, content_type):
    data = jsonl(rows_of("votes", 3))
    sent = send_raw(api, gz(data) if "gzip" in content_type else data, content_type=content_type)
    assert sent.status_code == 201
    assert finish_job(Import.objects.get()).state == ImportState.READY


@pytest.mark.django_db
def test_problems_come_by_line_with_words_and_a_way_out(api):
    uid = send_raw(api, jsonl(rows_of("votes", 2)) + b'{"a": }\n').json()["uid"]
    finish_job(Import.objects.get())
    body = api.get(f"{URL}/{uid}/problems").json()
    assert body["problem_count"] == 1
    problem = body["results"][0]
    assert (problem["line"], problem["column"], problem["code"], problem["fatal"]) == (
        3,
        7,
        "bad_json",
        False,
    )
    assert problem["message"].startswith("Not valid JSON")
    assert problem["hint"]
    assert api.post(f"{URL}/{uid}/confirm", {}, format="json").status_code == 409
    assert api.post(f"{URL}/{uid}/confirm", {"skip_bad": True}, format="json").status_code == 202
    finish_job(Import.objects.get())
    assert Preference.objects.count() == 6


@pytest.mark.django_db
def test_equal_problems_come_once_with_their_number_over_rest_and_from_the_command(api, project, tmp_path):
    data = jsonl([{"prompt": "p", "response_a": "a", "response_b": "a"}] * 9)
    uid = send_raw(api, data).json()["uid"]
    finish_job(Import.objects.get())
    body = api.get(f"{URL}/{uid}/problems").json()
    [problem] = body["results"]
    assert (body["problem_count"], problem["count"], problem["line"]) == (9, 9, 1)
    assert problem["lines"] == [1, 2, 3, 4, 5]
    file = tmp_path / "f.jsonl"
    file.write_bytes(data)
    _error, _out, err = run_command(file)
    [line] = err.strip().splitlines()
    assert line.startswith("f.jsonl:1:")
    assert line.endswith("Lines: 1, 2, 3, 4, 5 and 4 more.")


@pytest.mark.django_db
def test_another_check_keeps_what_is_not_named(api):
    uid = send_multipart(api, jsonl(rows_of("ranked", 3)), group_key="debate").json()["uid"]
    finish_job(Import.objects.get())
    answer = api.post(f"{URL}/{uid}/check", {"pairs": "best"}, format="json")
    assert answer.status_code == 202
    import_ = finish_job(Import.objects.get())
    assert (import_.counts["pairs"], import_.options["group_key"]) == (6, "debate")


@pytest.mark.django_db
def test_a_failed_import_goes_on_and_another_does_not(api):
    uid = send_multipart(api, jsonl(rows_of("votes", 3))).json()["uid"]
    finish_job(Import.objects.get())
    assert api.post(f"{URL}/{uid}/retry").status_code == 409
    api.post(f"{URL}/{uid}/confirm", {}, format="json")
    import_fail(Import.objects.get(), "the disk was full")
    answer = api.post(f"{URL}/{uid}/retry")
    assert (answer.status_code, answer.json()["state"]) == (202, "writing")
    assert finish_job(Import.objects.get()).state == "done"
    assert Comparison.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize("bad", [{"pairs": "sideways"}, {"labeler": "x" * 161}, {"skip_bad": "perhaps"}])
def test_options_that_mean_nothing_are_refused(api, bad):
    assert send_multipart(api, b"{}", **bad).status_code == 400
    assert not Import.objects.exists()


@pytest.mark.django_db
def test_a_request_without_a_file_and_one_over_the_cap_are_refused(api, settings):
    assert api.post(URL, {}, format="multipart").status_code == 400
    settings.UPLOAD_MAX_BYTES = 100
    assert send_raw(api, b"x" * 200).status_code == 413
    assert not Import.objects.exists()
    assert list(settings.DATA_DIR.glob("uploads/*.upload")) == []


@pytest.mark.django_db
def test_only_managers_reach_imports_over_rest(project, bring):
    import_ = bring(jsonl(rows_of("votes", 2)))
    person = User.objects.create_user("other", password="long enough 1")
    client = APIClient()
    client.force_authenticate(person)
    for role, status in ((None, 404), (Role.LABELER, 403), (Role.VIEWER, 403), (Role.REVIEWER, 403)):
        Membership.objects.filter(user=person).delete()
        if role:
            Membership.objects.create(project=project, user=person, role=role)
        one = f"{URL}/{import_.uid}"
        answers = [client.get(URL), send_raw(client, b"{}"), client.get(one), client.delete(one)]
        answers += [client.get(f"{one}/{name}") for name in ("problems", "preview")]
        answers += [client.post(f"{one}/{name}", {}, format="json") for name in ("check", "confirm", "retry")]
        assert {answer.status_code for answer in answers} == {status}


def run_command(*arguments):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_data", "--project", "pairs", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        return str(error), out.getvalue(), err.getvalue()
    return None, out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_the_command_imports_and_says_what(project, tmp_path):
    file = tmp_path / "f.jsonl.gz"
    file.write_bytes(gz(jsonl(rows_of("trl_explicit", 5))))
    error, out, _err = run_command(file, "--group-key", "debate", "--labeler", "Crowd")
    assert error is None
    assert (
        "imported 5 records: 5 new prompts, 10 responses, 5 comparisons, 5 preferences; 0 lines skipped"
        in out
    )
    assert set(Preference.objects.values_list("labeler__name", flat=True)) == {"Crowd"}
    assert set(Prompt.objects.values_list("group", flat=True)) == {"d0", "d1", "d2"}


@pytest.mark.django_db
def test_the_command_refuses_bad_lines_unless_told_to_skip_them(project, tmp_path):
    file = tmp_path / "f.jsonl"
    file.write_bytes(jsonl(rows_of("votes", 5)) + b"{bad\n")
    error, _out, err = run_command(file)
    assert error == "Nothing was imported."
    assert "f.jsonl:6:2: Not valid JSON" in err
    assert not Prompt.objects.exists()
    assert not Import.objects.exists()
    error, out, _err = run_command(file, "--skip-bad")
    assert error is None
    assert "imported 5 records" in out
    assert "1 lines skipped" in out


@pytest.mark.django_db
def test_a_dry_run_writes_nothing(project, tmp_path):
    file = tmp_path / "f.jsonl"
    file.write_bytes(jsonl(rows_of("ranked", 5)))
    error, out, _err = run_command(file, "--dry-run")
    assert error is None
    assert "ranked: 5 records, 15 pairs, 15 votes; nothing was written" in out
    assert not Prompt.objects.exists()
    assert not Import.objects.exists()


@pytest.mark.django_db
def test_the_command_names_a_missing_project_or_file(project, tmp_path):
    assert "No such file" in run_command(tmp_path / "missing.jsonl")[0]
    with pytest.raises(CommandError, match="no project"):
        call_command("import_data", "--project", "nowhere", str(tmp_path / "missing.jsonl"))
