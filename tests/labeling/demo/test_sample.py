"""The demo's sample: enough of everything, nothing twice, truth beside it, and length does not decide."""

import re
from collections import Counter

import pytest

from labeling.demo import data
from labeling.demo.rationales import RATIONALES
from labeling.demo.scheme import FLAWS
from labeling.importing.problems import ImportProblem
from labeling.importing.scan import scan

SAMPLE = data.load_sample()
TRUTH = data.load_truth()
RESPONSES = [response for prompt in SAMPLE for response in prompt.responses]


def han(text):
    return len(re.findall(r"[\u4e00-\u9fff]", text))


def test_it_has_enough_prompts_and_two_to_four_responses_each():
    counts = [len(prompt.responses) for prompt in SAMPLE]
    assert len(SAMPLE) == 90
    assert sum(counts) == 288
    assert set(counts) <= {2, 3, 4}


def test_both_languages_have_at_least_forty_per_cent():
    languages = Counter(prompt.language for prompt in SAMPLE)
    assert set(languages) == set(data.LANGUAGES)
    assert min(languages.values()) >= 0.4 * len(SAMPLE)


@pytest.mark.parametrize("prompt", SAMPLE, ids=lambda prompt: prompt.id)
def test_texts_are_in_the_language_they_claim(prompt):
    question = prompt.messages[-1][1]
    answers = "".join(response.text for response in prompt.responses)
    tex = r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\\\(.*?\\\)|\s"
    prose = re.sub(tex, "", question + answers, flags=re.S)
    if prompt.language == "zh":
        assert han(prose) > 0.4 * len(prose)
    else:
        assert han(question + answers) == 0


def test_every_topic_stands_in_both_languages_equally():
    cells = Counter((prompt.topic, prompt.language) for prompt in SAMPLE)
    assert cells == {(topic, language): 9 for topic in data.TOPICS for language in data.LANGUAGES}


def test_thirty_groups_of_three_each_within_one_topic():
    groups = Counter(prompt.group for prompt in SAMPLE)
    assert len(groups) == 30
    assert set(groups.values()) == {3}
    assert len({(prompt.group, prompt.topic) for prompt in SAMPLE}) == 30


def test_nothing_stands_twice():
    assert len({prompt.id for prompt in SAMPLE}) == len(SAMPLE)
    assert len({prompt.messages for prompt in SAMPLE}) == len(SAMPLE)
    assert len({" ".join(response.text.split()) for response in RESPONSES}) == len(RESPONSES)


def test_each_model_answers_often_and_once_for_a_prompt():
    models = Counter(response.model for response in RESPONSES)
    assert set(models) == set(data.MODELS)
    assert min(models.values()) >= 50
    for prompt in SAMPLE:
        assert len({response.model for response in prompt.responses}) == len(prompt.responses)


def test_multi_turn_prompts_have_a_history_and_some_a_system_message():
    multi = [prompt for prompt in SAMPLE if prompt.topic == "multi-turn"]
    for prompt in multi:
        roles = [role for role, _ in prompt.messages if role != "system"]
        assert roles == ["user", "assistant", "user"]
    assert sum(prompt.messages[0][0] == "system" for prompt in multi) >= 4
    for prompt in SAMPLE:
        assert prompt.messages[-1][0] == "user"
        assert "system" not in [role for role, _ in prompt.messages[1:]]


def test_some_texts_are_long_enough_to_scroll():
    english = [r.text for p in SAMPLE if p.language == "en" for r in p.responses]
    chinese = [r.text for p in SAMPLE if p.language == "zh" for r in p.responses]
    assert sum(len(text.split()) >= 200 for text in english) >= 8
    assert sum(han(text) >= 400 for text in chinese) >= 4
    assert max(len(response.text) for response in RESPONSES) < 3000


def test_lists_tables_code_and_every_way_of_writing_tex_occur():
    texts = "\n\n".join(response.text for response in RESPONSES)
    for pattern in (
        r"^- ",
        r"^1\. ",
        r"^\|---",
        r"^```python",
        r"^```sql",
        r"^```bash",
        r"^> ",
        r"\\\(",
        r"\\\[",
        r"\$\$",
    ):
        assert re.search(pattern, texts, re.M), pattern


def test_truth_fits_the_sample():
    assert list(TRUTH) == [prompt.id for prompt in SAMPLE]
    for prompt in SAMPLE:
        assert len(TRUTH[prompt.id]) == len(prompt.responses)
    planted = [truth for truths in TRUTH.values() for truth in truths]
    assert all(0 <= truth.quality <= data.QUALITY_MAX for truth in planted)
    assert {truth.flaw for truth in planted} - {data.NO_FLAW} == set(FLAWS) == set(RATIONALES)


def test_flawless_responses_are_good_and_every_prompt_has_one():
    for prompt in SAMPLE:
        truths = TRUTH[prompt.id]
        assert max(truth.quality for truth in truths if truth.flaw != data.NO_FLAW) < 8
        assert any(truth.flaw == data.NO_FLAW and truth.quality >= 8 for truth in truths), prompt.id
        assert min(truth.quality for truth in truths if truth.flaw == data.NO_FLAW) >= 7
        assert max(truth.quality for truth in truths) - min(truth.quality for truth in truths) >= 3


def test_the_longer_response_is_better_little_more_often_than_not():
    assert 0.5 <= data.longest_wins_rate() <= 0.68


def test_longest_wins_would_not_do_in_either_language():
    for language in data.LANGUAGES:
        chosen = [pair for pair in data.pairs() if pair.prompt.language == language]
        wins = [
            (pair.truth_first.quality > pair.truth_second.quality) == (pair.lengths[0] > pair.lengths[1])
            for pair in chosen
        ]
        assert 0.5 <= sum(wins) / len(wins) <= 0.68


def test_the_truth_is_found_by_text():
    found = data.truth_by_text()
    assert len(found) == len(RESPONSES)
    prompt = SAMPLE[0]
    assert found[prompt.responses[0].text] == TRUTH[prompt.id][0]


def test_uneven_truth_is_refused(tmp_path):
    path = tmp_path / "truth.jsonl"
    path.write_text('{"id": "x", "quality": [1.0, 2.0], "flaw": ["none"]}\n')
    with pytest.raises(data.SampleError, match="2 qualities but 1 flaws"):
        data.load_truth(path)


def test_the_importer_reads_every_line_as_a_prompt_with_responses():
    with data.SAMPLE_PATH.open("rb") as handle:
        events = list(scan(handle))
    assert not [event for event in events if isinstance(event, ImportProblem)]
    assert {event.layout for event in events} == {"responses"}
    assert len(events) == len(SAMPLE)
    for event, prompt in zip(events, SAMPLE, strict=True):
        record = event.record
        assert [r.text for r in record.responses] == [r.text for r in prompt.responses]
        assert (record.language, record.topic, record.group) == (prompt.language, prompt.topic, prompt.group)
