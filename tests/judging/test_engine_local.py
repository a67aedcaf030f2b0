"""The local engine on tiny models, against the slow way; and folders that must not be loaded."""

from __future__ import annotations

import json
import math

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from judging.engines.base import STOPPED, EngineError, JudgeRequest, probability_first
from judging.engines.local import LocalEngine

LABELS = ("A", "B", "C")
TEXTS = ["Which is better, A or B or C?", "Short.", "A much longer prompt. " * 20, "中文的问题 [[", "x"]


def requests_of(texts=TEXTS, prefill="[["):
    return [JudgeRequest([{"role": "user", "content": text}], LABELS, prefill) for text in texts]


def save_tokenizer(folder, texts=TEXTS, **options):
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        texts * 3,
        trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=alphabet, special_tokens=["<|pad|>"], show_progress=False
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", **options)
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.fixture(params=["gpt2", "llama"])
def folder(request, tmp_path):
    torch.manual_seed(0)
    tokenizer = save_tokenizer(tmp_path, TEXTS + ["[[A]] [[B]] [[C]]"] * 20)
    if request.param == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=256)
        )
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=256,
            )
        )
    model.save_pretrained(tmp_path)
    return tmp_path


def slow_logprobs(folder, text):
    """One row at a time, no padding, label by label as the continuation of the text."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    whole = [tokenizer.encode(text + label) for label in LABELS]
    shared = next(i for i in range(999) if len({ids[i] for ids in whole}) > 1)
    with torch.no_grad():
        logits = model(torch.tensor([whole[0][:shared]])).logits[0, -1]
    return {
        label: float(logits.log_softmax(-1)[ids[shared]]) for label, ids in zip(LABELS, whole, strict=True)
    }


def test_batched_label_probabilities_equal_the_slow_way(folder):
    replies = LocalEngine(folder, roots=[folder.parent]).judge(requests_of())
    for text, reply in zip(TEXTS, replies, strict=True):
        expected = slow_logprobs(folder, text + "[[")
        assert reply.label_logprobs == pytest.approx(expected, abs=1e-4)
        assert reply.text == f"[[{max(expected, key=expected.get)}]]"
        probability, mass = probability_first(reply.label_logprobs, tie="C")
        assert 0 < probability < 1
        assert mass == pytest.approx(sum(math.exp(v) for v in expected.values()), abs=1e-4)


def test_a_prompt_that_does_not_fit_is_truncated_not_judged(folder):
    fits, too_long = LocalEngine(folder, roots=[folder.parent]).judge(requests_of(["short", "y" * 3000]))
    assert fits.finish_reason == "stop"
    assert (too_long.finish_reason, too_long.text, too_long.label_logprobs) == ("length", "", None)


def test_a_stop_is_heeded_between_batches(folder):
    (reply,) = LocalEngine(folder, roots=[folder.parent]).judge(requests_of(["a"]), should_stop=lambda: True)
    assert (reply.finish_reason, reply.error) == ("error", STOPPED)


def test_a_chat_template_is_used(folder):
    engine = LocalEngine(folder, roots=[folder.parent])
    engine._tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}>"
    assert engine._text(requests_of(["hi"])[0]) == "[user] hi>[["


def test_a_folder_outside_the_roots_is_refused(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with pytest.raises(EngineError, match="not under"):
        LocalEngine(folder, roots=[elsewhere])
    link = elsewhere / "link"
    link.symlink_to(folder)
    with pytest.raises(EngineError, match="not under"):
        LocalEngine(link, roots=[elsewhere])


def hostile_auto_map(folder, marker):
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').write('run')")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config))


def hostile_tokenizer(folder, marker):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["auto_map"] = {"AutoTokenizer": ["evil.Evil", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def hostile_pickle(folder, marker):
    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    for path in folder.glob("*.safetensors"):
        path.unlink()
    torch.save(Evil(), folder / "pytorch_model.bin")


def hostile_config(folder, marker):
    (folder / "config.json").write_text("{")


def hostile_weights(folder, marker):
    for path in folder.glob("*.safetensors"):
        path.write_bytes(b"\x00" * 64)


@pytest.mark.parametrize(
    "spoil", [hostile_auto_map, hostile_tokenizer, hostile_pickle, hostile_config, hostile_weights]
)
@pytest.mark.parametrize("folder", ["gpt2"], indirect=True)
def test_a_hostile_folder_is_refused_and_runs_nothing(folder, spoil, tmp_path_factory):
    marker = tmp_path_factory.mktemp("marker") / "was-run"
    spoil(folder, marker)
    with pytest.raises(EngineError):
        LocalEngine(folder, roots=[folder.parent])
    assert not marker.exists()
