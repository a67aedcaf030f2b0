"""The training form: what is typed in reaches the library's settings, and what they refuse is said at its field."""

from __future__ import annotations

import html
import re
import typing
from typing import Any

import pytest

from tests.workers.app.conftest import Trained
from tests.workers.app.test_pages import PROJECT, open_as, page
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from workers.fields import ADVANCED, DEFAULTS, NAMES
from workers.forms import KindForm, PolicyForm
from workers.models import ModelKind, RetrainPolicy, TrainingRun
from workers.reward.config import KINDS, LIMITS, EmbeddingConfig, StarterConfig, TransformerConfig
from workers.reward.scorers import ScorerSpec, settings_from_dict

TRAIN, PREVIEW, POLICY = f"{PROJECT}/models/train/", f"{PROJECT}/models/preview/", f"{PROJECT}/models/policy/"
CLASSES = {"starter": StarterConfig, "embedding": EmbeddingConfig, "transformer": TransformerConfig}
TEMPLATE = "{% for m in messages %}\n<{{ m['role'] }}> {{ m['content'] }}\n{% endfor %}{{ eos_token }}"
OPEN, FOLDED = '<details class="advanced not-given" open>', '<details class="advanced not-given">'


def errors_of(values: dict[str, Any]) -> dict[str, list[str]]:
    form = KindForm(values)
    assert not form.is_valid()
    return {name: [str(line) for line in said] for name, said in form.errors.items()}


def test_every_advanced_setting_of_a_transformer_reaches_the_library(trained: Trained) -> None:
    sent = {
        "kind": "transformer", "base": "somebody/base", "revision": "v2", "chat_template": TEMPLATE,
        "lora_rank": "8", "lora_alpha": "64", "lora_dropout": "0.05", "lora_targets": "q_proj, v_proj mlp.up_proj",
        "quantize": "nf4", "dtype": "bfloat16", "gradient_checkpointing": "on", "torch_compile": "on",
        "weight_decay": "0", "warmup_share": "0.1", "clip_norm": "0.5", "accumulate": "4", "dropout": "0.2",
        "patience": "7", "margin_scale": "2.5", "label_smoothing": "0.1", "focal": "2", "centering": "0",
        "barrier": "0.01",
    }  # fmt: skip
    assert sent.keys() >= {*ADVANCED} - {"aspects"}  # somebody must have given those: test_aspects.py
    response = open_as(trained, "manager").post(TRAIN, sent)
    assert response.status_code == 302, response.content.decode()
    run = TrainingRun.objects.latest("pk")
    config = settings_from_dict(run.kind, run.config)
    assert config == TransformerConfig(
        base="somebody/base", revision="v2", chat_template=TEMPLATE,
        lora_rank=8, lora_alpha=64, lora_dropout=0.05, lora_targets=("q_proj", "v_proj", "mlp.up_proj"),
        quantize="nf4", dtype="bfloat16", gradient_checkpointing=True, torch_compile=True,
        weight_decay=0, warmup_share=0.1, clip_norm=0.5, accumulate=4, dropout=0.2,
        patience=7, margin_scale=2.5, label_smoothing=0.1, focal=2, centering=0, barrier=0.01,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_form_is_the_librarys_defaults(kind: str) -> None:
    form = KindForm({"kind": kind})
    assert form.is_valid()
    assert settings_from_dict(kind, form.config()) == CLASSES[kind]()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in NAMES[kind]])
def test_a_fields_choices_and_limits_are_the_librarys(kind: str, name: str) -> None:
    field = KindForm.base_fields[name]
    if hint := [*typing.get_args(typing.get_type_hints(CLASSES[kind])[name])]:
        assert not hasattr(field, "choices") or [value for value, _label in field.choices] == hint
    if name in LIMITS[kind]:
        low, high = LIMITS[kind][name]
        for wrong in (low - 1, high * 2 + 1):
            assert [*errors_of({"kind": kind, name: str(wrong)})] == [name]
        for right in (low, high):
            form = KindForm({"kind": kind, name: str(right)})
            assert form.is_valid() or (name, right) == ("lora_rank", high), form.errors


def test_scorers_choices_are_the_librarys() -> None:
    hints = typing.get_type_hints(ScorerSpec)
    for name in ("reduction", "architecture"):
        assert tuple(value for value, _label in KindForm.base_fields[name].choices) == typing.get_args(
            hints[name]
        )


@pytest.mark.parametrize(
    ("values", "name", "said"),
    [
        ({"lora_rank": "8"}, "lora_rank", "adapts a base that has weights"),
        ({"lora_targets": "q_proj"}, "lora_targets", "without lora_rank"),
        ({"lora_rank": "8", "base": "a/b", "lora_targets": "x" * 301}, "lora_targets", "at most 64 names"),
        ({"quantize": "nf4"}, "quantize", "so it needs lora_rank"),
        ({"quantize": "int8"}, "quantize", "int8"),
        ({"focal": "0.5"}, "focal", "0 (off) or at least 1"),
        ({"weight_decay": "1"}, "weight_decay", "less than or equal to 0.99"),
        ({"warmup_share": "much"}, "warmup_share", "Enter a number"),
        ({"chat_template": "x" * 20_001}, "chat_template", "at most 20000"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_in_the_open_group(
    trained: Trained, values: dict[str, str], name: str, said: str
) -> None:
    sent = {"kind": "transformer", **values}
    assert [*errors_of(sent)] == [name]
    content = open_as(trained, "manager").post(TRAIN, sent).content.decode()
    assert OPEN in content
    assert f'<a href="#id_{name}">' in content.split('role="alert"')[1].split("</div>")[0]
    row = content.split(f'name="{name}"')[1].split('<div class="form-row')[0]
    assert said in html.unescape(row)
    assert 'class="errorlist"' in row
    assert TrainingRun.objects.count() == 1


def test_a_folder_that_is_not_allowed_is_refused_at_its_field(trained: Trained, settings) -> None:
    settings.EMBEDDED, settings.MODEL_DIRS = False, []
    sent = {"kind": "transformer", "base": "/etc"}
    content = open_as(trained, "manager").post(TRAIN, sent).content.decode()
    row = content.split('name="base"')[1].split('<div class="form-row')[0]
    assert "CHOSEN_MODEL_DIRS or be a model of this project" in row.split('class="errorlist"')[1]


def test_settings_of_other_kinds_are_not_looked_at() -> None:
    form = KindForm({"kind": "starter", "epochs": "-1", "quantize": "nf4", "heads": "3"})
    assert form.is_valid(), form.errors
    assert form.config() == {"heads": 3}


def test_the_group_is_folded_until_a_setting_of_the_kind_is_given() -> None:
    defaults = {name: value for name, value in DEFAULTS["transformer"].items() if name in ADVANCED and value}
    for values in ({}, {"epochs": "3"}, {name: str(value) for name, value in defaults.items()}):
        assert not KindForm({"kind": "transformer", **values}).is_advanced_open, values
    assert not KindForm().is_advanced_open
    assert not KindForm({"kind": "starter", "weight_decay": "0.1"}).is_advanced_open
    assert not KindForm({"kind": ModelKind.DPO, "weight_decay": "0.1"}).is_advanced_open
    for values in (
        {"centering": "0"},
        {"torch_compile": "on"},
        {"dtype": "bfloat16"},
        {"chat_template": "x"},
    ):
        assert KindForm({"kind": "transformer", **values}).is_advanced_open, values
    assert KindForm({"kind": "starter", "margin_scale": "200"}).is_advanced_open
    assert PolicyForm(initial={"kind": "transformer", "centering": 0.0}).is_advanced_open
    assert not PolicyForm(initial={"kind": "transformer", "gradient_checkpointing": False}).is_advanced_open


def test_the_page_is_folded_at_first(trained: Trained) -> None:
    content = page(trained, "models/train/")
    assert FOLDED in content
    assert OPEN not in content


def test_lines_of_a_template_end_as_they_were_written_and_blanks_are_no_template() -> None:
    for sent, kept in ((TEMPLATE.replace("\n", "\r\n") + " ", TEMPLATE + " "), (" \r\n", None)):
        form = KindForm({"kind": "embedding", "chat_template": sent})
        assert form.is_valid()
        assert form.config().get("chat_template") == kept


def hidden(content: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', content)
    return {name: html.unescape(value) for name, value in found if name != "csrfmiddlewaretoken"}


def test_a_preview_shows_the_text_that_the_typed_template_makes(trained: Trained) -> None:
    client = open_as(trained, "manager")
    settings = {"kind": "transformer", "base": "tiny", "chat_template": TEMPLATE.replace("\n", "\r\n")}
    client.post(PREVIEW, settings | {"prompt": "Why <b>?", "answer": "So."})
    job = Job.objects.get(kind="reward.preview")
    assert job.params["config"]["chat_template"] == TEMPLATE
    run_inline(job, reraise=True)
    content = client.get(f"{PREVIEW}{job.uid}/").content.decode()
    exact = html.unescape(re.search(r'<pre class="exact"[^>]*>(.*?)</pre>', content, re.DOTALL)[1])
    assert exact == "<user> Why <b>?\n<assistant> So.\n<|im_end|>"
    again = hidden(content)
    assert again["chat_template"] == TEMPLATE
    assert client.post(PREVIEW, again | {"prompt": "Why <b>?", "answer": "So."}).status_code == 302
    assert Job.objects.filter(kind="reward.preview").latest("pk").params == job.params


def test_lists_and_switches_go_with_a_preview_to_the_next(trained: Trained) -> None:
    client = open_as(trained, "manager")
    settings = {
        "kind": "transformer", "base": "somebody/base", "lora_rank": "8", "lora_targets": "q_proj v_proj",
        "gradient_checkpointing": "on", "weight_decay": "0",
    }  # fmt: skip
    sent = client.post(PREVIEW, settings | {"answer": "So."})
    again = hidden(client.get(sent.url).content.decode())
    assert again["lora_targets"] == "q_proj, v_proj"
    first = Job.objects.get(kind="reward.preview")
    assert client.post(PREVIEW, again | {"answer": "So."}).url == sent.url  # the same is made once
    assert first.params["config"]["weight_decay"] == 0


def test_a_template_that_cannot_be_rendered_is_told_with_its_line(trained: Trained) -> None:
    client = open_as(trained, "manager")
    sent = client.post(
        PREVIEW, {"kind": "transformer", "chat_template": "{{ messages }}\n{% for %}", "answer": "So."}
    )
    assert run_inline(Job.objects.get(kind="reward.preview")).state == "failed"
    assert "chat_template, line 2" in client.get(sent.url).content.decode()


def test_a_policy_keeps_and_shows_the_settings(trained: Trained) -> None:
    client = open_as(trained, "manager")
    sent = {
        "kind": "transformer", "is_enabled": "on", "every_n_labels": "50", "base": "somebody/base",
        "lora_rank": "16", "lora_targets": "q_proj", "chat_template": "{{ messages }}\r\n",
    }  # fmt: skip
    assert client.post(POLICY, sent).status_code == 302
    saved = RetrainPolicy.objects.get(project=trained.project).config
    assert (saved["lora_rank"], saved["lora_targets"], saved["chat_template"]) == (
        16,
        ["q_proj"],
        "{{ messages }}\n",
    )
    content = client.get(POLICY).content.decode()
    assert OPEN in content
    assert 'value="q_proj"' in content
    wrong = client.post(POLICY, sent | {"base": "tiny"}).content.decode()
    assert (
        "adapts a base that has weights"
        in wrong.split('name="lora_rank"')[1].split('<div class="form-row')[0]
    )
