"""A data set of a hub, from a hub of the test's own on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from labeling.importing.hub import HubError, HubName, fetch_dataset
from labeling.importing.services import import_fetch, import_from_hub
from labeling.models import Comparison, Import, ImportState
from tests.labeling.importing.conftest import finish_job
from tests.labeling.importing.helpers import jsonl, rows_of
from tests.labeling.importing.test_archives import CARD
from tests.labeling.importing.wrappings import parquet
from webapp.jobs.models import Job, JobState

COMMIT = "a" * 40
SET = "team/pairs"


class FakeHub(BaseHTTPRequestHandler):
    """What the client asks of a hub: what is in a data set, and its files. `server.files` are of one data set."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        server, path = self.server, unquote(urlsplit(self.path).path)
        server.asked.append((path, self.headers.get("Authorization")))
        parts = path.strip("/").split("/")
        if (
            parts[:2] == ["api", "datasets"]
            and "/".join(parts[2:4]) == SET
            and parts[5] in ("main", "v1", COMMIT)
        ):
            files = [{"rfilename": name, "size": len(data)} for name, data in server.files.items()]
            self.send(
                json.dumps({"id": SET, "sha": COMMIT, "siblings": files}).encode(), "application/json", body
            )
        elif parts[0] == "datasets" and "/".join(parts[1:3]) == SET and parts[3:5] == ["resolve", COMMIT]:
            name = "/".join(parts[5:])
            if name not in server.files:
                self.refuse("EntryNotFound")
            else:
                self.send(server.files[name], "application/octet-stream", body)
        else:
            self.refuse("RepoNotFound")

    def send(self, data, kind, body):
        self.send_response(self.server.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{abs(hash(data)):x}"')
        self.end_headers()
        if body:
            self.wfile.write(data)

    def refuse(self, code):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args):
        """Quiet."""


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.files, server.asked, server.status = {}, [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_secret_of_this_machine")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(manager):
    client = Client()
    client.force_login(manager)
    return client


def fill(hub):
    rows = rows_of("trl_explicit", 8)
    hub.files |= {
        "README.md": CARD.encode(),
        "data/train-0.parquet": parquet(rows[:5]),
        "data/test-0.parquet": parquet(rows[5:]),
        "small/a.jsonl": jsonl(rows[:2]),
        "loader.py": b"raise SystemExit('code of a data set was run')",
    }


@pytest.mark.django_db
def test_a_data_set_is_fetched_checked_and_imported(hub, client, project):
    fill(hub)
    answer = client.post(reverse("labeling:import-hub", args=[project.slug]), {"dataset": f" {SET}@v1 "})
    import_ = Import.objects.get()
    assert answer.headers["Location"] == reverse("labeling:import-detail", args=[project.slug, import_.uid])
    assert (import_.source, import_.file_name, import_.path) == ("hub", f"{SET}@v1", "")
    assert "Waiting for a worker" in client.get(answer.headers["Location"]).content.decode()

    import_ = finish_job(import_)
    assert (import_.state, len(import_.sha256)) == (ImportState.UPLOADED, 64)
    import_ = finish_job(import_)
    assert (import_.state, import_.problems) == (ImportState.READY, [])
    assert import_.members == ["data/test-0.parquet", "data/train-0.parquet"]
    client.post(reverse("labeling:import-confirm", args=[project.slug, import_.uid]))
    assert finish_job(import_).state == ImportState.DONE
    assert Comparison.objects.count() == 8
    paths = [path for path, _token in hub.asked]
    assert not any("loader" in path or "small" in path for path in paths)
    assert all(token is None for _path, token in hub.asked)


@pytest.mark.django_db
def test_a_configuration_can_be_named_over_rest(hub, client, project):
    fill(hub)
    address = reverse("api-import-hub", args=[project.slug])
    answer = client.post(
        address, {"dataset": f"{SET}:small", "language": "en"}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["source"]) == (201, "hub")
    import_ = finish_job(finish_job(Import.objects.get()))
    assert (import_.members, import_.options["language"]) == (["small/a.jsonl"], "en")
    assert client.post(address, {"dataset": "no such"}, content_type="application/json").status_code == 400


@pytest.mark.django_db
def test_the_command_fetches_too(hub, project, capsys):
    fill(hub)
    call_command("import_data", SET, hub=True, project=project.slug)
    assert Comparison.objects.count() == 8
    with pytest.raises(CommandError, match="no public data set team/other"):
        call_command("import_data", "team/other", hub=True, project=project.slug)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("team/other", {}, "no public data set"),
        (f"{SET}@v9", {}, "with the revision v9"),
        (f"{SET}:huge", {"README.md": CARD.encode()}, "no configuration “huge”"),
        (f"{SET}:huge", {"a.jsonl": b"{}"}, "no configuration “huge”"),
        (SET, {"README.md": b"# nothing", "a.bin": b"x"}, "no data file that can be imported"),
        (SET, {"../../out.jsonl": b"{}", "/etc/out.jsonl": b"{}"}, "no data file that can be imported"),
        (SET, {"a.jsonl": b"x" * 3_000_000}, "at most 2 MB"),
    ],
)
def test_what_cannot_be_had_ends_the_import_with_a_sentence(hub, project, settings, name, files, words):
    settings.UPLOAD_MAX_BYTES = 2 * 1024**2
    hub.files |= files
    import_ = import_from_hub(project=project, name=HubName.read(name))
    import_ = finish_job(import_)
    assert import_.state == ImportState.FAILED
    assert words in str(import_.error)
    assert Job.objects.get(uid=import_.job_uid).attempts == 1


@pytest.mark.django_db
def test_a_failed_fetch_can_be_tried_again(hub, client, project):
    import_ = finish_job(import_from_hub(project=project, name=HubName.read(SET)))
    assert import_.state == ImportState.FAILED
    fill(hub)
    client.post(reverse("labeling:import-retry", args=[project.slug, import_.uid]))
    assert finish_job(finish_job(import_)).state == ImportState.READY


@pytest.mark.django_db
def test_a_hub_that_is_ill_is_asked_again_later(hub, project):
    fill(hub)
    hub.status = 500
    import_ = import_from_hub(project=project, name=HubName.read(SET), enqueue=False)
    with pytest.raises(Exception) as caught:
        import_fetch(import_)
    assert not isinstance(caught.value, HubError)
    assert not getattr(caught.value, "permanent", False)


@pytest.mark.django_db
def test_a_repeated_job_fetches_once(hub, project):
    fill(hub)
    import_ = finish_job(import_from_hub(project=project, name=HubName.read(SET)))
    fetched = len(hub.asked)
    job = Job.objects.get(kind="import.fetch")
    Job.objects.filter(pk=job.pk).update(state=JobState.QUEUED, finished_at=None)
    Import.objects.filter(pk=import_.pk).update(job_uid=job.uid)
    assert finish_job(import_).state == ImportState.UPLOADED
    assert len(hub.asked) == fetched


@pytest.mark.parametrize(
    "text",
    ["", "name", "a/b/c", "../x", "a/..", "http://x/y", "a/b@", "a/b:", "a b/c", "a/" + "b" * 300, "数据/集"],
)
def test_what_is_no_name_of_a_data_set(text):
    with pytest.raises(HubError, match="is no data set"):
        HubName.read(text)


def test_a_machine_without_the_client_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(HubError, match="cannot fetch from a hub"):
        fetch_dataset(HubName.read(SET), tmp_path, max_bytes=10)


@pytest.mark.django_db
def test_a_wrong_name_comes_back_at_its_field(client, project):
    answer = client.post(reverse("labeling:import-hub", args=[project.slug]), {"dataset": "https://hub/x"})
    assert answer.status_code == 200
    assert "is no data set" in answer.content.decode()
    assert not Import.objects.exists()
