"""The demo's story fits its sample: who says what exists, what is quoted can be read, and known outcomes are plain."""

import re
from collections import Counter

import pytest

from labeling.demo.data import LANGUAGES, TOPICS, load_sample, load_truth
from labeling.demo.scheme import REASONS
from labeling.demo.simulate import LABELERS
from labeling.demo.story import (
    COMMENTS,
    GOLD,
    MEMBERS,
    OVERLOOKED,
    QUALIFICATION,
    REWRITES,
    SAID,
    SETTLED,
    TASTE,
    known_rows,
    text_of,
)
from webapp.ui.rendering import render_markdown

PROMPTS = {prompt.id: prompt for prompt in load_sample()}
TRUTH = load_truth()
PEOPLE = {person.name: person for person in LABELERS} | MEMBERS


def quality(prompt_id, model):
    models = [response.model for response in PROMPTS[prompt_id].responses]
    return TRUTH[prompt_id][models.index(model)].quality


@pytest.mark.parametrize("said", SAID, ids=lambda said: f"{said.who}:{said.prompt}")
def test_what_is_said_can_be_said(said):
    assert PROMPTS[said.prompt].language in PEOPLE[said.who].languages
    assert text_of(said.prompt, said.better) != text_of(said.prompt, said.worse)
    assert set(said.reasons) <= set(REASONS)
    if said.quote:
        shown = re.sub(r"<[^>]+>", "", render_markdown(text_of(said.prompt, said.worse)))
        assert said.quote in shown


@pytest.mark.parametrize("place", [TASTE, SETTLED, OVERLOOKED], ids=lambda place: place[0])
def test_two_people_contradict_each_other_where_there_is_something_to_review(place):
    prompt, *models = place
    said = [row for row in SAID if row.prompt == prompt and {row.better, row.worse} == set(models)]
    assert {row.better for row in said} == set(models)
    assert len({row.who for row in said}) == 2


def test_the_reviewer_settles_for_the_better_response():
    prompt, better, worse = SETTLED
    assert quality(prompt, better) > quality(prompt, worse)


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.prompt)
def test_a_rewrite_follows_an_answer_of_its_author(rewrite):
    own = [said for said in SAID if (said.who, said.prompt) == (rewrite.who, rewrite.prompt)]
    assert len(own) == 1
    assert rewrite.model in (own[0].better, own[0].worse)
    assert rewrite.text not in {response.text for response in PROMPTS[rewrite.prompt].responses}


def test_comments_name_members():
    assert all(re.match(r"@(manager|reviewer) ", words) for _who, words in COMMENTS)


@pytest.mark.parametrize("number", [GOLD, QUALIFICATION])
def test_known_outcomes_are_of_clear_pairs_in_every_topic_and_language(number):
    rows = known_rows(number)
    assert Counter((row["topic"], row["language"]) for row in rows) == {
        (topic, language): 1 for topic in TOPICS for language in LANGUAGES
    }
    planted = {
        response.text: truth.quality
        for prompt in PROMPTS.values()
        for response, truth in zip(prompt.responses, TRUTH[prompt.id], strict=True)
    }
    for row in rows:
        gap = planted[row["response_a"]] - planted[row["response_b"]]
        assert abs(gap) >= 4
        assert row["gold"] == ("a" if gap > 0 else "b")


def test_nothing_written_out_is_a_known_outcome():
    known = [
        {row["response_a"], row["response_b"]} for row in [*known_rows(GOLD), *known_rows(QUALIFICATION)]
    ]
    for said in SAID:
        assert {text_of(said.prompt, said.better), text_of(said.prompt, said.worse)} not in known
