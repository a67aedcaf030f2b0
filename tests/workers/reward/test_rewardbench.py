"""RewardBench's figures, worked out by hand."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest

from workers.reward.cli.console import rewardbench_text
from workers.reward.cli.main import main
from workers.reward.errors import DataError
from workers.reward.rewardbench import (
    Question,
    read_rewardbench,
    rewardbench,
    score_questions,
    ties_score,
    top_share,
)
from workers.reward.scorers.verdicts import verdict_scorer
from workers.reward.types import Scores

from .builders import prompt


def question(subset: str, name: str = "1", answers: int = 2, correct: int = 1) -> Question:
    return Question(name, subset, prompt("q"), tuple("abcdefgh"[:answers]), correct)


def figure(rows: list[tuple[str, list[float]]]):
    questions = [question(subset, str(i), len(scores)) for i, (subset, scores) in enumerate(rows)]
    return rewardbench(questions, [np.array(scores) for _, scores in rows])


RIGHT, WRONG, EQUAL = [1.0, 0.0], [0.0, 1.0], [2.0, 2.0]


def test_sections_weigh_subsets_by_the_leaderboards_counts_and_mathematics_as_all_code_together():
    code = [(f"hep-{name}", RIGHT) for name in ("cpp", "go", "java", "js", "python", "rust")]
    found = figure([("math-prm", WRONG), *code])
    assert found.sections == {"Reasoning": pytest.approx(0.5)}
    found = figure([("math-prm", WRONG), ("math-prm", RIGHT), *code])
    assert found.sections["Reasoning"] == pytest.approx(0.75)
    found = figure([("alpacaeval-easy", RIGHT), ("mt-bench-easy", WRONG), ("alpacaeval-easy", EQUAL)])
    assert found.sections["Chat"] == pytest.approx(0.75 * 100 / 128)
    assert [(part.subset, part.n, part.equal) for part in found.subsets] == [
        ("alpacaeval-easy", 2, 1),
        ("mt-bench-easy", 1, 0),
    ]


def test_the_prior_sets_are_a_fifth_section_of_half_the_weight():
    found = figure(
        [
            ("alpacaeval-easy", RIGHT),
            ("mt-bench-hard", RIGHT),
            ("donotanswer", WRONG),
            ("math-prm", RIGHT),
            ("shp", RIGHT),
            ("shp", WRONG),
            ("summarize", RIGHT),
        ]
    )
    assert found.version == 1
    assert found.sections["Prior Sets"] == pytest.approx(0.75)
    assert found.score == pytest.approx((1 + 1 + 0 + 1 + 0.5 * 0.75) / 4.5)
    assert found.missing == []


def test_what_is_missing_is_left_out_of_the_average_and_named():
    found = figure([("alpacaeval-easy", RIGHT), ("donotanswer", WRONG)])
    assert found.score == 0.5
    assert found.missing == ["Chat Hard", "Reasoning", "Prior Sets"]


def test_a_best_of_four_is_right_alone_at_the_top_and_a_share_where_it_shares_it():
    rows = [
        ("Math", [3.0, 1.0, 2.0, 0.0]),
        ("Math", [3.0, 3.0, 2.0, 0.0]),
        ("Math", [1.0, 3.0, 2.0, 0.0]),
        ("Focus", [3.0, 1.0, 2.0, 0.0]),
    ]
    found = figure(rows)
    assert found.version == 2
    assert [(part.subset, part.score, part.equal) for part in found.subsets] == [
        ("Math", 0.5, 1),
        ("Focus", 1.0, 0),
    ]
    assert found.score == 0.75
    assert top_share(np.array([1.0, 1.0, 1.0, 1.0])) == 0.25


def test_ties_are_a_composite_of_accuracy_and_margins():
    questions = [
        question("Ties", "tied:0", 4, 2),
        question("Ties", "ref:0", 3, 1),
        question("Ties", "tied:1", 4, 2),
        question("Ties", "ref:1", 3, 1),
    ]
    scores = [
        np.array([4.0, 3.0, 1.0, 0.0]),  # gap 2, spread 1
        np.array([5.0, 3.5, 0.0]),  # gap 1.5
        np.array([4.0, 1.0, 2.0, 0.0]),  # gap -1, spread 3
        np.array([9.0, 1.0, 0.0]),  # gap 8
    ]
    wanted = (
        0.3 * 0.5
        + 0.3 * 1.0
        + 0.2 * 0.5
        + 0.2 * 0.5
        + 0.01 * (math.tanh(1.5 / 1 - 1) + math.tanh(-1 / 3 - 1)) / 2
    )
    assert ties_score(questions, scores) == pytest.approx(wanted)
    whole = rewardbench([*questions, question("Math", "m", 4)], [*scores, np.array([1.0, 0, 0, 0])])
    assert whole.score == pytest.approx((wanted + 1) / 2)


def test_ties_without_a_spread_count_a_margin_of_one():
    questions = [question("Ties", "tied:0", 4, 2), question("Ties", "ref:0", 3, 1)]
    perfect = [np.array([2.0, 2.0, 0.0, 0.0]), np.array([2.0, 0.0, 0.0])]
    assert ties_score(questions, perfect) == pytest.approx(1.01)
    same = [np.zeros(4), np.zeros(3)]
    assert ties_score(questions, same) == 0.0
    with pytest.raises(DataError, match="neither ref:<number> nor tied:<number>"):
        ties_score([question("Ties", "17", 4, 2)], [np.zeros(4)])


def test_both_layouts_are_read(tmp_path):
    one = tmp_path / "one.jsonl"
    one.write_text(
        json.dumps({"prompt": "q", "chosen": "a", "rejected": "b", "subset": "shp", "id": 7})
        + "\n"
        + json.dumps(
            {
                "prompt": [{"role": "user", "content": "q"}],
                "chosen": [{"role": "assistant", "content": "a"}],
                "rejected": [{"role": "assistant", "content": "b"}],
                "subset": "shp",
            }
        )
    )
    first, second = read_rewardbench([one])
    assert first == Question("7", "shp", prompt("q"), ("a", "b"), 1)
    assert second == Question("2", "shp", prompt("q"), ("a", "b"), 1)
    two = tmp_path / "two.jsonl.gz"
    row = {
        "prompt": "q",
        "chosen": ["a", "b"],
        "rejected": ["c"],
        "num_correct": 2,
        "subset": "Ties",
        "id": "tied:3",
    }
    with gzip.open(two, "wt") as lines:
        lines.write(json.dumps(row))
    assert read_rewardbench([two]) == [Question("tied:3", "Ties", prompt("q"), ("a", "b", "c"), 2)]
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "two.parquet")
    assert read_rewardbench([tmp_path / "two.parquet"]) == read_rewardbench([two])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "row 1: subset is missing"),
        ({"prompt": "q", "chosen": ["a"], "rejected": ["b"], "subset": "x", "num_correct": 2}, "says 2, but"),
        ({"prompt": "q", "chosen": [], "rejected": ["b"], "subset": "x"}, "chosen holds no answer"),
        ({"prompt": 3, "chosen": "a", "rejected": "b", "subset": "x"}, "prompt is neither a text nor"),
    ],
)
def test_rows_that_fit_neither_layout_are_named(tmp_path, row, said):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(DataError, match=r"bad.jsonl, row 1: ") as error:
        read_rewardbench([path])
    assert said in str(error.value)


def test_unknown_subsets_and_scores_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="subset poems is none of RewardBench's"):
        figure([("poems", RIGHT)])
    with pytest.raises(DataError, match="finite"):
        figure([("shp", [1.0, float("nan")])])


def test_questions_without_a_verdict_are_left_out_and_counted_by_subset():
    outcomes = {"1": ["chosen"], "2": [None], "3": ["rejected"], "4": [None]}
    subsets = {"1": "hep-cpp", "2": "hep-cpp", "3": "hep-cpp", "4": "hep-go"}
    questions = [question(subset, name) for name, subset in subsets.items()]
    scorer = verdict_scorer(lambda pairs: [outcomes[pair.pair_id] for pair in pairs])
    found = rewardbench(questions, score_questions(scorer, questions))
    assert [(p.subset, p.n, p.score, p.no_verdict) for p in found.subsets] == [("hep-cpp", 2, 0.5, 1)]
    assert found.sections == {"Reasoning": 0.5}
    assert found.missing == ["Chat", "Chat Hard", "Safety", "Prior Sets", "hep-go"]
    said = rewardbench_text(found)
    assert "without a verdict, and in no figure: 1 of hep-cpp" in said
    json.dumps(found.as_dict(), allow_nan=False)
    with pytest.raises(DataError, match="no question has a verdict"):
        rewardbench(questions[3:], score_questions(scorer, questions[3:]))


class Lengths:
    kind, template_hash, temperature = "longest", "", 1.0

    def score(self, items, *, callbacks=None):
        value = np.array([len(item.response) for item in items], dtype=np.float32)
        return Scores(value, value[:, None], np.zeros(len(items), np.int64), np.zeros(len(items), bool))


class Alphabet:
    kind, template_hash, temperature = "pair", "", 1.0

    def difference(self, pairs, *, callbacks=None):
        return np.array([float(p.chosen < p.rejected) - 0.5 for p in pairs])


def test_every_answer_of_a_question_gets_its_score_in_order():
    questions = [
        Question("1", "Math", prompt("q"), ("aa", "b", "ccc", "d"), 1),
        Question("2", "Focus", prompt("q"), ("a", "bbbbb"), 1),
    ]
    assert [row.tolist() for row in score_questions(Lengths(), questions)] == [[2, 1, 3, 1], [1, 5]]


def test_a_pair_scorer_answers_questions_of_two_answers_only():
    two = Question("1", "shp", prompt("q"), ("a", "b"), 1)
    assert score_questions(Alphabet(), [two])[0].tolist() == [0.5, 0.0]
    with pytest.raises(DataError, match="compares two answers"):
        score_questions(Alphabet(), [two, question("Math", "2", 4)])


class Both(Lengths, Alphabet):
    kind = "pair"


def test_a_scorer_that_can_do_both_compares_two_answers_and_scores_more_among_themselves():
    four = Question("2", "Math", prompt("q"), ("aa", "b", "ccc", "d"), 1)
    two = Question("1", "shp", prompt("q"), ("a", "b"), 1)
    found = score_questions(Both(), [four, two])
    assert [row.tolist() for row in found] == [[2, 1, 3, 1], [0.5, 0.0]]


def rows(**subsets: int) -> list[dict[str, object]]:
    """Pairs in the layout of version 1, of which ``longest`` has every second one right."""
    return [
        {
            "prompt": f"{subset} {i}?",
            "chosen": "word " * (3 - i % 2),
            "rejected": "word " * (2 + i % 2),
            "subset": subset.replace("_", "-"),
        }
        for subset, count in subsets.items()
        for i in range(count)
    ]


def write(path, values):
    path.write_text("".join(json.dumps(row) + "\n" for row in values))
    return path


def test_unknown_subsets_are_refused_before_anything_is_scored(tmp_path, capsys, monkeypatch):
    asked = []

    def scored(self, items, *, callbacks=None):
        asked.append(len(items))
        raise AssertionError("scored before the names were checked")

    monkeypatch.setattr("workers.reward.scorers.baselines.Baseline.score", scored)
    data = write(tmp_path / "bench.jsonl", [*rows(donotanswer=2), *rows(poems=2)])
    assert main(["rewardbench", "longest", str(data), "--quiet"]) == 2
    assert "subset poems is none of RewardBench's" in capsys.readouterr().err
    assert not asked


def test_an_evaluation_adds_the_sections_where_every_pair_is_of_a_known_subset(tmp_path, capsys):
    data = write(tmp_path / "pairs.jsonl", rows(donotanswer=1, math_prm=2, hep_cpp=1, shp=4))
    assert main(["evaluate", "longest", str(data), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)["rewardbench"]
    assert main(["rewardbench", "longest", str(data), "--json", "--quiet"]) == 0
    alone = json.loads(capsys.readouterr().out)
    by_name = [sorted(one.pop("subsets"), key=lambda part: part["subset"]) for one in (found, alone)]
    assert by_name[0] == by_name[1]
    assert {name: alone[name] for name in found} == found
    assert found["sections"] == {
        "Safety": 1.0,
        "Reasoning": pytest.approx((984 * 0.5 + 164 * 1.0) / (984 + 164)),
        "Prior Sets": 0.5,
    }
    assert main(["evaluate", "longest", str(data), "--quiet"]) == 0
    assert "not in the average, for want of data: Chat, Chat Hard" in capsys.readouterr().out
    for other in ({"subset": "poems"}, {"subset": None}):
        write(data, [*rows(donotanswer=2), *[row | other for row in rows(shp=1)]])
        assert main(["evaluate", "longest", str(data), "--json", "--quiet"]) == 0
        assert json.loads(capsys.readouterr().out)["rewardbench"] is None
