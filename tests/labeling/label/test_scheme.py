"""Label schemes: what is accepted, what each bar means, and when a labeler must say why, there and in the browser."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from labeling.models import Assignment, Preference
from labeling.scheme import STRENGTHS, default_scheme, read_scheme
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit
from labeling.submission import must_say_why, read_submission
from labeling.views.label_bars import aspect_bars, bar
from tests.labeling.label.factories import make_labeler, make_project

OLD = {
    "allow_tie": False,
    "aspects": [{"key": "safe", "name": "Safe"}],
    "reasons": ["clearer"],
    "rationale": "required",
}
BARS = {
    "steps": 4,
    "aspects": [{"key": "safe", "name": "Safe", "steps": 6}, {"key": "true", "name": "True"}],
}


def test_a_scheme_stored_before_there_were_bars_reads_as_it_was():
    scheme = read_scheme(OLD)
    assert (scheme.steps, scheme.aspects[0].steps, scheme.reasons_rule, scheme.ask_when) == (
        8,
        2,
        "optional",
        (),
    )
    assert read_scheme(scheme.to_json()) == scheme
    assert read_scheme(default_scheme()) == read_scheme({})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "JSON object"),
        ({"steps": 5}, "2, 4, 6 or 8"),
        ({"steps": "8"}, "2, 4, 6 or 8"),
        ({"steps": True}, "2, 4, 6 or 8"),
        ({"steps": [8]}, "2, 4, 6 or 8"),
        ({"aspects": [{"key": "safe", "name": "Safe", "steps": 3}]}, "2, 4, 6 or 8"),
        ({"aspects": "safe"}, "needs a key"),
        ({"rationale": "sometimes"}, "off, optional, when, required"),
        ({"rationale": ["when"]}, "off, optional, when, required"),
        ({"reasons_rule": "off"}, "optional, when, required"),
        ({"reasons_rule": "required"}, "write the chips"),
        ({"rationale": "when"}, "Choose for which answers"),
        ({"ask_when": ["weak"]}, "strong, tie, both_bad, contradiction"),
        ({"ask_when": [["tie"]]}, "strong, tie, both_bad, contradiction"),
        ({"ask_when": "tie"}, "strong, tie, both_bad, contradiction"),
        ({"screen": "wall"}, "pairs, ranking, both"),
        ({"spans": "yes"}, "spans must be true or false"),
    ],
)
def test_a_bad_scheme_is_refused_in_words(data, words):
    with pytest.raises(ValidationError) as caught:
        read_scheme(data)
    assert words in " ".join(caught.value.messages)


@pytest.mark.parametrize(("steps", "left"), [(8, [4, 3, 2, 1]), (6, [4, 3, 2]), (4, [4, 2]), (2, [None])])
def test_every_step_of_every_bar(steps, left):
    """A strength means the same on every bar; the ends are "much", and the halves mirror one another."""
    scheme = read_scheme({"steps": steps})
    read = [read_submission({"choice": str(step)}, scheme) for step in range(1, steps + 1)]
    assert [answer.strength for answer in read] == [*left, *reversed(left)]
    assert [answer.side for answer in read] == ["left"] * (steps // 2) + ["right"] * (steps // 2)
    assert [step.tone for step in bar(steps)] == [
        f"{answer.side[0].replace('l', 'a').replace('r', 'b')}{answer.strength or 3}" for answer in read
    ]
    for wrong in (str(steps + 1), "0", "99", "²"):
        with pytest.raises(ValidationError, match=f"1 to {steps}"):
            read_submission({"choice": wrong}, scheme)


def test_aspects_of_two_sides_and_of_a_bar_are_drawn_alike():
    safe, true = aspect_bars(read_scheme(BARS))
    assert [step.value for step in safe.steps] == ["1", "2", "3", "same", "4", "5", "6"]
    assert [step.value for step in true.steps] == ["left", "same", "right"]
    assert [step.mark for step in safe.steps] == ["A", "·", "·", "=", "·", "·", "B"]


@pytest.mark.django_db
@pytest.mark.parametrize("swapped", [False, True])
def test_sides_of_aspects_are_kept_as_ever_and_their_strengths_beside_them(swapped):
    project = make_project(1, scheme=BARS)
    labeler = make_labeler(project)
    lease = lease_next(labeler)[0]
    Assignment.objects.filter(pk=lease.pk).update(swapped=swapped)
    said = {"choice": "1", "aspects": {"safe": "5", "true": "left"}}
    preference_submit(assignment=lease, data=said, idempotency_key="k")
    row = Preference.objects.get()
    left, right = ("b", "a") if swapped else ("a", "b")
    assert (row.outcome, row.strength) == (left, 4)
    assert row.aspects == {"safe": right, "true": left}
    assert row.aspect_strengths == {"safe": 3}
    lease.refresh_from_db()
    assert lease.draft["aspects"] == said["aspects"]


@pytest.mark.parametrize("value", ["7", "0", "", "left ", 3, None, ["1"]])
def test_an_aspect_beyond_its_bar_is_refused(value):
    with pytest.raises(ValidationError, match="1 to 6"):
        read_submission({"choice": "1", "aspects": {"safe": value}}, read_scheme(BARS))


ASKING = {
    "aspects": [{"key": "safe", "name": "Safe", "steps": 4}, {"key": "true", "name": "True"}],
    "reasons": ["clearer"],
}
# What the scheme asks when, the answer -> what it must say beside it.
WHY = [
    ({"rationale": "optional"}, {"choice": "1"}, set()),
    ({"rationale": "required"}, {"choice": "5"}, {"rationale"}),
    ({"rationale": "required", "reasons_rule": "required"}, {"choice": "tie"}, {"rationale", "reasons"}),
    ({"rationale": "required"}, {"choice": "skip", "skip_reason": "broken"}, set()),
    *(
        ({"rationale": "when", "ask_when": ["strong"], "steps": steps}, {"choice": choice}, said)
        for steps in STRENGTHS
        for choice, said in {
            "1": {"rationale"} if steps > 2 else set(),
            "2": set(),
            str(steps): {"rationale"} if steps > 2 else set(),
            "tie": set(),
        }.items()
    ),
    ({"reasons_rule": "when", "ask_when": ["tie"]}, {"choice": "tie"}, {"reasons"}),
    ({"reasons_rule": "when", "ask_when": ["tie"]}, {"choice": "both_bad"}, set()),
    ({"reasons_rule": "when", "ask_when": ["tie", "both_bad"]}, {"choice": "both_bad"}, {"reasons"}),
    *(
        (
            {"rationale": "when", "ask_when": ["contradiction"]},
            {"choice": choice, "aspects": aspects},
            {"rationale"} if asked else set(),
        )
        for choice, aspects, asked in [
            ("2", {}, False),
            ("2", {"safe": "same", "true": "same"}, False),
            ("2", {"safe": "3"}, True),
            ("2", {"safe": "2"}, False),
            ("2", {"safe": "4", "true": "right"}, True),
            ("2", {"safe": "4", "true": "left"}, False),
            ("7", {"safe": "1", "true": "same"}, True),
            ("7", {"safe": "right"}, False),
            ("tie", {"safe": "1", "true": "left"}, False),
        ]
    ),
]


def scheme_of(rules: dict):
    return read_scheme(ASKING | rules)


@pytest.mark.parametrize(("rules", "answer", "asked"), WHY)
def test_when_a_labeler_must_say_why(rules, answer, asked):
    scheme = scheme_of(rules)
    full = answer | {"rationale": "because", "reasons": ["clearer"]}
    assert must_say_why(read_submission(full, scheme)) == asked
    if not asked:
        assert read_submission(answer, scheme).rationale == ""
        return
    with pytest.raises(ValidationError) as caught:
        read_submission(answer | {"rationale": " \n"}, scheme)
    assert set(caught.value.message_dict) == asked
