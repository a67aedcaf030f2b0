"""Imports against the database: the exact set, once, whatever happens on the way."""

import os
import threading
from collections import Counter
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, close_old_connections, connection, transaction

from labeling.importing import writing
from labeling.importing.bulk import find_pairs
from labeling.importing.options import ImportOptions
from labeling.importing.services import (
    ImportStateError,
    import_check,
    import_confirm,
    import_discard,
    import_recheck,
    import_run,
    import_write,
)
from labeling.importing.uploads import upload_path, upload_store
from labeling.importing.writing import CursorMovedError, ImportWriteError
from labeling.models import (
    Comparison,
    ComparisonState,
    Import,
    ImportState,
    Labeler,
    LabelerKind,
    Preference,
    PreferenceSource,
    Project,
    Prompt,
    Resolution,
    Response,
)
from tests.labeling.importing.helpers import (
    FAMILIES,
    explicit_row,
    gz,
    json_array,
    jsonl,
    rows_of,
    votes_row,
)

EXPECTED = {
    # layout: prompts, responses, comparisons, preferences of 5 rows
    "trl_explicit": (5, 10, 5, 5),
    "trl_implicit": (5, 10, 5, 5),
    "message_pairs": (5, 10, 5, 5),
    "ms_swift": (5, 10, 5, 5),
    "alpaca_pairs": (5, 10, 5, 5),
    "sharegpt_pairs": (5, 10, 5, 5),
    "cvalues": (5, 10, 5, 5),
    "rm_finetuning": (5, 10, 5, 5),
    "rewardbench": (5, 10, 5, 5),
    "rewardbench2": (5, 25, 30, 30),
    "pandalm": (5, 10, 5, 15),
    "kto": (5, 5, 0, 0),
    "kto_messages": (5, 5, 0, 0),
    "responses": (5, 15, 15, 0),
    "ranked": (5, 15, 15, 15),
    "votes": (5, 10, 5, 15),
}
TABLES = (Prompt, Response, Comparison, Preference)


def table_counts():
    return tuple(model.objects.count() for model in TABLES)


def everything(project):
    """The content of a project, without ids and times."""
    votes = Preference.objects.filter(project=project).values_list(
        "comparison__response_a__text", "comparison__response_b__text", "labeler__name", "outcome", "strength"
    )
    pairs = Comparison.objects.filter(project=project).values_list(
        "prompt__content_hash", "response_a__text", "response_b__text", "state", "label_count", "open_slots"
    )
    texts = Response.objects.filter(prompt__project=project).values_list("prompt__content_hash", "text")
    return sorted(map(repr, votes)), sorted(map(repr, pairs)), sorted(texts)


@pytest.mark.django_db
@pytest.mark.parametrize("layout", FAMILIES)
@pytest.mark.parametrize(
    "wrap", [jsonl, json_array, lambda rows: gz(jsonl(rows))], ids=["jsonl", "json", "gz"]
)
def test_each_layout_becomes_exactly_its_rows(bring, layout, wrap):
    import_ = bring(wrap(rows_of(layout, 5)))
    counts = import_run(import_)
    assert table_counts() == EXPECTED[layout]
    written = (counts.prompts, counts.responses, counts.comparisons, counts.preferences)
    assert written == EXPECTED[layout]
    import_.refresh_from_db()
    assert (import_.state, import_.layout, import_.cursor) == (ImportState.DONE, layout, 5)
    assert import_.counts["pairs"] == EXPECTED[layout][2]
    assert import_.counts["votes"] == EXPECTED[layout][3]


@pytest.mark.django_db(transaction=True)
def test_the_stored_file_is_removed_once_it_is_imported(bring):
    import_ = bring(jsonl(rows_of("votes", 2)))
    import_run(import_)
    assert not upload_path(import_.path).exists()


@pytest.mark.django_db
def test_chosen_wins_whatever_the_order_of_the_hashes(bring):
    import_run(bring(jsonl([explicit_row(number) for number in range(20)]), labeler="Ann"))
    seen = set()
    for preference in Preference.objects.select_related("comparison__response_a", "comparison__response_b"):
        pair = preference.comparison
        assert pair.response_a.content_hash < pair.response_b.content_hash
        winner = pair.response_a if preference.outcome == "a" else pair.response_b
        assert winner.text.startswith("A careful answer")
        assert Resolution.objects.get(comparison=pair).outcome == preference.outcome
        seen.add(preference.outcome)
    assert seen == {"a", "b"}


@pytest.mark.django_db
def test_votes_become_preferences_of_named_labelers(bring, project):
    import_run(bring(jsonl([votes_row(number) for number in range(8)])))
    labelers = Labeler.objects.filter(project=project)
    assert {(labeler.name, labeler.kind) for labeler in labelers} == {
        (name, LabelerKind.IMPORTED) for name in ("w1", "w2", "w3")
    }
    first = Preference.objects.filter(labeler__name="w1").first()
    assert (first.source, first.revision, first.rationale, first.duration_ms) == (
        PreferenceSource.IMPORT,
        1,
        "clear",
        12500,
    )
    assert set(Preference.objects.filter(labeler__name="w2").values_list("outcome", flat=True)) == {"tie"}
    assert set(Preference.objects.filter(labeler__name="w3").values_list("strength", flat=True)) == {4}
    for pair in Comparison.objects.select_related("response_a"):
        left_is_a = pair.response_a.text.startswith("left")
        assert pair.gold_outcome == ("a" if left_is_a else "b")
        assert (pair.label_count, pair.open_slots, pair.state) == (3, 0, ComparisonState.DONE)
        resolution = Resolution.objects.get(comparison=pair)
        assert resolution.outcome == pair.gold_outcome
        assert resolution.votes_tie == 1


@pytest.mark.django_db
def test_imported_votes_leave_the_places_that_are_still_needed(bring, project):
    project.overlap = 5
    project.save()
    import_run(bring(jsonl([votes_row(1), votes_row(2)])))
    for pair in Comparison.objects.all():
        assert (pair.needed, pair.label_count, pair.open_slots, pair.state) == (5, 3, 2, ComparisonState.OPEN)


@pytest.mark.django_db
def test_unlabeled_pairs_are_open(bring):
    import_run(bring(jsonl(rows_of("responses", 2)), pairs="best"))
    assert Comparison.objects.count() == 4
    for pair in Comparison.objects.all():
        assert (pair.needed, pair.label_count, pair.open_slots, pair.state) == (1, 0, 1, ComparisonState.OPEN)
    assert sorted(Response.objects.values_list("model_name", flat=True)) == ["", "", "", "", "m1", "m1"]


@pytest.mark.django_db
def test_the_group_key_labeler_and_language_are_kept(bring):
    import_run(bring(jsonl(rows_of("trl_explicit", 6)), group_key="debate", labeler="Crowd", language="en"))
    assert Counter(Prompt.objects.values_list("group", flat=True)) == {"d0": 2, "d1": 2, "d2": 2}
    assert set(Prompt.objects.values_list("language", flat=True)) == {"en"}
    assert Prompt.objects.get(external_id="e0").metadata == {"debate": "d0"}
    assert Labeler.objects.get().name == "Crowd"


@pytest.mark.django_db
def test_margins_become_strengths_on_the_scale_of_the_whole_file(bring):
    rows = [explicit_row(number) | {"margin": margin} for number, margin in enumerate([0, 1 / 3, 2 / 3, 1])]
    import_run(bring(jsonl(rows)))
    assert sorted(Preference.objects.values_list("strength", flat=True)) == [1, 2, 3, 4]


@pytest.mark.django_db
@pytest.mark.parametrize("layout", FAMILIES)
def test_the_same_file_twice_changes_nothing(bring, project, layout):
    import_run(bring(jsonl(rows_of(layout, 7))))
    before = everything(project)
    counts = import_run(bring(jsonl(rows_of(layout, 7)), "renamed.jsonl"))
    assert everything(project) == before
    assert (counts.prompts, counts.responses, counts.comparisons, counts.preferences) == (0, 0, 0, 0)


@pytest.mark.django_db
def test_a_labeler_has_one_vote_for_a_pair_and_the_first_counts(bring):
    row = explicit_row(1)
    against = row | {"id": "other", "chosen": row["rejected"], "rejected": row["chosen"]}
    import_run(bring(jsonl([row, row, against])))
    preference = Preference.objects.get()
    pair = preference.comparison
    winner = pair.response_a if preference.outcome == "a" else pair.response_b
    assert winner.text == row["chosen"]
    assert pair.label_count == 1


class KilledError(Exception):
    """Stands for a process that dies: nothing after it in the batch happens."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("layout", ["trl_explicit", "ranked", "votes"])
@pytest.mark.parametrize("skip_bad", [False, True])
def test_killed_at_any_batch_and_resumed_gives_the_exact_set(bring, layout, skip_bad, monkeypatch):
    monkeypatch.setattr(writing, "BATCH_RECORDS", 7)
    rows = rows_of(layout, 60)
    lines = jsonl(rows).split(b"\n")
    if skip_bad:
        lines.insert(20, b"{broken")
        lines.insert(41, b'{"other": 1}')
    import_ = bring(b"\n".join(lines))
    import_check(import_)
    import_confirm(import_, skip_bad=skip_bad, enqueue=False)
    step, kills = 0, 0
    while import_.state != ImportState.DONE:
        step += 1
        budget = [step % 3]

        @contextmanager
        def dying_guard(budget=budget):
            with transaction.atomic():
                yield
                budget[0] -= 1
                if budget[0] < 0:
                    raise KilledError  # before the commit: the whole batch is lost

        try:
            import_write(import_, guard=dying_guard)
        except KilledError:
            kills += 1
        import_ = Import.objects.select_related("project").get(pk=import_.pk)
        if step > 60:
            break
    assert kills > 5
    assert import_.state == ImportState.DONE
    assert import_.counts["written"]["records"] == 60
    assert import_.counts["written"]["skipped"] == (2 if skip_bad else 0)
    uninterrupted = Project.objects.create(name="Again", slug="again")
    import_run(bring(jsonl(rows), into=uninterrupted))
    assert everything(import_.project) == everything(uninterrupted)


@pytest.mark.django_db(transaction=True)
def test_neighbours_of_kto_stay_one_record_where_writing_goes_on(bring, monkeypatch):
    monkeypatch.setattr(writing, "BATCH_RECORDS", 2)
    rows = [
        {"prompt": f"p{n // 4}", "completion": f"c{n}", "label": n % 2 == 0, "debate": "d"} for n in range(40)
    ]
    import_ = bring(jsonl(rows))
    import_check(import_)
    import_confirm(import_, enqueue=False)
    batches = [0]

    @contextmanager
    def dying_guard():
        with transaction.atomic():
            yield
            batches[0] += 1
            if batches[0] == 3:
                raise KilledError

    with pytest.raises(KilledError):
        import_write(import_, guard=dying_guard)
    import_ = Import.objects.select_related("project").get(pk=import_.pk)
    assert import_.cursor == 8
    counts = import_write(import_)
    assert (counts.records, table_counts()) == (10, (10, 40, 40, 40))


@pytest.mark.django_db
def test_a_second_writer_of_the_same_import_is_stopped(bring, monkeypatch):
    monkeypatch.setattr(writing, "BATCH_RECORDS", 5)
    import_ = bring(jsonl(rows_of("votes", 20)))
    import_check(import_)
    import_confirm(import_, enqueue=False)
    stale = Import.objects.select_related("project").get(pk=import_.pk)
    batches = []

    def progress(done, total):
        batches.append((done, total))
        if done == 10:
            with pytest.raises(CursorMovedError):
                writing.write_file(stale, guard=transaction.atomic)

    import_write(import_, progress=progress)
    assert batches == [(5, 20), (10, 20), (15, 20), (20, 20)]
    assert table_counts() == (20, 40, 20, 60)


@pytest.mark.django_db(transaction=True)
def test_the_same_file_twice_at_once_gives_one_of_each(bring, monkeypatch):
    monkeypatch.setattr(writing, "BATCH_RECORDS", 10)
    data = jsonl(rows_of("votes", 80))
    imports = [bring(data) for _ in range(2)]
    for import_ in imports:
        import_check(import_)
        import_confirm(import_, enqueue=False)
    start, errors = threading.Barrier(2), []

    def work(import_):
        try:
            start.wait(10)
            import_write(Import.objects.select_related("project").get(pk=import_.pk))
        except Exception as error:
            errors.append(error)
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=work, args=(import_,)) for import_ in imports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert table_counts() == (80, 160, 80, 240)
    assert set(Comparison.objects.values_list("label_count", "open_slots")) == {(3, 0)}
    total = sum(Import.objects.get(pk=import_.pk).counts["written"]["preferences"] for import_ in imports)
    assert total == 240


def blind_to(model, looks):
    """`find_pairs` as another import makes it look that commits just after: the first `looks` find nothing."""
    left = iter(range(looks))

    def find(wanted, columns, keys):
        is_blind = wanted is model and keys and next(left, None) is not None
        return {} if is_blind else find_pairs(wanted, columns, keys)

    return find


@pytest.mark.django_db
@pytest.mark.parametrize("model", [Prompt, Response, Comparison])
def test_a_row_that_somebody_else_has_made_meanwhile_begins_the_batch_again(bring, monkeypatch, model):
    import_run(bring(jsonl(rows_of("votes", 5))))
    before = table_counts()
    monkeypatch.setattr("labeling.importing.rows.find_pairs", blind_to(model, looks=1))
    counts = import_run(bring(jsonl(rows_of("votes", 7))))
    assert (counts.prompts, counts.comparisons, counts.preferences, counts.records) == (2, 2, 6, 7)
    assert [now - then for now, then in zip(table_counts(), before, strict=True)] == [2, 4, 2, 6]


@pytest.mark.django_db
def test_a_row_that_can_never_be_made_ends_the_import_with_nothing_of_its_batch(bring, monkeypatch):
    import_run(bring(jsonl(rows_of("votes", 5))))
    before = table_counts()
    monkeypatch.setattr("labeling.importing.rows.find_pairs", blind_to(Prompt, looks=writing.ATTEMPTS))
    import_ = bring(jsonl(rows_of("votes", 7)))
    with pytest.raises(IntegrityError):
        import_run(import_)
    assert table_counts() == before
    import_.refresh_from_db()
    assert (import_.cursor, import_.counts.get("written")) == (0, None)


@pytest.mark.django_db
def test_a_file_changed_behind_our_back_is_refused(bring):
    import_ = bring(jsonl(rows_of("votes", 3)))
    import_check(import_)
    import_confirm(import_, enqueue=False)
    upload_path(import_.path).write_bytes(jsonl(rows_of("votes", 4)))
    with pytest.raises(ImportWriteError, match="not the one that was checked"):
        import_write(import_)
    assert table_counts() == (0, 0, 0, 0)


@pytest.mark.django_db
def test_a_confirmed_import_cannot_be_confirmed_checked_or_discarded_again(bring):
    import_ = bring(jsonl(rows_of("votes", 3)))
    with pytest.raises(ImportStateError, match="has been checked"):
        import_confirm(import_, enqueue=False)
    import_run(import_)
    for act in (
        lambda: import_confirm(import_, enqueue=False),
        lambda: import_check(import_),
        lambda: import_recheck(import_, options=ImportOptions()),
        lambda: import_discard(import_),
    ):
        with pytest.raises(ImportStateError):
            act()


@pytest.mark.django_db(transaction=True)
def test_throwing_an_upload_away_removes_its_file(bring):
    import_ = bring(jsonl(rows_of("votes", 3)))
    import_check(import_)
    path = upload_path(import_.path)
    assert path.exists()
    import_discard(import_)
    assert not path.exists()
    assert not Import.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_files_that_no_import_needs_are_removed_when_they_are_old(bring, project):
    import_ = bring(jsonl(rows_of("votes", 3)))
    stray = upload_path(upload_store([b"stray"]).name)
    fresh = upload_path(upload_store([b"an upload that is just coming in"]).name)
    needed = upload_path(import_.path)
    for path in (stray, needed):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    bring(b"{}")
    assert (stray.exists(), fresh.exists(), needed.exists()) == (False, True, True)


@pytest.mark.django_db
def test_a_group_key_that_rows_lack_is_a_problem_by_line(bring):
    rows = rows_of("trl_explicit", 4)
    del rows[2]["debate"]
    import_ = bring(jsonl(rows), group_key="debate")
    assert import_run(import_) is None
    assert [(p["line"], p["code"]) for p in import_.problems] == [(3, "missing_group")]
