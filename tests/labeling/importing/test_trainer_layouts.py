"""The layouts of trainers and benchmarks: each row becomes exactly the record that it means."""

import pytest

from labeling.importing.records import ImportedMessage, ImportedResponse, ImportedVote, Record, record_pairs
from tests.labeling.importing.helpers import jsonl, kto_messages_row, kto_row, pandalm_row, said, scan_bytes

SYSTEM, ASKED = ImportedMessage("system", "Be kind."), ImportedMessage("user", "Hi")
PAIR = (ImportedResponse("yes"), ImportedResponse("no"))
CHOSEN = (ImportedVote(0, 1, "a"),)
TURNS = [said("system", "Be kind."), said("user", "Hi")]


def read_one(row):
    records, problems = scan_bytes(jsonl([row]))
    assert problems == []
    return records[0]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [*TURNS, said("assistant", "yes")], "rejected_response": "no"},
        {"messages": [*TURNS, said("assistant", "yes")], "rejected_response": [said("assistant", "no")]},
        {
            "messages": [*TURNS, said("assistant", "yes")],
            "rejected_messages": [*TURNS, said("assistant", "no")],
            "rejected_response": None,
        },
        {"messages": [TURNS[1], said("assistant", "yes")], "rejected_response": "no", "system": "Be kind."},
        {"instruction": "Hi", "input": "", "chosen": "yes", "rejected": "no", "system": "Be kind."},
        {
            "conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "yes"},
            "rejected": {"from": "gpt", "value": "no"},
        },
        {"conversations": [said("user", "Hi")], "chosen": "yes", "rejected": "no", "system": "Be kind."},
        {
            "messages": [
                {"role": "system", "value": "Be kind."},
                {"role": "user", "value": "Hi"},
                {"role": "assistant", "chosen_value": "yes", "rejected_value": "no"},
            ]
        },
        {"prompt": TURNS, "chosen": [said("assistant", "yes")], "rejected": [said("assistant", "no")]},
    ],
    ids=[
        "ms-swift",
        "ms-swift, a message",
        "ms-swift, messages",
        "ms-swift, system apart",
        "alpaca",
        "sharegpt",
        "sharegpt, system apart",
        "Reward-Model-Finetuning",
        "XTuner",
    ],
)
def test_a_pair_of_any_trainer_reads_equal(row):
    assert read_one(row) == Record(1, (SYSTEM, ASKED), PAIR, CHOSEN)


def test_alpaca_pairs_have_history_and_input():
    row = {
        "instruction": "Go on",
        "input": "here",
        "history": [["q", "a"]],
        "chosen": "yes",
        "rejected": "no",
    }
    messages = tuple(
        ImportedMessage(*turn) for turn in (("user", "q"), ("assistant", "a"), ("user", "Go on\nhere"))
    )
    assert read_one(row) == Record(1, messages, PAIR, CHOSEN)


def test_an_input_without_an_instruction_is_the_prompt():
    assert read_one({"instruction": "", "input": "Hi", "chosen": "yes", "rejected": "no"}).messages == (
        ASKED,
    )


def test_cvalues_pairs_keep_their_types_as_metadata():
    row = {"prompt": "Hi", "pos_resp": "yes", "neg_resp": "no", "pos_type": "refusal"}
    assert read_one(row) == Record(1, (ASKED,), PAIR, CHOSEN, metadata={"pos_type": "refusal"})


@pytest.mark.parametrize(
    ("scores", "margin"),
    [
        ({"score_chosen": 8.5, "score_rejected": 6}, 2.5),
        ({"score_chosen": 4, "score_rejected": 4}, 0),
        ({"score_chosen": 4, "score_rejected": 7}, None),
        ({"score_chosen": 4}, None),
        ({"score_chosen": 1, "score_rejected": 0}, None),  # shares of the votes
        ({"score_chosen": 2 / 3, "score_rejected": 1 / 3}, None),
        ({"score_chosen": 2, "score_rejected": 1}, 1),
        ({"score_chosen": 8, "score_rejected": 6, "margin": 1}, 1),
    ],
)
def test_two_scores_are_a_margin_where_the_chosen_one_is_not_lower(scores, margin):
    turn = [said("user", "Hi")]
    row = {
        "prompt": "Hi",
        "chosen": [*turn, said("assistant", "yes")],
        "rejected": [*turn, said("assistant", "no")],
        **scores,
    }
    record = read_one(row)
    assert (record.responses, record.votes) == (PAIR, (ImportedVote(0, 1, "a", margin=margin),))
    assert record.metadata == scores


def test_the_subset_of_rewardbench_is_the_topic_and_stays():
    row = {
        "prompt": "Hi",
        "chosen": "yes",
        "chosen_model": "m1",
        "rejected": "no",
        "rejected_model": "m2",
        "subset": "donotanswer",
        "id": 31,
    }
    assert read_one(row) == Record(
        1,
        (ASKED,),
        (ImportedResponse("yes", "m1"), ImportedResponse("no", "m2")),
        CHOSEN,
        external_id="31",
        topic="donotanswer",
        metadata={"subset": "donotanswer"},
    )


def test_every_chosen_response_of_rewardbench_2_beats_every_rejected_one():
    row = {
        "id": "9",
        "prompt": "Hi",
        "chosen": ["red", "blue", "red"],
        "rejected": ["dog", "red"],
        "num_correct": 3,
        "subset": "Ties",
        "models": ["m1", "m2"],
    }
    record = read_one(row)
    texts = [response.text for response in record.responses]
    beaten = {(texts[vote.first], texts[vote.second]) for vote in record.votes}
    assert beaten == {("red", "dog"), ("blue", "dog"), ("blue", "red")}
    assert {vote.outcome for vote in record.votes} == {"a"}
    assert len(record_pairs(record)) == 3
    assert (record.topic, record.metadata) == (
        "Ties",
        {"num_correct": 3, "subset": "Ties", "models": ["m1", "m2"]},
    )


def test_annotators_of_pandalm_vote_on_two_models():
    record = read_one(pandalm_row(1) | {"annotator2": None, "annotator4": 2.0, "annotator10": "0"})
    assert record.messages == (ImportedMessage("user", "Shorten 1\nA long sentence."),)
    assert [response.model for response in record.responses] == ["bloom-7b", "llama-7b"]
    assert [(vote.labeler, vote.outcome) for vote in record.votes] == [
        ("annotator1", "a"),
        ("annotator3", "tie"),
        ("annotator4", "b"),
        ("annotator10", "tie"),
    ]
    assert record.metadata == {"idx": 1, "debate": "d1"}


def test_an_answer_of_pandalm_that_lost_its_quotes_is_still_a_text():
    record = read_one(pandalm_row(1) | {"response1": True, "response2": 5})
    assert [response.text for response in record.responses] == ["true", "5"]


def test_a_cmp_key_that_names_no_two_models_stays_in_the_metadata():
    record = read_one(pandalm_row(1) | {"cmp_key": "human"})
    assert [response.model for response in record.responses] == ["", ""]
    assert record.metadata["cmp_key"] == "human"


def kto(prompt, completion, label):
    return {"prompt": prompt, "completion": completion, "label": label}


def test_a_row_of_kto_alone_is_a_response_without_a_comparison():
    for row in (kto_row(2), kto_messages_row(2)):
        record = read_one(row)
        assert record.responses == (ImportedResponse("It is 2.", desirable=True),)
        assert (record.votes, record_pairs(record)) == ((), [])


@pytest.mark.parametrize("key", ["label", "kto_tag"])
def test_a_conversation_of_kto_is_marked_under_either_key(key):
    row = {"messages": [*TURNS, said("assistant", "yes")], key: False}
    assert read_one(row) == Record(1, (SYSTEM, ASKED), (ImportedResponse("yes", desirable=False),))


def test_neighbours_of_one_prompt_are_one_record_in_which_good_beats_bad():
    rows = [
        kto("p", "bad", False),
        kto("p", "good", True),
        kto("p", "fine", 1),
        kto("p", "good", True),
        kto("q", "alone", True),
        kto("p", "late", False),
    ]
    records, problems = scan_bytes(jsonl(rows))
    assert problems == []
    assert [record.line for record in records] == [1, 5, 6]
    first = records[0]
    texts = [response.text for response in first.responses]
    assert texts == ["bad", "good", "fine"]
    assert first.votes == (ImportedVote(0, 1, "b"), ImportedVote(0, 2, "b"))
    assert record_pairs(first) == [(0, 1), (0, 2)]
    assert [record_pairs(record) for record in records[1:]] == [[], []]


def test_two_good_responses_are_not_compared_and_nor_is_a_text_with_itself():
    rows = [kto("p", "x", True), kto("p", "y", True), kto("q", "x", True), kto("q", "x", False)]
    records, _problems = scan_bytes(jsonl(rows))
    assert [(len(record.responses), record_pairs(record)) for record in records] == [(2, []), (2, [])]


def test_a_record_of_kto_holds_at_most_eight_of_a_mark():
    rows = [kto("p", f"good {n}", True) for n in range(9)] + [kto("p", "bad", False)]
    records, _problems = scan_bytes(jsonl(rows))
    assert [len(record.responses) for record in records] == [8, 2]
    assert [len(record.votes) for record in records] == [0, 1]


def test_a_bad_row_of_kto_parts_its_neighbours():
    rows = [kto("p", "good", True), kto("p", "odd", "maybe"), kto("p", "bad", False)]
    records, problems = scan_bytes(jsonl(rows))
    assert [(problem.line, problem.code) for problem in problems] == [(2, "wrong_type")]
    assert [len(record.responses) for record in records] == [1, 1]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"messages": [*TURNS], "rejected_response": "no"}, "not_one_answer"),
        ({"messages": [said("assistant", "yes")], "rejected_response": "no"}, "empty_text"),
        ({"messages": [*TURNS, said("assistant", "no")], "rejected_response": "no"}, "identical_responses"),
        ({"conversations": [], "chosen": "yes", "rejected": "no"}, "empty_text"),
        ({"prompt": "p", "pos_resp": "no", "neg_resp": "no"}, "identical_responses"),
        ({"instruction": " ", "input": "", "chosen": "c", "rejected": "r"}, "empty_text"),
        ({"messages": [{"role": "user", "chosen_value": "c", "rejected_value": "r"}]}, "not_one_answer"),
        ({"messages": [{"role": "user", "value": "c"}]}, "wrong_keys"),
        (
            {"prompt": "p", "chosen": ["x"], "rejected": ["x"], "num_correct": 1, "subset": "s"},
            "identical_responses",
        ),
        (
            {"prompt": "p", "chosen": [], "rejected": ["x"], "num_correct": 1, "subset": "s"},
            "response_count",
        ),
        (
            {
                "prompt": "p",
                "chosen": [f"c{n}" for n in range(60)],
                "rejected": [f"r{n}" for n in range(60)],
                "num_correct": 60,
                "subset": "s",
            },
            "response_count",
        ),
        (pandalm_row(1) | {"annotator2": 3}, "unknown_outcome"),
        (pandalm_row(1) | {"annotator2": True}, "unknown_outcome"),
        (pandalm_row(1) | {"response1": "s", "response2": "s", "cmp_key": None}, "identical_responses"),
        (pandalm_row(1) | {"cmp_key": "m_" + "x" * 161}, "label_too_long"),
        ({"messages": [*TURNS, said("assistant", "yes")], "label": None}, "wrong_type"),
        (
            {"prompt": "p", "chosen": "c", "rejected": "r", "score_chosen": "8", "score_rejected": 1},
            "wrong_type",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(row, code):
    records, problems = scan_bytes(jsonl([row]))
    assert (records, [problem.code for problem in problems]) == ([], [code])
    assert "%(" not in problems[0].message
