"""Exports are what their trainers read: `datasets` opens every layout, TRL's trainers take a step on it, and for the
other trainers a reader of their documented keys (docs/exports.md) finds the snapshot's texts in it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labeling.exporting.layouts import LAYOUTS
from labeling.snapshots import SnapshotRow
from tests.labeling.exporting.builders import (
    SEVERAL,
    decided,
    export,
    lines,
    ranked_prompt,
    settle,
    shaped_project,
    sides,
)
from tests.labeling.resolution.builders import labeled_project, make_labeler, make_project

pytestmark = pytest.mark.django_db
Row = dict[str, Any]
Messages = list[dict[str, str]]
# What a trainer makes of a row: the prompt, the better and the worse response.
Read = tuple[Messages, str, str]
TRL_TAKES = ["trl-explicit", "trl-implicit", "openrlhf", "xtuner", "hh"]


@pytest.fixture
def snapshot():
    return settle(shaped_project())


@pytest.fixture
def ranked():
    project = make_project()
    person = make_labeler(project)
    for number in range(3):
        ranked_prompt(project, person, ("AB", "BC", "AC"), text=f"Case {number}?", topic="maths")
    return settle(project)


@pytest.fixture
def load(tmp_path):
    """`datasets.load_dataset` on an export's bytes, with a cache of the test's own."""
    datasets = pytest.importorskip("datasets", reason="needs datasets: requirements/dev.txt")

    def opened(snapshot, kind: str = "json", **options) -> Any:
        path = tmp_path / f"{options.get('layout')}.{options.get('format', 'jsonl')}"
        path.write_bytes(export(snapshot, **options))
        return datasets.load_dataset(
            kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )

    return opened


def filled(value: Any) -> Any:
    """Without the nulls that a table holds where a JSON object has no key."""
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items() if inner is not None}
    return [filled(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("layout", LAYOUTS)
def test_datasets_opens_every_layout(load, snapshot, ranked, layout):
    source = ranked if LAYOUTS[layout].kind == "prompts" else snapshot
    rows = [filled(row) for row in lines(source, layout=layout)]
    assert rows
    for options in ({}, {"compression": "gzip"}):
        assert [filled(row) for row in load(source, layout=layout, **options)] == rows
    assert [filled(row) for row in load(source, "parquet", layout=layout, format="parquet")] == rows


# --- TRL --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folders of a random decoder of 1 layer, with a language-model head and with a reward head, and its tokenizer."""
    pytest.importorskip("trl", reason="needs trl: requirements/dev.txt")
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2ForSequenceClassification

    from tests.workers.reward.transformers_small import tiny_model

    tokenizer = tiny_model()[1]
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=256, num_labels=1,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    folders = {}
    for model in (Qwen2ForCausalLM, Qwen2ForSequenceClassification):
        folder = tmp_path_factory.mktemp(model.__name__)
        model(copy.deepcopy(config)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders[model.__name__] = str(folder)
    return folders["Qwen2ForCausalLM"], folders["Qwen2ForSequenceClassification"], tokenizer


def step(trainer: Any, config: Any, model: str, data: Any, tokenizer: Any, folder: Any) -> Any:
    """One optimizer step of a trainer on the data; its training loss."""
    arguments = config(
        output_dir=str(folder), report_to=[], use_cpu=True, bf16=False, max_steps=1, save_strategy="no",
        per_device_train_batch_size=2, gradient_checkpointing=False, max_length=128, disable_tqdm=True,
    )  # fmt: skip
    ready = trainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)
    assert len(ready.train_dataset) == len(data)
    result = ready.train()
    assert result.global_step == 1
    return result.training_loss


@pytest.mark.parametrize("text", ["messages", "plain"])
@pytest.mark.parametrize("layout", TRL_TAKES)
def test_trls_reward_and_dpo_trainers_take_a_step(load, tiny, tmp_path, layout, text):
    import trl

    language_model, reward_model, tokenizer = tiny
    source = settle(labeled_project(5, outcomes="aabb"))
    data = load(source, layout=layout, text=text)
    assert len(data) == len(decided(source)) > 1
    loss = step(trl.RewardTrainer, trl.RewardConfig, reward_model, data, tokenizer, tmp_path)
    assert 0 < loss < 3
    loss = step(trl.DPOTrainer, trl.DPOConfig, language_model, data, tokenizer, tmp_path)
    assert loss == pytest.approx(0.6931, abs=1e-3)  # log 2: model and reference are still the same


@pytest.mark.parametrize("text", ["messages", "plain"])
def test_trls_kto_trainer_takes_a_step(load, tiny, tmp_path, text):
    import trl

    source = settle(labeled_project(5, outcomes="aabb"))
    data = load(source, layout="kto", text=text)
    assert sum(data["label"]) == len(decided(source))
    loss = step(trl.KTOTrainer, trl.KTOConfig, tiny[0], data, tiny[2], tmp_path)
    assert loss == pytest.approx(0.5, abs=1e-2)  # σ(0): model and reference are still the same


def test_trls_reward_trainer_reads_the_margin(load, tiny, tmp_path):
    import trl

    source = settle(labeled_project(5, outcomes="aabb"))
    losses = []
    for margin in ("none", "strength"):
        data = load(source, layout="trl-explicit", margin=margin)
        losses.append(step(trl.RewardTrainer, trl.RewardConfig, tiny[1], data, tiny[2], tmp_path))
    assert losses[1] > losses[0] + 1  # every strength is 2


def test_trls_reward_trainer_leaves_soft_labels_unread(load, tiny, tmp_path):
    import trl

    source = settle(labeled_project(5, outcomes="abt"))
    soft = load(source, layout="trl-explicit", ties="soft")
    assert 0.5 in soft["p_chosen"]
    losses = [
        step(trl.RewardTrainer, trl.RewardConfig, tiny[1], data, tiny[2], tmp_path)
        for data in (soft, soft.remove_columns("p_chosen"))
    ]
    assert losses[0] == losses[1]


# --- readers of the other trainers, from their documented keys -------------------------------------------------


def turns(found: Messages) -> Messages:
    """Checks what most readers check: an optional system message, then person or tool and assistant by turns."""
    spoken = found[1:] if found[0]["role"] == "system" else found
    for place, message in enumerate(spoken):
        assert message["role"] in (("assistant",) if place % 2 else ("user", "tool"))
    assert len(spoken) % 2 == 1
    return found


def ms_swift(row: Row) -> Read:
    """`messages` ends with the chosen answer; the rejected one ends `rejected_messages`, or is `rejected_response`,
    which takes the place of all that follows the last user's turn."""
    *prompt, last = row["messages"]
    assert last["role"] == "assistant"
    if "rejected_messages" in row:
        *same, other = row["rejected_messages"]
        assert same == prompt
        assert other["role"] == "assistant"
        return turns(prompt), last["content"], other["content"]
    assert row["rejected_response"] not in (None, last["content"])
    assert prompt[-1]["role"] == "user"
    return turns(prompt), last["content"], row["rejected_response"]


def alpaca(row: Row) -> Read:
    """`instruction` and `input` joined by a line break, below `history`, below `system`."""
    prompt = [{"role": "system", "content": row["system"]}] if row["system"] else []
    for question, answer in row["history"]:
        prompt += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    query = "\n".join(text for text in (row["instruction"], row["input"]) if text)
    assert isinstance(row["chosen"], str)
    assert isinstance(row["rejected"], str)
    return [*prompt, {"role": "user", "content": query}], row["chosen"], row["rejected"]


def sharegpt(row: Row) -> Read:
    roles = {"human": "user", "gpt": "assistant", "observation": "tool"}
    prompt = [{"role": "system", "content": row["system"]}] if row["system"] else []
    prompt += [{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
    assert row["chosen"]["from"] == row["rejected"]["from"] == "gpt"
    return turns(prompt), row["chosen"]["value"], row["rejected"]["value"]


def openrlhf(row: Row) -> Read:
    """With --apply_chat_template the answers are message lists that are added to the prompt's."""
    chosen, rejected = (row["prompt"] + row[key] for key in ("chosen", "rejected"))
    assert chosen[:-1] == rejected[:-1]
    return chosen[:-1], chosen[-1]["content"], rejected[-1]["content"]


def hh(row: Row) -> Read:
    found = []
    for key in ("chosen", "rejected"):
        history, answer = row[key].rsplit("\n\nAssistant: ", 1)
        assert history.startswith("\n\nHuman: ")
        prompt = []
        for part in history.split("\n\nHuman: ")[1:]:
            question, *answers = part.split("\n\nAssistant: ")
            prompt += [{"role": "user", "content": question}]
            prompt += [{"role": "assistant", "content": text} for text in answers]
        found.append((prompt, answer))
    (prompt, chosen), (same, rejected) = found
    assert prompt == same
    return prompt, chosen, rejected


def ultrafeedback(row: Row) -> Read:
    assert row["chosen"][0] == row["rejected"][0] == {"role": "user", "content": row["prompt"]}
    assert row["score_chosen"] >= row["score_rejected"]
    (_same, rejected), (question, chosen) = row["rejected"], row["chosen"]
    return [question], chosen["content"], rejected["content"]


def cvalues(row: Row) -> Read:
    return [{"role": "user", "content": row["prompt"]}], row["pos_resp"], row["neg_resp"]


def rm_finetuning(row: Row) -> Read:
    """Every message has a `value` but the last, which has both answers."""
    *before, last = row["messages"]
    prompt = [{"role": message["role"], "content": message["value"]} for message in before]
    assert last["role"] == "assistant"
    return prompt, last["chosen_value"], last["rejected_value"]


def rewardbench(row: Row) -> Read:
    assert isinstance(row["subset"], str)
    assert isinstance(row["id"], int)
    return [{"role": "user", "content": row["prompt"]}], row["chosen"], row["rejected"]


READERS: dict[str, Callable[[Row], Read]] = {
    "ms-swift": ms_swift,
    "ms-swift-messages": ms_swift,
    "llamafactory-alpaca": alpaca,
    "llamafactory-sharegpt": sharegpt,
    "openrlhf": openrlhf,
    "xtuner": openrlhf,  # the same three keys, each a message list
    "hh": hh,
    "ultrafeedback": ultrafeedback,
    "cvalues": cvalues,
    "rm-finetuning": rm_finetuning,
    "rewardbench": rewardbench,
}
ONE_QUESTION = ("ultrafeedback", "cvalues", "rewardbench")
SYSTEM_TOO = {"system", "user", "assistant"}
ROLES = {"ms-swift": SYSTEM_TOO, "llamafactory-alpaca": SYSTEM_TOO, "hh": {"user", "assistant"}}


def holds(layout: str, row: SnapshotRow) -> bool:
    if layout in ONE_QUESTION:
        return len(row.messages) == 1
    return {message["role"] for message in row.messages} <= ROLES.get(layout, {*SYSTEM_TOO, "tool"})


@pytest.mark.parametrize("layout", READERS)
def test_a_reader_of_the_documented_keys_finds_the_pairs(snapshot, layout):
    wanted = [(row.messages, *sides(row)) for row in decided(snapshot) if holds(layout, row)]
    assert wanted
    assert [READERS[layout](row) for row in lines(snapshot, layout=layout)] == wanted


def test_every_layout_has_a_reader_here():
    here = {*READERS, "trl-explicit", "trl-implicit", "kto", "llamafactory-kto", "ranked", "rewardbench2"}
    ours = {"votes", "chosen"}  # read by this app's import, and by nobody else
    assert here | ours == set(LAYOUTS)


def test_llamafactory_reads_unpaired_rows(snapshot):
    """`messages` takes turns and ends with the answer; `label` is its `kto_tag`, a boolean. A role that no tag of the
    documented entry names would have the row passed over.
    """
    entry = documented_entries()["thumbs"]
    assert entry["columns"] == {"messages": "messages", "kto_tag": "label"}
    tags = {name: role for name, role in entry["tags"].items() if name not in ("role_tag", "content_tag")}
    assert set(tags) == {"user_tag", "assistant_tag", "observation_tag", "system_tag"}
    rows = lines(snapshot, layout="llamafactory-kto")
    assert {message["role"] for row in rows for message in row["messages"]} == set(tags.values())
    found: Iterator[tuple[Messages, str, bool]] = (
        (turns(row["messages"][:-1]), row["messages"][-1]["content"], row["label"]) for row in rows
    )
    wanted = [
        (row.messages, text, is_good)
        for row in decided(snapshot)
        for text, is_good in zip(sides(row), (True, False), strict=True)
    ]
    assert list(found) == wanted


def documented_entries() -> dict[str, Any]:
    """The entries of `dataset_info.json` in docs/exports.md."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.split("```json\n")[1].split("```")[0])
    return found


@pytest.mark.parametrize("layout", ["llamafactory-alpaca", "llamafactory-sharegpt"])
def test_the_documented_entry_names_the_columns(snapshot, layout):
    entry = documented_entries()[layout.replace("llamafactory", "pairs").replace("-", "_")]
    assert entry["ranking"] is True
    empty = {"input"} if "alpaca" in layout else set()
    for row in lines(snapshot, layout=layout):
        assert set(entry["columns"].values()) | empty == set(row)


def test_rankings_are_read_best_first(ranked):
    for number, row in enumerate(lines(ranked, layout="ranked")):
        prompt, best, second = alpaca({**row, "chosen": row["output"][0], "rejected": row["output"][1]})
        assert prompt == [{"role": "user", "content": f"Case {number}?"}]
        assert [best, second, *row["output"][2:]] == list(SEVERAL.values())


def test_rewardbench_2_reads_one_completion_a_row(ranked):
    """It puts the chosen and the rejected in one list and takes the first `num_correct` of them as right."""
    for row in lines(ranked, layout="rewardbench2"):
        completions = row["chosen"] + row["rejected"]
        assert len(completions) == row["total_completions"] == row["num_correct"] + row["num_incorrect"]
        assert completions[: row["num_correct"]] == [SEVERAL["A"]]
        assert len(row["models"]) == len(completions)
        assert json.loads(json.dumps(row["id"])) == row["id"] != ""
