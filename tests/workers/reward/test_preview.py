"""A user's chat template, and the preview of what it makes of a conversation."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from workers.reward import (
    ConfigError,
    DataError,
    EmbeddingConfig,
    Message,
    Pair,
    StarterConfig,
    open_reward_model,
    preview,
    preview_pairs,
    train,
)
from workers.reward.scorers import ScorerSpec, open_scorer, write_scorer
from workers.reward.transformer.template import DECODER_TEMPLATE, ConversationEncoder
from workers.reward.transformer.tiny import CHAT_TEMPLATE

from .builders import items, planted_pairs, prompt
from .families import language_model, tokenizer_for
from .transformers_small import CALM, ENCODER, TINY, tiny_model

PLAIN = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{{ eos_token }}{% endfor %}"
ASKED = prompt("Which law is older?")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return language_model("Llama", tmp_path_factory.mktemp("base"))


def settings(base, **fields):
    return dataclasses.replace(CALM, base=str(base), **fields)


def test_it_shows_the_exact_text_and_every_token(base):
    found = preview(settings(base), ASKED, "the people 混合 😀")
    assert found.text == (
        "<|im_start|>user\nWhich law is older?<|im_end|><|im_start|>assistant\nthe people 混合 😀<|im_end|>"
    )
    assert (
        tuple(t.id for t in found.tokens)
        == ConversationEncoder(tokenizer_for("Llama"), 128).encode(ASKED, "the people 混合 😀").ids
    )
    assert (
        "".join(t.text for t in found.tokens if t.is_prompt) == found.text[: found.text.index("the people")]
    )
    special = [t.text for t in found.tokens if t.is_special]
    assert special == ["<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>"]
    assert "混" in [t.text for t in found.tokens]
    assert (found.truncated, found.cut_prompt, found.cut_answer, found.warnings) == (False, 0, 0, ())


def test_it_shows_what_is_cut_of_the_prompt_first_and_keeps_the_answers_end_token(base):
    found = preview(settings(base, max_length=40), prompt("law " * 60), "the people")
    assert found.truncated
    assert found.cut_answer == 0
    assert len(found.tokens) == found.max_length == 40
    assert found.cut_prompt > 0
    assert (found.tokens[0].text, found.tokens[0].is_prompt) == ("<|im_start|>", True)
    long = preview(settings(base, max_length=16), ASKED, "people " * 40)
    assert long.cut_prompt > 0
    assert long.cut_answer > 0
    assert long.tokens[-1].text == "<|im_end|>"
    assert [t.text for t in long.tokens if t.is_prompt] == ["<|im_start|>"]


def test_the_length_is_at_most_what_the_base_has_positions_for(base):
    assert preview(settings(base, max_length=4096), ASKED, "x").max_length == 192


def test_a_models_folder_reads_what_it_was_trained_on(base, tmp_path):
    config = settings(base, chat_template=PLAIN, max_steps=1)
    train("transformer", planted_pairs(8), config, tmp_path / "m")
    assert AutoTokenizer.from_pretrained(tmp_path / "m").chat_template == PLAIN
    found = preview(tmp_path / "m", ASKED, "x")
    assert found == preview(config, ASKED, "x")
    scorer = open_reward_model(tmp_path / "m")
    assert found.template_hash == scorer.template_hash
    assert scorer.score(items(["x"])).n_tokens[0] == len(
        preview(tmp_path / "m", prompt("Question?"), "x").tokens
    )
    (tmp_path / "m" / "model.safetensors").unlink()  # no weight is read
    assert preview(tmp_path / "m", ASKED, "x") == found


def test_any_base_and_any_kind_of_tokens_can_be_previewed(base, tmp_path):
    assert preview(base, ASKED, "x").text == preview(settings(base), ASKED, "x").text
    assert preview(EmbeddingConfig(base=str(base)), ASKED, "x").text == preview(base, ASKED, "x").text
    assert preview(TINY, ASKED, "x").text == preview(base, ASKED, "x").text
    assert preview(ENCODER, ASKED, "x").text == "[CLS]Which law is older?[SEP]x[SEP]"
    with pytest.raises(ConfigError, match="reads text and no tokens"):
        preview(StarterConfig(), ASKED, "x")
    train("starter", planted_pairs(40), StarterConfig(heads=1), tmp_path / "s")
    with pytest.raises(ConfigError, match="holds a starter model, which reads text and no tokens"):
        preview(tmp_path / "s", ASKED, "x")


def test_a_tiny_bases_tokenizer_is_that_of_the_training_pairs(tmp_path):
    pairs = [*planted_pairs(24), *(dataclasses.replace(p, split="test") for p in planted_pairs(4, seed=1))]
    for kind, config in (
        ("transformer", dataclasses.replace(TINY, max_steps=1)),
        ("embedding", EmbeddingConfig(device="cpu")),
    ):
        train(kind, pairs, config, tmp_path / kind)
        read = list(preview_pairs(tmp_path / kind, pairs[:2]))
        assert list(preview_pairs(config, pairs[:2], training=pairs)) == read
        assert preview(config, pairs[0].messages, pairs[0].chosen, training=pairs) == read[0][2]


@pytest.mark.parametrize("kind", ["dpo", "perplexity"])
def test_a_language_models_scorer_reads_by_its_own_limit(base, tmp_path, kind):
    spec = ScorerSpec(kind, str(base), max_length=48, device="cpu")
    scorer = write_scorer(spec, tmp_path / "s")
    for source in (spec, tmp_path / "s"):
        found = preview(source, prompt("law " * 60), "the people")
        assert (found.max_length, found.template_hash) == (48, scorer.template_hash)
        assert (
            tuple(t.id for t in found.tokens) == scorer.encoder.encode(prompt("law " * 60), "the people").ids
        )
    whole = ScorerSpec(kind, str(base), device="cpu")
    assert preview(whole, ASKED, "x").max_length == open_scorer(whole).encoder.max_length == 192


def test_a_pair_scorer_reads_both_responses_in_both_orders_by_its_own_template(tmp_path):
    model, tokenizer = tiny_model(ENCODER)
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    template = "ask {prompt} one {first} two {second}"
    spec = ScorerSpec("pair", str(tmp_path / "base"), template=template, max_length=60, device="cpu")
    scorer = write_scorer(spec, tmp_path / "s")
    pair = Pair("p", prompt("law {first} " * 20), "the people", "money")
    for source in (spec, tmp_path / "s"):
        (_, one, first), (_, two, second) = preview_pairs(source, [pair])
        assert (one, two) == ("chosen first", "rejected first")
        assert first.text == f"ask {pair.messages[0].content} one the people two money"
        assert second.text.endswith(" one money two the people")
        assert (
            tuple(t.id for t in first.tokens)
            == scorer.template.encode(pair.messages, "the people", "money")[0]
        )
        assert (
            tuple(t.id for t in second.tokens)
            == scorer.template.encode(pair.messages, "money", "the people")[0]
        )
        assert (first.truncated, first.cut_answer, len(first.tokens)) == (True, 0, 60)
        assert first.cut_prompt > 0
        assert first.tokens[0].is_special
        assert not first.tokens[-2].is_prompt
        assert first.template_hash == scorer.template_hash
    with pytest.raises(ConfigError, match="preview_pairs shows them"):
        preview(spec, ASKED, "x")
    with pytest.raises(ConfigError, match="a longest scorer reads text and no tokens"):
        preview(ScorerSpec("longest"), ASKED, "x")


def test_doubled_or_missing_bos(base):
    twice = preview(settings(base, chat_template="{{ eos_token }}{{ eos_token }}" + PLAIN), ASKED, "x")
    assert twice.warnings == ("The text begins with <|im_end|> twice: write it once in the chat template.",)
    # Encoders' tokenizers put [CLS] in front of plain text.
    missing = preview(dataclasses.replace(ENCODER, chat_template=PLAIN.replace("eos", "sep")), ASKED, "x")
    assert [w.partition(",")[0] for w in missing.warnings] == ["This tokenizer begins every text with [CLS]"]
    assert preview(ENCODER, ASKED, "x").warnings == ()
    # A tokenizer with a BOS, whose template writes it: once, though the tokenizer would add it, too.
    tokenizer = tiny_model()[1]
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.chat_template = DECODER_TEMPLATE
    ids = ConversationEncoder(tokenizer, 500).encode(ASKED, "x").ids
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id


@pytest.mark.parametrize(
    ("template", "warning"),
    [
        (PLAIN.replace("{{ eos_token }}", "\n"), "no special token at the answer's end"),
        (
            "{% for m in messages|reverse %}{{ m['content'] }}{{ eos_token }}{% endfor %}",
            "answers cannot share it",
        ),
    ],
)
def test_a_doubtful_template_is_warned_of(base, template, warning):
    (line,) = preview(settings(base, chat_template=template), ASKED, "x").warnings
    assert warning in line


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for m in messages %}\n{{ m['content'] }", "chat_template, line 2: .* unexpected"),
        ("{{ raise_exception('only in pairs') }}", "chat_template: .* only in pairs"),
        ("{{ ''.__class__.__mro__ }}", "chat_template: .* unsafe"),
        ("{{ messages.append(1) }}", "chat_template: .* unsafe"),
        ("{{ messages[0]['content'] }}", "chat_template: the answer is not in what it renders"),
        ("{{ messages[-1]['content'] }}", "chat_template: the user's message is not in what it renders"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_before_training(base, tmp_path, template, words):
    config = settings(base, chat_template=template)
    with pytest.raises(ConfigError, match=words):
        preview(config, ASKED, "x")
    with pytest.raises(ConfigError, match=words):
        train("transformer", planted_pairs(8), config, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_template_that_wants_a_system_message_is_taken(base):
    template = "{% if messages[0]['role'] != 'system' %}{{ raise_exception('no system') }}{% endif %}" + PLAIN
    config = settings(base, chat_template=template)
    told = (Message("system", "Be brief."), *ASKED)
    assert preview(config, told, "x").text.startswith("[system] Be brief.")
    with pytest.raises(DataError, match="no system"):
        preview(config, ASKED, "x")


def test_a_generation_prompt_that_answers_do_not_repeat_parts_no_prompt_from_its_answers(base):
    """As reasoning models have it: the prompt ends in an opened thought that a finished conversation leaves out."""
    template = CHAT_TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    encoder = ConversationEncoder(tokenizer_for("Llama"), 500)
    encoder.tokenizer.chat_template = template
    rows = [encoder.encode(ASKED, text) for text in ("the law", "a", "b", "")]
    assert len({row.ids[: row.prompt] for row in rows}) == 1
    assert encoder.tokenizer.decode(rows[0].ids[: rows[0].prompt]).endswith("assistant\n")


def test_tokens_are_those_of_the_whole_text(base):
    """What a server makes of the rendered text, also where a token reaches over the start of the answer."""
    tokenizer = tokenizer_for("Llama")
    encoder = ConversationEncoder(tokenizer, 500)
    for response in ("\n\nthe law", " the law", "", "the law"):
        turns = [
            {"role": "user", "content": "Which law is older?"},
            {"role": "assistant", "content": response},
        ]
        whole = tokenizer.apply_chat_template(turns, tokenize=False)
        row = encoder.encode(ASKED, response)
        assert list(row.ids) == tokenizer(whole, add_special_tokens=False)["input_ids"]
        assert 0 < row.prompt < len(row.ids)


def test_the_library_shows_previews_without_torch_in_its_import():
    code = "import sys, workers.reward; assert workers.reward.preview; print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_preview_is_plain_data_and_readable(base):
    found = preview(settings(base, max_length=16), ASKED, "people " * 30)
    shown = json.loads(json.dumps(found.as_dict()))
    assert shown["tokens"][-1][1:] == ["<|im_end|>", False, True]
    text = str(found)
    assert text.startswith(found.text)
    assert f"16 tokens of at most 16, template {found.template_hash}" in text
    assert f"prompt, 1 tokens ({found.cut_prompt} cut): <>'<|im_start|>':" in text
    assert text.endswith(f"<>'<|im_end|>':{found.tokens[-1].id}")
