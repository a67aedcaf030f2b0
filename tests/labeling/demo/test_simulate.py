"""Simulated labelers: realised error rates are the stated ones, and everything is repeatable."""

import subprocess
import sys
from collections import Counter

import pytest

from labeling.demo import data, simulate
from labeling.demo.scheme import REASONS, scheme_json
from labeling.demo.simulate import LABELERS, SimulatedLabeler
from labeling.scheme import read_scheme
from labeling.submission import read_submission

N = 4000


def outcomes(labeler, quality_a, quality_b, *, length_a=400, length_b=400, n=N, **flaws):
    """n outcomes with the sides alternating."""
    return [
        simulate.label(labeler, quality_a, quality_b, length_a, length_b, "ab"[i % 2], f"c{i}", **flaws)
        for i in range(n)
    ]


@pytest.mark.parametrize("labeler", LABELERS, ids=lambda labeler: labeler.name)
def test_realised_error_rate_is_the_stated_one(labeler):
    wrong = sum(outcome.outcome == "b" for outcome in outcomes(labeler, 9.0, 3.0)) / N
    assert wrong == pytest.approx(labeler.error_rate, abs=0.025)
    wrong = sum(outcome.outcome == "a" for outcome in outcomes(labeler, 3.0, 9.0)) / N
    assert wrong == pytest.approx(labeler.error_rate, abs=0.025)


@pytest.mark.parametrize("labeler", LABELERS, ids=lambda labeler: labeler.name)
def test_error_rate_holds_on_the_clear_pairs_of_the_sample(labeler):
    wrong = total = 0
    for pair in data.pairs():
        gap = pair.truth_first.quality - pair.truth_second.quality
        if abs(gap) < 4:
            continue
        for repeat in range(12):
            said = simulate.label(
                labeler,
                pair.truth_first.quality,
                pair.truth_second.quality,
                *pair.lengths,
                "ab"[repeat % 2],
                f"{pair.prompt.id}:{pair.first}:{pair.second}:{repeat}",
            )
            total += 1
            wrong += said.outcome == ("b" if gap > 0 else "a")
    assert total > 2000
    assert wrong / total == pytest.approx(labeler.error_rate, abs=0.03)


def test_without_lapses_and_ties_it_is_bradley_terry():
    steady = SimulatedLabeler("steady", ("en",), error_rate=0.0, tie_width=0.0)
    share = sum(outcome.outcome == "a" for outcome in outcomes(steady, 6.6, 6.0)) / N
    assert share == pytest.approx(1 / (1 + 2.718281828**-1), abs=0.025)


def test_the_careless_one_prefers_the_left_side():
    dot = LABELERS[-1]
    alternating = outcomes(dot, 6.0, 6.0)
    decided = [(o.outcome, "ab"[i % 2]) for i, o in enumerate(alternating) if o.outcome in ("a", "b")]
    left = sum(said == shown for said, shown in decided) / len(decided)
    assert left > 0.65
    ada = [(o.outcome, "ab"[i % 2]) for i, o in enumerate(outcomes(LABELERS[0], 6.0, 6.0)) if o.strength]
    assert sum(said == shown for said, shown in ada) / len(ada) == pytest.approx(0.5, abs=0.04)


def test_the_length_bias_shows_where_quality_is_equal():
    bruno = LABELERS[1]
    said = Counter(o.outcome for o in outcomes(bruno, 6.0, 6.0, length_a=1600, length_b=200))
    assert said["a"] > 2 * said["b"]


def test_wide_ties_and_both_bad():
    chen = LABELERS[3]
    assert Counter(o.outcome for o in outcomes(chen, 6.0, 6.0))["tie"] > 0.4 * N
    assert Counter(o.outcome for o in outcomes(LABELERS[0], 2.0, 2.0))["both_bad"] > 0.7 * N
    assert not Counter(o.outcome for o in outcomes(LABELERS[0], 9.0, 2.0))["both_bad"]


def test_strength_grows_with_the_difference():
    ada = LABELERS[0]
    near = [o.strength for o in outcomes(ada, 6.5, 6.0) if o.strength]
    far = [o.strength for o in outcomes(ada, 9.5, 2.0) if o.strength]
    assert set(near) | set(far) <= {1, 2, 3, 4}
    assert sum(far) / len(far) > sum(near) / len(near) + 1.5
    assert all((o.strength is None) == (o.outcome in ("tie", "both_bad")) for o in outcomes(ada, 6.0, 6.0))


def test_the_same_comparison_gets_the_same_outcome_in_another_process():
    code = (
        "from labeling.demo.simulate import LABELERS, label;"
        "print([repr(label(w, 7.0, 5.5, 300, 500, 'a', 'c7', flaw_b='padded')) for w in LABELERS])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            cwd=data.FOLDER.parents[1],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    here = [repr(simulate.label(w, 7.0, 5.5, 300, 500, "a", "c7", flaw_b="padded")) for w in LABELERS]
    assert runs == {f"{here}\n"}


def test_different_labelers_and_comparisons_differ():
    ada, bruno = LABELERS[:2]
    first = [simulate.label(ada, 6.5, 6.0, 300, 300, "a", i).outcome for i in range(60)]
    second = [simulate.label(bruno, 6.5, 6.0, 300, 300, "a", i).outcome for i in range(60)]
    assert len(set(first)) > 1
    assert first != second


def test_reasons_and_rationales_fit_the_flaw_and_the_language():
    lin = LABELERS[2]
    said = outcomes(lin, 9.0, 3.0, flaw_b="wrong_arithmetic", language="zh")
    assert {key for outcome in said for key in outcome.reasons} == {"correct"}
    written = [outcome.rationale for outcome in said if outcome.rationale]
    assert 0.2 * N < len(written) < 0.35 * N
    assert all("算" in text for text in written)
    right = [outcome for outcome in said if outcome.reasons and outcome.outcome == "a"]
    assert all(outcome.aspects == {"helpful": "same", "correct": "a", "safe": "same"} for outcome in right)


@pytest.mark.parametrize("language", ["en", "zh", "both"])
def test_the_label_screen_accepts_every_answer(language):
    scheme = read_scheme(scheme_json(language))
    for labeler in LABELERS:
        for i, outcome in enumerate(outcomes(labeler, 7.0, 5.0, n=80, flaw_a="vague", flaw_b="rude")):
            shown_left = "ab"[i % 2]
            read = read_submission(simulate.answer(outcome, shown_left, language), scheme)
            assert read.strength == outcome.strength
            assert str(read.outcome(swapped=shown_left == "b")) == outcome.outcome
            assert len(read.reasons) == len(outcome.reasons)


def test_careless_is_fast_and_reading_takes_time():
    def median(labeler, characters):
        times = sorted(
            o.duration_ms for o in outcomes(labeler, 7, 5, length_a=characters, length_b=100, n=400)
        )
        return times[200]

    assert median(LABELERS[-1], 700) < 0.5 * median(LABELERS[0], 700)
    assert median(LABELERS[0], 2000) > 1.5 * median(LABELERS[0], 500)


def test_six_labelers_named_as_simulated_cover_both_languages():
    assert len({labeler.name for labeler in LABELERS}) == 6
    assert all("simulated" in labeler.name or "模拟" in labeler.name for labeler in LABELERS)
    assert all(0.05 <= labeler.error_rate <= 0.30 for labeler in LABELERS)
    for language in data.LANGUAGES:
        assert sum(labeler.can_read(language) for labeler in LABELERS) >= 3


@pytest.mark.parametrize(
    "wrong", [{"error_rate": 0.6}, {"side_bias": 1.1}, {"tie_width": -1}, {"speed_s": 0}]
)
def test_impossible_labelers_are_refused(wrong):
    with pytest.raises(ValueError):
        SimulatedLabeler("x", ("en",), **({"error_rate": 0.1} | wrong))


def test_reasons_fit_the_chips():
    chips = scheme_json("both")["reasons"]
    assert len(chips) == len(REASONS)
    assert all(len(chip) <= 40 for chip in chips)
    read = read_scheme(scheme_json("both"))
    assert list(read.reasons) == chips
    assert read_scheme(read.to_json()) == read


def test_unknown_scheme_language_is_refused():
    with pytest.raises(ValueError, match="'de'"):
        scheme_json("de")
