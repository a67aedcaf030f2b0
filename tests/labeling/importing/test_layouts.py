"""Rows of every layout become records: what is written in a layout reads back equal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.importing.checking import CheckReport
from labeling.importing.layouts import LAYOUTS, LAYOUTS_BY_NAME, closest_layout, detect_layout, layout_of
from labeling.importing.options import ImportOptions
from labeling.importing.reader import Position, Row
from labeling.importing.records import (
    ImportedGold,
    ImportedMessage,
    ImportedResponse,
    ImportedVote,
    Record,
    margin_strength,
    record_pairs,
)
from labeling.importing.scan import ScannedRecord
from labeling.importing.texts import layout_name, problem_words
from tests.labeling.importing.helpers import (
    FAMILIES,
    json_array,
    jsonl,
    rows_of,
    said,
    scan_bytes,
)
from tests.shared_data import shared_file

characters = st.characters(exclude_categories=["Cs", "Cc"])
words = st.text(characters, min_size=1, max_size=40).filter(lambda text: text.strip() == text and text)
names = st.text("abcdefgh-0123", min_size=1, max_size=12)
extras = st.fixed_dictionaries(
    {},
    optional={
        "id": names,
        "language": st.sampled_from(["en", "zh"]),
        "topic": names,
        "group": names,
        "debate": names,
    },
)
turns = st.lists(st.tuples(words, words), max_size=2)


def extra_fields(extra):
    kept = {"external_id": extra.get("id", "")} | {
        key: extra.get(key, "") for key in ("language", "topic", "group")
    }
    return kept | {"metadata": {"debate": extra["debate"]} if "debate" in extra else {}}


def conversation(history, question):
    found = []
    for asked, answered in history:
        found += [ImportedMessage("user", asked), ImportedMessage("assistant", answered)]
    return (*found, ImportedMessage("user", question))


def as_json(messages):
    return [message.as_json() for message in messages]


def answer(text):
    return {"role": "assistant", "content": text}


def read_one(row):
    records, problems = scan_bytes(jsonl([row]))
    assert problems == []
    return records[0]


two_texts = st.lists(words, min_size=2, max_size=2, unique=True)


@given(turns, words, two_texts, extras, st.sampled_from(["text", "messages", "whole"]))
@settings(max_examples=60, deadline=None)
def test_explicit_pairs_read_back_equal(history, question, texts, extra, shape):
    messages = conversation(history if shape != "text" else [], question)
    prompt = question if shape == "text" else as_json(messages)
    before = as_json(messages) if shape == "whole" else []
    chosen, rejected = (text if shape == "text" else [*before, answer(text)] for text in texts)
    row = {"prompt": prompt, "chosen": chosen, "rejected": rejected, **extra}
    responses = tuple(map(ImportedResponse, texts))
    expected = Record(1, messages, responses, (ImportedVote(0, 1, "a"),), **extra_fields(extra))
    assert read_one(row) == expected


@given(turns, words, two_texts, extras, st.sampled_from(["messages", "transcript"]))
@settings(max_examples=60, deadline=None)
def test_implicit_pairs_read_back_equal(history, question, texts, extra, shape):
    messages = conversation(history, question)

    def write(text):
        whole = (*messages, ImportedMessage("assistant", text))
        if shape == "messages":
            return as_json(whole)
        return "".join(f"\n\n{'Human' if m.role == 'user' else 'Assistant'}: {m.content}" for m in whole)

    row = {"chosen": write(texts[0]), "rejected": write(texts[1]), **extra}
    responses = tuple(map(ImportedResponse, texts))
    expected = Record(1, messages, responses, (ImportedVote(0, 1, "a"),), **extra_fields(extra))
    assert read_one(row) == expected


@given(turns, words, two_texts, extras, st.booleans())
@settings(max_examples=60, deadline=None)
def test_message_pairs_read_back_equal(history, question, texts, extra, parted):
    messages = conversation(history, question)

    def write(text):
        whole = as_json((*messages, ImportedMessage("assistant", text)))
        if not parted:
            return whole
        return [m | {"content": [{"type": "text", "value": m["content"]}], "loss_weight": 1.0} for m in whole]

    row = {"chosen_messages": write(texts[0]), "rejected_messages": write(texts[1]), **extra}
    responses = tuple(map(ImportedResponse, texts))
    expected = Record(1, messages, responses, (ImportedVote(0, 1, "a"),), **extra_fields(extra))
    assert read_one(row) == expected


def test_problems_of_message_pairs_name_their_own_keys():
    asked, answered = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
    rows = [
        {"chosen_messages": [asked, answered], "rejected_messages": [asked, answered]},
        {"chosen_messages": [asked, answered], "rejected_messages": [answered]},
        {"chosen_messages": [asked, answered], "rejected_messages": [asked, asked]},
    ]
    _records, problems = scan_bytes(jsonl(rows))
    both = ["chosen_messages", "rejected_messages"]
    assert [(p.code, p.params.get("paths") or p.params.get("path")) for p in problems] == [
        ("identical_responses", both),
        ("no_shared_prompt", None),
        ("not_one_answer", "rejected_messages"),
    ]


@given(turns, words, st.lists(st.tuples(words, names), min_size=1, max_size=5), extras, st.booleans())
@settings(max_examples=60, deadline=None)
def test_responses_read_back_equal(history, question, answers, extra, plain):
    messages = conversation(history, question)
    values = [{"text": text} if plain else {"content": text, "model": model} for text, model in answers]
    row = {"messages": as_json(messages), "responses": values, **extra}
    responses = tuple(ImportedResponse(text, "" if plain else model) for text, model in answers)
    assert read_one(row) == Record(1, messages, responses, **extra_fields(extra))


@given(turns, words, st.lists(words, min_size=2, max_size=5, unique=True), extras)
@settings(max_examples=60, deadline=None)
def test_ranked_lists_read_back_equal(history, question, texts, extra):
    row = {"instruction": question, "input": "", "history": history, "output": texts, **extra}
    count = len(texts)
    votes = tuple(ImportedVote(i, j, "a") for i in range(count) for j in range(i + 1, count))
    responses = tuple(map(ImportedResponse, texts))
    messages = conversation(history, question)
    assert read_one(row) == Record(1, messages, responses, votes, ranked=True, **extra_fields(extra))


vote_rows = st.lists(
    st.tuples(
        names, st.sampled_from(["a", "b", "tie", "both_bad"]), st.text(characters), st.integers(0, 9999)
    ),
    max_size=5,
    unique_by=lambda vote: vote[0],
)


@given(words, two_texts, vote_rows, st.sampled_from([None, "a", "b", "tie"]), extras)
@settings(max_examples=60, deadline=None)
def test_votes_read_back_equal(question, texts, votes, gold, extra):
    row = {"prompt": question, "response_a": texts[0], "response_b": texts[1], "gold": gold, **extra}
    keys = ("annotator", "value", "reason", "seconds")
    row["votes"] = [dict(zip(keys, (n, v, r, ms / 1000), strict=True)) for n, v, r, ms in votes]
    expected = Record(
        1,
        (ImportedMessage("user", question),),
        tuple(map(ImportedResponse, texts)),
        tuple(ImportedVote(0, 1, v, labeler=n, rationale=r, duration_ms=ms) for n, v, r, ms in votes),
        ImportedGold(0, 1, gold) if gold else None,
        **extra_fields(extra),
    )
    assert read_one(row) == expected


def test_models_strength_and_margin_are_kept():
    row = {
        "prompt": "p",
        "chosen": "c",
        "rejected": "r",
        "chosen_model": "x",
        "rejected_model": "y",
        "margin": 0.5,
    }
    record = read_one(row)
    assert [response.model for response in record.responses] == ["x", "y"]
    assert record.votes[0].margin == 0.5
    assert record.metadata == {"margin": 0.5}


@pytest.mark.parametrize(
    ("margins", "strengths"),
    [
        ([0.0, 1 / 3, 2 / 3, 1.0], [1, 2, 3, 4]),
        ([0.5, 0.8], [2, 4]),
        ([1.0, 1.0], [1, 1]),
        ([1.0, 0.0], [1, None]),
        ([0.0, 1.0, 2.0, 3.0], [None, 1, 2, 3]),
        ([4.0, 1.5, 1.0], [4, 2, 1]),
        ([10.0, 2.5, 0.0], [4, 1, 1]),
    ],
)
def test_strength_of_a_margin_follows_the_scale_of_the_file(margins, strengths):
    """Quarters only where there is a fraction; 0 is no strength where margins are strengths."""
    report = CheckReport()
    for number, margin in enumerate(margins, start=1):
        record = read_one({"prompt": "p", "chosen": "c", "rejected": "r", "margin": margin})
        row = Row(number, number, {}, Position())
        report.add_record(ScannedRecord(record, "trl_explicit", row), ImportOptions())
    assert [margin_strength(margin, report.counts()["margin_scale"]) for margin in margins] == strengths


def test_plain_implicit_texts_share_their_start_by_whole_words():
    record = read_one({"chosen": "The sky is blue today", "rejected": "The sky is black"})
    assert record.prompt_text == "The sky is"
    assert [response.text for response in record.responses] == ["blue today", "black"]


def test_plain_implicit_chinese_texts_are_cut_between_characters():
    record = read_one({"chosen": "天空的颜色：蓝色", "rejected": "天空的颜色：绿色"})
    assert (record.prompt_text, record.responses[0].text) == ("天空的颜色：", "蓝色")


def test_equal_answers_of_a_ranking_count_once():
    record = read_one({"instruction": "i", "output": ["x", "y", "x"]})
    assert [response.text for response in record.responses] == ["x", "y"]
    assert len(record.votes) == 1


@pytest.mark.parametrize(("policy", "count"), [("all", 6), ("adjacent", 3), ("best", 3)])
def test_pair_policies(policy, count):
    record = read_one({"prompt": "p", "responses": ["a", "b", "a", "c", "d"]})
    pairs = record_pairs(record, policy)
    assert len(pairs) == count
    assert all(first < second for first, second in pairs)
    assert 2 not in {index for pair in pairs for index in pair}


# Layouts behind the fuller one, which the keys of its rows would do for, too.
PLAINER = {"rewardbench": ["trl_explicit"], "rewardbench2": ["rewardbench", "trl_explicit"]}


@pytest.mark.parametrize("layout", FAMILIES)
def test_each_layout_is_detected_and_tells_its_own_rows(layout):
    rows = rows_of(layout, 3)
    assert detect_layout(rows).name == layout
    assert [item.name for item in LAYOUTS if item.matches(rows[0])] == [layout, *PLAINER.get(layout, ())]


@pytest.mark.parametrize("layout", FAMILIES)
def test_wrong_keys_name_what_was_found_and_what_is_needed(layout):
    _make, key = FAMILIES[layout]
    misspelt = key[:-1] + ("z" if key[-1] != "z" else "y")
    rows = [
        {misspelt if name == key else name: value for name, value in row.items()}
        for row in rows_of(layout, 2)
    ]
    assert layout_of(rows[0]) is None
    records, problems = scan_bytes(jsonl(rows))
    assert records == []
    assert [(p.line, p.code) for p in problems] == [(1, "wrong_keys"), (2, "wrong_keys")]
    assert problems[0].params["layout"] == layout
    assert problems[0].params["meant"] == {key: misspelt}
    assert misspelt in problems[0].message
    assert f"{misspelt} → {key}" in problems[0].hint


@pytest.mark.parametrize("layout", FAMILIES)
def test_a_row_of_another_layout_is_named_with_both(layout):
    other = "votes" if layout != "votes" else "ranked"
    rows = [*rows_of(layout, 5), *rows_of(other, 1)]
    records, problems = scan_bytes(json_array(rows))
    assert len(records) == 5
    assert [p.code for p in problems] == ["mixed_layouts"]
    assert problems[0].params == {"layout": other, "file_layout": layout, "first_line": 2}
    assert f"“{layout_name(other)}”, but line 2 has “{layout_name(layout)}”" in problems[0].message
    assert problem_words(problems[0]).as_json()["params"]["layout"]["msgid"] == layout_name(other)


def test_a_layout_that_first_shows_behind_many_bad_rows_is_known():
    rows = [*[{"question": "q"}] * 150, *rows_of("votes", 2), *rows_of("ranked", 1)]
    records, problems = scan_bytes(jsonl(rows))
    assert [record.line for record in records] == [151, 152]
    assert [p.code for p in problems] == [*["wrong_keys"] * 150, "mixed_layouts"]
    assert problems[-1].params["first_line"] == 151


WRONG_TYPES = {
    "trl_explicit": ({"chosen": 3}, "chosen"),
    "trl_implicit": ({"chosen": [{"role": "user", "content": 3}]}, "chosen[0].content"),
    "message_pairs": ({"rejected_messages": [{"role": "user", "content": "q"}, 3]}, "rejected_messages[1]"),
    "ms_swift": ({"rejected_response": 3}, "rejected_response"),
    "alpaca_pairs": ({"history": [["q", 3]]}, "history[0][1]"),
    "sharegpt_pairs": ({"rejected": {"from": "gpt", "value": 3}}, "rejected.value"),
    "cvalues": ({"neg_resp": None}, "neg_resp"),
    "rm_finetuning": (
        {"messages": [said("user", "q"), {"role": "assistant", "chosen_value": "c", "rejected_value": 3}]},
        "messages[-1].rejected_value",
    ),
    "rewardbench": ({"subset": ["x"]}, "subset"),
    "rewardbench2": ({"rejected": ["x", 4]}, "rejected[1]"),
    "responses": ({"responses": ["x", 4]}, "responses[1]"),
    "ranked": ({"output": ["x", {"y": 1}]}, "output[1]"),
    "votes": ({"votes": [{"annotator": "w", "value": 1}]}, "votes[0].value"),
    "pandalm": ({"response2": ["x"]}, "response2"),
    "kto": ({"label": "yes"}, "label"),
    "kto_messages": ({"messages": [said("user", "q"), 3]}, "messages[1]"),
}


@pytest.mark.parametrize("layout", FAMILIES)
def test_a_wrong_type_is_named_by_its_key_path(layout):
    change, path = WRONG_TYPES[layout]
    rows = rows_of(layout, 3)
    rows[1] |= change
    records, problems = scan_bytes(jsonl(rows))
    assert len(records) == 2
    assert [(p.line, p.code, p.params["path"]) for p in problems] == [(2, "wrong_type", path)]
    key = path.rpartition(".")[2].partition("[")[0]
    line = jsonl(rows).split(b"\n")[1].decode()
    assert line[problems[0].column - 1 :].startswith(f'"{key}"')


def test_a_wrong_value_in_an_indented_array_has_its_own_line_and_column():
    rows = rows_of("votes", 3)
    rows[1]["votes"][2]["value"] = "draw"
    data = json_array(rows)
    problem = scan_bytes(data)[1][0]
    line = data.decode().split("\n")[problem.line - 1]
    assert line == '        "value": "draw",'
    assert problem.column == 9


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"prompt": " ", "chosen": "c", "rejected": "r"}, "empty_text"),
        ({"prompt": "p", "chosen": "c", "rejected": "c"}, "identical_responses"),
        ({"prompt": "p", "chosen": "c", "rejected": "r", "margin": -1}, "negative_margin"),
        ({"prompt": "p", "chosen": "c", "rejected": "r", "topic": "t" * 121}, "label_too_long"),
        ({"prompt": [{"role": "wizard", "content": "p"}], "chosen": "c", "rejected": "r"}, "unknown_role"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "chosen": "c", "rejected": "r"},
            "not_text",
        ),
        ({"prompt": "p", "chosen": [{"role": "user", "content": "c"}], "rejected": "r"}, "not_one_answer"),
        ({"chosen": "abc", "rejected": "xyz"}, "no_shared_prompt"),
        ({"prompt": "p", "responses": []}, "response_count"),
        ({"prompt": "p", "responses": [{"model": "m"}]}, "missing_key"),
        ({"instruction": "i", "output": ["a", "b"], "history": [["q"]]}, "history_turn"),
        ({"prompt": "p", "response_a": "a", "response_b": "b", "gold": "c"}, "unknown_outcome"),
        (
            {
                "prompt": "p",
                "response_a": "a",
                "response_b": "b",
                "votes": [{"annotator": "w", "value": "a"}] * 2,
            },
            "labeler_twice",
        ),
        (
            {
                "prompt": "p",
                "response_a": "a",
                "response_b": "b",
                "votes": [{"annotator": "w", "value": "a", "seconds": -1}],
            },
            "bad_duration",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(row, code):
    records, problems = scan_bytes(jsonl([row]))
    assert (records, [problem.code for problem in problems]) == ([], [code])
    assert "%(" not in problems[0].message


def test_an_id_that_stands_for_two_things_is_named_with_both_lines():
    rows = rows_of("trl_explicit", 3)
    rows.append(dict(reversed(rows[1].items())))  # the same content again is no problem
    rows.append(rows[0] | {"chosen": "something else"})
    records, problems = scan_bytes(jsonl(rows))
    assert len(records) == 4
    assert [(p.line, p.code, p.params["first_line"]) for p in problems] == [(5, "id_reused", 1)]


def test_an_empty_file_is_a_problem():
    assert [p.code for p in scan_bytes(b"")[1]] == ["empty_file"]
    assert [p.code for p in scan_bytes(b"[]")[1]] == ["empty_file"]


def test_every_problem_code_has_a_sentence():
    import re
    from pathlib import Path

    from labeling.importing import texts

    folder = Path(texts.__file__).parent
    source = "\n".join(path.read_text() for path in folder.glob("*.py") if path.name != "texts.py")
    codes = set(re.findall(r'ProblemError\(\s*"(\w+)"', source))
    codes |= set(re.findall(r'ImportProblem\([^"]*"(\w+)"', source)) | set(
        re.findall(r'code="(\w+)"', source)
    )
    assert codes == set(texts.MESSAGES)
    assert set(texts.HINTS) <= set(texts.MESSAGES)
    assert set(texts.LAYOUT_NAMES) == {*LAYOUTS_BY_NAME, "mapped"}


def test_closest_layout_prefers_what_is_nearly_there():
    assert closest_layout(["prompt", "choosen", "rejected"]).name == "trl_explicit"
    assert closest_layout(["question", "chosen", "rejected"]).name == "trl_explicit"
    assert closest_layout(["conversations", "chosen", "rejectd"]).name == "sharegpt_pairs"
    assert set(LAYOUTS_BY_NAME) == {layout.name for layout in LAYOUTS}


@pytest.mark.parametrize(
    ("name", "layout", "records", "pairs", "votes"),
    [
        ("convincing-arguments/pairs.jsonl.gz", "trl_explicit", 7861, 7861, 7861),
        ("convincing-arguments/votes.jsonl.gz", "votes", 3693, 3693, 18_424),
        ("oasst-zh/oaast_rm_zh.json", "ranked", 775, 1798, 1798),
        ("formats/v1_dpo_demo.jsonl", "message_pairs", 10, 10, 10),
        ("formats/dpo_en_demo.json", "sharegpt_pairs", 300, 300, 300),
        ("formats/dpo_zh_demo.json", "sharegpt_pairs", 300, 300, 300),
        ("formats/kto_en_demo.json", "kto_messages", 300, 0, 0),
        ("pandalm/testset-v1.json", "pandalm", 999, 999, 2997),
    ],
)
def test_public_files_are_read_whole(name, layout, records, pairs, votes):
    data = shared_file(name).read_bytes()
    found, problems = scan_bytes(data)
    assert problems == []
    assert len(found) == records
    assert sum(len(record_pairs(record)) for record in found) == pairs
    assert sum(len(record.votes) for record in found) == votes
