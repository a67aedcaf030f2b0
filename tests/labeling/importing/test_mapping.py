"""Keys that no layout knows, mapped by hand: what a mapping means, what is refused, page, REST and command."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from labeling.importing.mapping import Mapping, MappingError
from labeling.importing.records import ImportedMessage
from labeling.importing.sample import guessed_columns, guessed_values, sample_rows
from labeling.importing.services import import_check, import_run
from labeling.importing.texts import mapping_message
from labeling.models import Comparison, Import, ImportState, Labeler, Preference, Prompt, Resolution
from tests.labeling.importing.conftest import finish_job
from tests.labeling.importing.helpers import jsonl, scan_bytes
from tests.labeling.importing.wrappings import packed, parquet, table

ARENA = {
    "columns": {
        "response_a": "conversation_a",
        "response_b": "conversation_b",
        "model_a": "model_a",
        "model_b": "model_b",
        "winner": "winner",
        "annotator": "judge",
        "id": "question_id",
        "language": "lang",
    },
    "winner_values": {"a": ["model_a"], "b": ["model_b"], "tie": ["tie"], "both_bad": ["tie (bothbad)"]},
}
SHEET = {
    "columns": {
        "prompt": "Frage",
        "response_a": "links",
        "response_b": "rechts",
        "winner": "besser",
        "strength": "wie sehr",
        "annotator": "wer",
        "rationale": "warum",
    },
    "winner_values": {"a": ["l"], "b": ["r"], "tie": ["="]},
}


def conversation(answer):
    return [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": answer}]


def arena_row(number, winner):
    return {
        "question_id": f"q{number}",
        "conversation_a": conversation(f"one {number}"),
        "conversation_b": conversation(f"two {number}"),
        "model_a": "alpaca",
        "model_b": "vicuna",
        "winner": winner,
        "judge": "arena_user_1",
        "lang": "en",
        "turn": 1,
    }


def sheet_rows(count=6):
    says = ["l", "R", "=", "", "l", "r"]
    return [
        {
            "Frage": f"Was ist {number}?",
            "links": f"eins {number}",
            "rechts": f"zwei {number}",
            "besser": says[number % 6],
            "wie sehr": str(number % 4 + 1),
            "wer": "Anna",
            "warum": "klar",
            "Blatt": number,
        }
        for number in range(count)
    ]


def mapped(rows, mapping, write=jsonl):
    return scan_bytes(write(rows), layout=Mapping.from_json(mapping).layout())


def test_conversations_without_a_prompt_and_every_outcome():
    said = ["model_a", "model_b", "tie", "tie (bothbad)"]
    records, problems = mapped([arena_row(number, word) for number, word in enumerate(said)], ARENA)
    assert problems == []
    assert [record.votes[0].outcome for record in records] == ["a", "b", "tie", "both_bad"]
    assert records[0].messages == (ImportedMessage("user", "Hi"),)
    assert [(r.text, r.model) for r in records[0].responses] == [("one 0", "alpaca"), ("two 0", "vicuna")]
    assert (records[0].external_id, records[0].language, records[0].votes[0].labeler) == (
        "q0",
        "en",
        "arena_user_1",
    )
    assert records[0].metadata == {"turn": 1}


@pytest.mark.parametrize("write", [jsonl, table, parquet, lambda rows: packed({"a.csv": table(rows)})])
def test_a_sheet_means_the_same_in_every_container(write):
    records, problems = mapped(sheet_rows(), SHEET, write)
    assert problems == []
    votes = [record.votes[0] if record.votes else None for record in records]
    assert [vote and vote.outcome for vote in votes] == ["a", "b", "tie", None, "a", "b"]
    assert [vote and vote.margin for vote in votes] == [1, 2, None, None, 1, 2]
    assert {(vote.labeler, vote.rationale) for vote in votes if vote} == {("Anna", "klar")}
    assert [str(record.metadata["Blatt"]) for record in records] == ["0", "1", "2", "3", "4", "5"]


def test_chosen_and_rejected_with_a_system_message_and_a_margin():
    mapping = {
        "columns": {"prompt": "q", "system": "s", "chosen": "good", "rejected": "bad", "strength": "m"}
    }
    row = {
        "q": "Why?",
        "s": "Be brief.",
        "good": "Because.",
        "bad": "No.",
        "m": 0.5,
        "metadata": {"x": 1},
        "y": 2,
    }
    (record,), problems = mapped([row], mapping)
    assert problems == []
    assert [message.role for message in record.messages] == ["system", "user"]
    assert (record.votes[0].outcome, record.votes[0].margin, record.votes[0].labeler) == ("a", 0.5, None)
    assert record.metadata == {"x": 1, "y": 2}


def test_messages_written_as_json_in_a_text_are_messages():
    mapping = {"columns": {"prompt": "context", "chosen": "good", "rejected": "bad"}}
    row = {
        "context": json.dumps([{"role": "user", "content": "Hi"}]),
        "good": json.dumps(conversation("A")),
        "bad": "[B]",
    }
    (record,), problems = mapped([row], mapping)
    assert problems == []
    assert [response.text for response in record.responses] == ["A", "[B]"]


@pytest.mark.parametrize(
    ("change", "code", "column"),
    [
        ({"besser": "neither"}, "unknown_outcome", "besser"),
        ({"links": 5}, "wrong_type", "links"),
        ({"rechts": "eins 0"}, "identical_responses", ""),
        ({"wie sehr": "sehr"}, "wrong_type", "wie sehr"),
        ({"wie sehr": -1}, "negative_margin", "wie sehr"),
        ({"wer": "x" * 161}, "label_too_long", "wer"),
        ({"warum": 3}, "wrong_type", "warum"),
        ({"Frage": " "}, "empty_text", "Frage"),
    ],
)
def test_a_bad_row_is_named_by_the_files_own_key(change, code, column):
    row = sheet_rows(1)[0] | change
    records, (problem,) = mapped([row], SHEET)
    assert records == []
    assert (problem.code, problem.params.get("path", "")) == (code, column)
    assert jsonl([row]).decode()[problem.column - 1 :].startswith(f'"{column}' if column else "{")
    assert problem.message


def test_a_row_without_the_keys_is_told_which_are_needed():
    _records, problems = mapped([*sheet_rows(2), {"Frage": "?", "links": "l"}], SHEET)
    assert [(problem.line, problem.code) for problem in problems] == [(3, "wrong_keys")]
    assert problems[0].params["missing"] == ["rechts"]


@pytest.mark.parametrize(
    ("mapping", "code", "target"),
    [
        (None, "not_a_mapping", "columns"),
        ([], "not_a_mapping", "columns"),
        ({"columns": []}, "not_a_mapping", "columns"),
        ({"columns": {"answer": "a"}}, "unknown_target", "answer"),
        ({"columns": {"prompt": 3}}, "bad_key", "prompt"),
        ({"columns": {"prompt": "x" * 201}}, "bad_key", "prompt"),
        ({"columns": {"prompt": "q"}}, "no_responses", "response_a"),
        ({"columns": {"chosen": "c"}}, "one_response", "rejected"),
        ({"columns": {"response_b": "c"}}, "one_response", "response_a"),
        ({"columns": {"chosen": "c", "rejected": "r", "response_a": "a"}}, "two_pairs", "chosen"),
        ({"columns": {"chosen": "c", "rejected": "r", "winner": "w"}}, "winner_of_chosen", "winner"),
        ({"columns": {"chosen": "c", "rejected": "c"}}, "key_twice", "rejected"),
        ({"columns": {"prompt": "c", "chosen": "c", "rejected": "r"}}, "key_twice", "rejected"),
        (SHEET | {"winner_values": [1]}, "not_a_mapping", "winner_values"),
        (SHEET | {"winner_values": {"c": ["1"]}}, "unknown_outcome", "c"),
        (SHEET | {"winner_values": {"a": ["1"], "b": [1.0]}}, "value_twice", "winner_values"),
    ],
)
def test_what_is_no_mapping_is_refused_with_a_sentence(mapping, code, target):
    with pytest.raises(MappingError) as caught:
        Mapping.from_json(mapping)
    assert (caught.value.code, caught.value.target) == (code, target)
    assert "%(" not in mapping_message(caught.value)


def test_a_mapping_is_the_same_after_a_trip_through_json():
    mapping = Mapping.from_json(ARENA)
    assert Mapping.from_json(json.loads(json.dumps(mapping.as_json()))) == mapping


def test_keys_are_guessed_by_their_names():
    assert guessed_columns(["Question", "Answer A", "answer_b", "Label", "note"]) == {
        "prompt": "Question",
        "response_a": "Answer A",
        "response_b": "answer_b",
        "winner": "Label",
    }
    assert guessed_columns(["better", "worse", "winner"]) == {"chosen": "better", "rejected": "worse"}
    assert guessed_columns([]) == {}
    assert guessed_values([{"w": 1}, {"w": "2"}], "w")["a"] == ["1"]


def test_a_sample_is_small(tmp_path):
    path = tmp_path / "rows"
    row = {f"k{number}": "x" * 5_000 for number in range(80)} | {"deep": [["y" * 3000] * 50]}
    path.write_bytes(b"{oops\n" + jsonl([row] * 50))
    with path.open("rb") as handle:
        found = sample_rows(handle)
    assert 1 <= len(found) <= 20
    assert len(json.dumps(found)) < 220_000
    assert len(found[0]) == 60


@pytest.fixture
def client(manager):
    client = Client()
    client.force_login(manager)
    return client


@pytest.fixture
def unknown(bring):
    """A checked file whose keys no layout knows."""
    import_ = bring(table(sheet_rows()), "sheet.csv")
    import_check(import_)
    assert (import_.state, import_.layout, import_.problems[0]["code"]) == (
        ImportState.REFUSED,
        "",
        "wrong_keys",
    )
    return import_


def page_of(name, import_):
    return reverse(f"labeling:{name}", args=[import_.project.slug, import_.uid])


def form_of(mapping):
    says = {f"says_{name}": ", ".join(words) for name, words in mapping["winner_values"].items()}
    return mapping["columns"] | says


def test_a_file_of_unknown_keys_leads_to_the_page_and_is_imported_by_it(client, unknown):
    detail = client.get(page_of("import-detail", unknown)).content.decode()
    address = page_of("import-mapping", unknown)
    assert f'href="{address}"' in detail
    page = client.get(address).content.decode()
    assert "wie sehr" in page
    assert "Was ist 0?" in page

    answer = client.post(address, form_of(SHEET))
    assert answer.headers["Location"] == page_of("import-detail", unknown)
    import_ = finish_job(unknown)
    assert (import_.state, import_.layout, import_.counts["records"]) == (ImportState.READY, "mapped", 6)
    client.post(page_of("import-confirm", import_))
    import_ = finish_job(import_)
    assert import_.state == ImportState.DONE
    assert (Comparison.objects.count(), Preference.objects.count()) == (6, 5)
    assert sorted(Resolution.objects.values_list("strength", flat=True).exclude(strength=None)) == [
        1,
        1,
        2,
        2,
    ]
    assert Labeler.objects.get(kind="imported").name == "Anna"


def test_the_preview_follows_the_choices(client, unknown):
    address = page_of("import-mapping", unknown)

    def live(**changes):
        return client.post(address, form_of(SHEET) | changes, headers={"HX-Request": "true"}).content.decode()

    assert "eins 0" in live()
    assert "preferred" in live()
    assert "Choose the key of this response too." in live(response_b="")
    assert "“besser” is “l”" in live(says_a="links")
    unknown.refresh_from_db()
    assert (unknown.state, unknown.mapping) == (ImportState.REFUSED, {})


def test_a_wrong_choice_comes_back_at_its_field_and_starts_nothing(client, unknown):
    page = client.post(page_of("import-mapping", unknown), form_of(SHEET) | {"chosen": "links"})
    assert page.status_code == 200
    assert "Choose either chosen and rejected" in page.content.decode()
    assert client.post(page_of("import-mapping", unknown), {"prompt": "no such key"}).status_code == 200
    unknown.refresh_from_db()
    assert unknown.state == ImportState.REFUSED


def test_a_choice_is_remembered_for_files_with_the_same_keys_and_can_be_forgotten(client, unknown, bring):
    client.post(page_of("import-mapping", unknown), form_of(SHEET))
    finish_job(unknown)
    later = bring(table(sheet_rows(3)), "later.csv")
    other = bring(table([{"x": 1, "y": 2}]), "other.csv")
    for import_, is_known in ((later, True), (other, False)):
        import_check(import_)
        form = client.get(page_of("import-mapping", import_)).context["form"]
        assert (form.initial.get("prompt") == "Frage") == is_known
    client.post(page_of("import-mapping", unknown), {"forget": "1"})
    assert finish_job(unknown).state == ImportState.REFUSED
    assert Import.objects.get(pk=unknown.pk).mapping == {}


def test_once_written_a_file_is_not_mapped_again(client, bring):
    import_ = bring(jsonl(sheet_rows()), "done.jsonl")
    import_.mapping = SHEET
    import_.save()
    import_run(import_)
    answer = client.post(page_of("import-mapping", import_), form_of(SHEET), follow=True)
    assert (
        "cannot be checked again" in answer.content.decode() or "written already" in answer.content.decode()
    )
    assert Prompt.objects.count() == 6


def test_rest_takes_a_mapping_and_refuses_what_is_none(client, unknown):
    address = reverse("api-import-check", args=[unknown.project.slug, unknown.uid])
    for wrong in ({"columns": {"prompt": "Frage"}}, "", [], "text", 5):
        answer = client.post(address, {"mapping": wrong}, content_type="application/json")
        assert answer.status_code == 400, wrong
        assert "mapping" in answer.json()["errors"] if "errors" in answer.json() else answer.json()
    answer = client.post(address, {"mapping": SHEET, "language": "de"}, content_type="application/json")
    assert answer.status_code == 202
    assert answer.json()["mapping"]["columns"] == SHEET["columns"]
    assert finish_job(unknown).state == ImportState.READY
    answer = client.post(address, {"language": "fr"}, content_type="application/json")
    assert answer.json()["mapping"]["columns"] == SHEET["columns"]
    assert finish_job(unknown).state == ImportState.READY


def test_the_command_takes_a_mapping(project, tmp_path, capsys):
    sheet, file = tmp_path / "sheet.csv", tmp_path / "map.json"
    sheet.write_bytes(table(sheet_rows()))
    file.write_text(json.dumps(SHEET))
    call_command("import_data", str(sheet), project=project.slug, map=str(file))
    assert Comparison.objects.count() == 6
    file.write_text('{"columns": {"prompt": "Frage"}}')
    with pytest.raises(CommandError, match=r"map\.json: response_a: Choose the keys of both responses"):
        call_command("import_data", str(sheet), project=project.slug, map=str(file))
    file.write_text("{oops")
    with pytest.raises(CommandError, match=r"map\.json"):
        call_command("import_data", str(sheet), project=project.slug, map=str(file))


def test_the_command_takes_a_folder(project, tmp_path):
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "old.csv").write_text("left by a download")
    (folder / "data" / "a.csv").write_bytes(table(sheet_rows()))
    file = tmp_path / "map.json"
    file.write_text(json.dumps(SHEET))
    call_command("import_data", str(folder), project=project.slug, map=str(file))
    first = Import.objects.get()
    assert (first.members, first.file_name, Comparison.objects.count()) == (["data/a.csv"], "set", 6)
    call_command("import_data", str(folder), project=project.slug, map=str(file))
    assert Import.objects.latest("pk").sha256 == first.sha256
    assert Comparison.objects.count() == 6
