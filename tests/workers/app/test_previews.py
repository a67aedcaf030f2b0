"""What a model reads: asked for on a page or over REST, made by a job, shown token by token."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from labeling.models import Comparison
from tests.processes import process_env
from tests.workers.app.conftest import Trained
from tests.workers.app.test_pages import PROJECT, open_as, page
from tests.workers.reward.test_scorers import write_causal
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from workers.models import RewardModel
from workers.reading import TOKENS_SHOWN, shown
from workers.services import previews

TINY = {"kind": "transformer", "base": "tiny", "max_length": "64"}
URL = f"{PROJECT}/models/preview/"


def the_job() -> Job:
    return Job.objects.get(kind="reward.preview")


def test_settings_of_a_training_show_text_tokens_and_what_is_cut(trained: Trained) -> None:
    client = open_as(trained, "manager")
    sent = client.post(URL, TINY | {"prompt": "Why?", "answer": "Because of " + "light " * 90})
    job = the_job()
    assert sent.url == f"{URL}{job.uid}/"
    waiting = client.get(sent.url).content.decode()
    assert 'hx-trigger="every 1s"' in waiting
    assert "A worker reads the text" in waiting
    assert job.queue == "default"  # not behind a training
    assert run_inline(job, reraise=True).result["tokens"] == 64
    html = client.get(sent.url).content.decode()
    assert "A model trained with these settings reads" in html
    assert "The model reads at most 64 tokens" in html
    assert 'class="answer"' in html
    assert 'class="special"' in html
    assert "&lt;|im_end|&gt;" in html
    assert "The exact text" in html
    assert '<input type="hidden" name="base" value="tiny">' in html  # asked again with another text
    assert 'name="max_length" value="64"' in html
    live = client.get(sent.url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in live
    assert "every 1s" not in live


def test_the_button_of_the_training_form_is_answered_in_place(trained: Trained) -> None:
    assert f'hx-post="{URL}"' in page(trained, "models/train/")
    client = open_as(trained, "manager")
    part = client.post(URL, TINY, headers={"HX-Request": "true"}, follow=True).content.decode()
    assert 'id="preview"' in part
    assert "<html" not in part
    newest = Comparison.objects.filter(project=trained.project).latest("pk")
    assert the_job().params["comparison_id"] == newest.pk
    wrong = client.post(URL, TINY | {"max_length": "5"}, headers={"HX-Request": "true"}).content.decode()
    assert "Longest text in tokens:" in wrong
    assert "<html" not in wrong


def test_a_starter_has_no_tokens_and_the_page_says_what_it_reads(trained: Trained) -> None:
    client = open_as(trained, "manager")
    for sent in ({"reader": "1"}, {"kind": "starter"}):
        html = client.post(URL, sent).content.decode()
        assert "The starter has neither template nor tokens" in html
    assert not Job.objects.filter(kind="reward.preview").exists()


def test_a_response_of_the_project_is_read_from_the_side_asked_for(trained: Trained) -> None:
    comparison = Comparison.objects.get(pk=trained.world.open_ids[0])
    client = open_as(trained, "manager")
    client.post(URL, TINY | {"comparison": str(comparison.pk), "side": "b", "max_length": "512"})
    run_inline(the_job(), reraise=True)
    html = client.get(f"{URL}{the_job().uid}/").content.decode()
    assert comparison.response_b.text[:40] in html
    assert comparison.response_a.text[:40] not in html
    assert f'value="{comparison.pk}"' in html


def test_what_is_missing_is_said_on_the_form(trained: Trained) -> None:
    client = open_as(trained, "manager")
    assert "no comparison #99999" in client.post(URL, TINY | {"comparison": "99999"}).content.decode()
    alone = client.post(URL, TINY | {"prompt": "Only a prompt"}).content.decode()
    assert "Write a response to the prompt, too." in alone
    assert client.post(URL, {"reader": "77"}).status_code == 404
    assert not Job.objects.filter(kind="reward.preview").exists()


def test_a_tokenizer_that_is_not_there_fails_at_once_and_in_words(trained: Trained, settings) -> None:
    settings.MODEL_DIRS = ["/no/such"]
    client = open_as(trained, "manager")
    client.post(URL, TINY | {"base": "/no/such/folder"})
    job = run_inline(the_job())
    assert (job.state, job.attempts) == ("failed", 1)
    html = client.get(f"{URL}{job.uid}/").content.decode()
    assert "The text could not be made." in html
    assert "/no/such/folder" in html


def test_a_preview_is_gone_with_its_jobs_folder(trained: Trained, data_dir: Path) -> None:
    client = open_as(trained, "manager")
    client.post(URL, TINY)
    job = run_inline(the_job(), reraise=True)
    shutil.rmtree(data_dir / "jobs" / str(job.uid))
    assert "no longer kept" in client.get(f"{URL}{job.uid}/").content.decode()


def test_previews_are_the_managers(trained: Trained) -> None:
    open_as(trained, "manager").post(URL, TINY)
    place = f"{URL}{the_job().uid}/"
    codes = {role: open_as(trained, role).get(place).status_code for role in trained.people}
    assert codes == {"manager": 200, "reviewer": 403, "viewer": 403, "labeler": 403, "stranger": 404}
    assert Client().get(place).status_code == 302
    other = Job.objects.get(uid=trained.run.job_uid)
    assert open_as(trained, "manager").get(f"{URL}{other.uid}/").status_code == 404  # a job, but no preview


def test_rest_asks_and_answers(trained: Trained) -> None:
    client, url = open_as(trained, "manager"), f"/api/v1{PROJECT}/reward-models/preview"
    body: dict[str, Any] = {"config": {"base": "tiny"}, "prompt": "Why?", "answer": "So."}
    sent = client.post(url, body, content_type="application/json")
    assert sent.status_code == 202
    place = f"{url}/{sent.json()['preview']}"
    assert client.get(place).status_code == 409
    run_inline(the_job(), reraise=True)
    found = client.get(place).json()
    assert "".join(text for _id, text, _prompt, _special in found["tokens"]) == found["text"]
    assert found["truncated"] is False
    for wrong in ({}, {"config": {"base": "tiny", "x": 1}, "answer": "So."}, {"model": 1, "answer": "So."}):
        assert client.post(url, wrong, content_type="application/json").status_code == 400, wrong


def test_a_long_text_shows_its_start_and_its_end() -> None:
    tokens = [[i, f"{i} ", i < 10, i == 0] for i in range(2 * TOKENS_SHOWN + 7)]
    found = shown(
        {"text": "x" * 50_000, "tokens": tokens, "truncated": True, "template_hash": "t", "warnings": []}
    )
    assert (len(found.head), found.hidden, len(found.tail)) == (TOKENS_SHOWN, 7, TOKENS_SHOWN)
    assert (found.special, found.prompt, found.answer) == (1, 9, len(tokens) - 10)
    assert found.text_cut


PROBE = """
import json, sys
import django
django.setup()
from django.test import Client
from webapp.users.models import User
client = Client()
client.force_login(User.objects.get(username=sys.argv[1]))
codes = [client.get(url).status_code for url in sys.argv[2:-1]]
codes.append(client.post(sys.argv[-1], {"kind": "transformer", "base": "tiny"}).status_code)
print(json.dumps([codes, sorted(n for n in ("torch", "transformers", "tokenizers") if n in sys.modules)]))
"""


@pytest.mark.django_db(transaction=True)
def test_no_page_of_this_brings_torch_into_a_web_process(trained: Trained) -> None:
    """Invariant 11, for the requests themselves: a process of its own, since this one has long loaded torch."""
    place = [f"{PROJECT}/models/1/evaluation/", f"{PROJECT}/models/compare/", URL, URL]
    result = subprocess.run(
        [sys.executable, "-c", PROBE, trained.people["manager"].username, *place],
        env=process_env(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == [[200, 200, 200, 302], []]


def test_the_models_page_leads_here(trained: Trained) -> None:
    number = RewardModel.objects.get(project=trained.project).number
    assert f"{URL}?reader={number}" in page(trained, f"models/{number}/")
    assert f"{URL}?reader={number}" not in page(trained, f"models/{number}/", "viewer")
    assert '<option value="1" selected>' in page(trained, "models/preview/?reader=1")


def test_the_same_is_made_once_and_only_so_many_at_a_time(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "ACTIVE_PREVIEWS", 2)
    client = open_as(trained, "manager")
    api = "/api/v1/projects/world/reward-models/preview"
    first, again, second = (client.post(URL, TINY | {"answer": text}).url for text in ("x", "x", "y"))
    assert first == again != second
    assert "are still being made" in client.post(URL, TINY | {"answer": "z"}).content.decode()
    body = {"kind": "transformer", "config": {"base": "tiny"}, "prompt": "", "answer": "z"}
    assert client.post(api, body, content_type="application/json").status_code == 409
    assert Job.objects.filter(kind="reward.preview").count() == 2
    Job.objects.filter(kind="reward.preview").update(state="done")
    assert client.post(URL, TINY | {"answer": "x"}).url != first


def test_a_language_models_tokens_are_shown_and_its_folder_is_no_reader(
    trained: Trained, tmp_path: Path, settings
) -> None:
    """`model` is the folder of a DPO policy; the form's choice of a version is `reader`."""
    settings.MODEL_DIRS = [str(tmp_path)]
    client = open_as(trained, "manager")
    folder = write_causal(tmp_path / "7", 1)
    sent = client.post(URL, {"kind": "dpo", "model": folder, "reference": folder, "answer": "the sky"})
    assert sent.status_code == 302, sent.content.decode()
    assert the_job().params["config"]["model"] == folder
    run_inline(the_job(), reraise=True)
    html = client.get(sent.url).content.decode()
    assert f'<input type="hidden" name="model" value="{folder}">' in html
    assert 'class="answer"' in html


@pytest.mark.parametrize(("kind", "said"), [("pair", "two responses at once"), ("longest", "A baseline has")])
def test_what_has_no_tokens_of_one_response_is_told_by_kind(trained: Trained, kind: str, said: str) -> None:
    client = open_as(trained, "manager")
    assert said in client.post(URL, {"kind": kind, "model": "somebody/pairs", "answer": "x"}).content.decode()
    body = {"kind": kind, "config": {}, "prompt": "", "answer": "x"}
    refused = client.post(f"/api/v1{URL.replace('models/', 'reward-models/')[:-1]}", body, "application/json")
    assert refused.status_code == 400
    assert said in refused.json()["error"]["detail"]["kind"][0]


def test_the_page_reads_the_cut_result_alone(trained: Trained, data_dir: Path) -> None:
    client = open_as(trained, "manager")
    sent = client.post(URL, TINY | {"answer": "Because of light."})
    run_inline(the_job(), reraise=True)
    folder = data_dir / "jobs" / str(the_job().uid)
    assert "tokens" not in json.loads((folder / "preview-page.json").read_text())
    (folder / "preview.json").unlink()
    assert 'class="answer"' in client.get(sent.url).content.decode()
