"""Exports: layouts, policies, formats, determinism, manifest. What leaves can come back in."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json

import pyarrow.parquet as pq
import pytest
from django.core.exceptions import ValidationError

from labeling.exporting import export_manifest, export_open, read_options
from labeling.exporting.layouts import chosen_side
from labeling.exporting.manifest import export_bytes, facts_known, manifest_path
from labeling.exporting.writers import csv_cell
from labeling.importing.layouts import detect_layout, parse_row
from labeling.services.adjudication import adjudicate
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import SnapshotCorruptError, SnapshotRow, read_snapshot
from labeling.snapshots.files import snapshot_path
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    vote,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot():
    """Twelve comparisons of two votes: agreed, split one to one, tied, both bad."""
    project = labeled_project(12, outcomes="aabbttxx", slug="exported")
    conversation = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "=SUM(A1)？"},
    ]
    comparison = make_comparison(make_prompt(project, messages=conversation), "=1+1", "两")
    vote(comparison, make_labeler(project, "Zoe"), "a", strength=4)
    return snapshot_build(snapshot_create(project=project, enqueue=False))


def export(snapshot, **options) -> bytes:
    return b"".join(export_open(snapshot, read_options(options)))


def lines(snapshot, **options) -> list[dict]:
    return [json.loads(line) for line in export(snapshot, **options).splitlines()]


def decided(snapshot) -> list[SnapshotRow]:
    return [row for row in read_snapshot(snapshot) if row.outcome in ("a", "b")]


def test_explicit_pairs_as_message_lists(snapshot):
    rows = lines(snapshot)
    assert len(rows) == len(decided(snapshot)) > 3
    for found, row in zip(rows, decided(snapshot), strict=True):
        texts = (row.response_a, row.response_b) if row.outcome == "a" else (row.response_b, row.response_a)
        assert list(found) == ["prompt", "chosen", "rejected"]
        assert found["prompt"] == row.messages
        assert found["chosen"] == [{"role": "assistant", "content": texts[0]}]
        assert found["rejected"] == [{"role": "assistant", "content": texts[1]}]


def test_margin_from_strength_and_from_votes(snapshot):
    assert lines(snapshot, margin="strength")[-1]["margin"] == 4.0
    assert [row["margin"] for row in lines(snapshot, margin="votes")] == [
        abs(2 * row.p_a - 1) for row in decided(snapshot)
    ]


def test_ms_swift_and_kto(snapshot):
    swift = lines(snapshot, layout="ms-swift")[-1]
    assert [message["role"] for message in swift["messages"]] == ["user", "assistant", "user", "assistant"]
    assert {swift["messages"][-1]["content"], swift["rejected_response"]} == {"=1+1", "两"}
    rows = lines(snapshot, layout="kto", both_bad="keep")
    bad = sum(row.outcome == "both_bad" for row in read_snapshot(snapshot))
    assert bad > 0
    assert sum(row["label"] for row in rows) == len(decided(snapshot))
    assert sum(not row["label"] for row in rows) == len(decided(snapshot)) + 2 * bad


def test_everything_keeps_ties_and_hides_names(snapshot):
    rows = lines(snapshot, layout="chosen")
    assert {row["outcome"] for row in rows} == {"a", "b", "tie", "both_bad"}
    assert len(rows) == snapshot.row_count
    assert "Zoe" not in json.dumps(rows)
    assert "Zoe" in json.dumps(lines(snapshot, layout="chosen", labelers="names"))
    assert {row["outcome"] for row in lines(snapshot, layout="chosen", ties="drop", both_bad="drop")} == {
        "a",
        "b",
    }


def test_a_coin_gives_ties_a_side_that_stays(snapshot):
    ties = sum(row.outcome == "tie" for row in read_snapshot(snapshot))
    rows = lines(snapshot, ties="coin")
    assert len(rows) == len(decided(snapshot)) + ties
    assert rows == lines(snapshot, ties="coin")
    tosses = [
        chosen_side(SnapshotRow(comparison_id=number, outcome="tie"), read_options({"ties": "coin"}))
        for number in range(400)
    ]
    assert 150 < tosses.count("a") < 250


def test_splits_and_least_agreement(snapshot):
    assert sum(len(lines(snapshot, splits=[name])) for name in ("train", "validation", "test")) == len(
        lines(snapshot)
    )
    project = make_project()
    comparison = make_comparison(make_prompt(project))
    for outcome in ("a", "a", "b"):
        vote(comparison, make_labeler(project), outcome)
    small = snapshot_build(snapshot_create(project=project, enqueue=False))
    assert len(lines(small, min_agreement="0.6")) == 1
    assert lines(small, min_agreement="0.7") == []
    assert export_manifest(small, read_options({"min_agreement": 0.7}))["rows"] == {
        "read": 1,
        "written": 0,
        "left_out": {"min_agreement": 1},
    }


def test_least_agreement_keeps_what_a_reviewer_settled(django_user_model):
    """One of three said what the reviewer found: the row is the surest of all, not the least sure."""
    project = make_project()
    comparison = make_comparison(make_prompt(project))
    for outcome in ("a", "a", "b"):
        vote(comparison, make_labeler(project), outcome)
    reviewer = django_user_model.objects.create_user("reviewer")
    adjudicate(comparison=comparison, reviewer=reviewer, outcome="b", reason="I looked it up.", key="k")
    settled = snapshot_build(snapshot_create(project=project, enqueue=False))
    assert len(lines(settled, min_agreement="1")) == 1


@pytest.mark.parametrize(
    ("outcome", "p_a", "agreement"), [("a", 0.9, 0.9), ("b", 0.2, 0.8), ("tie", 0.5, 0.25)]
)
def test_least_agreement_asks_reliabilities_where_they_settled_it(outcome, p_a, agreement):
    votes = {"votes_a": 1, "votes_b": 2, "votes_tie": 1}
    row = SnapshotRow(outcome=outcome, p_a=p_a, settled_by="reliability", **votes)
    assert row.agreement == pytest.approx(agreement)


def test_plain_texts_leave_conversations_out_and_say_so(snapshot):
    rows = lines(snapshot, text="plain")
    assert len(rows) == len(decided(snapshot)) - 1
    assert all(isinstance(row["prompt"], str) for row in rows)
    left_out = export_manifest(snapshot, read_options({"text": "plain"}))["rows"]["left_out"]
    assert left_out["needs_message_lists"] == 1


@pytest.mark.parametrize("text", ["messages", "plain"])
@pytest.mark.parametrize("layout", ["trl-explicit", "trl-implicit"])
def test_what_leaves_comes_back_the_same(snapshot, layout, text):
    rows = lines(snapshot, layout=layout, text=text)
    known = detect_layout(rows)
    by_prompt = {row.prompt_id: row for row in decided(snapshot)}
    originals = {tuple((m["role"], m["content"]) for m in row.messages): row for row in by_prompt.values()}
    for number, found in enumerate(rows, start=1):
        record = parse_row(known, found, number)
        row = originals[tuple((message.role, message.content) for message in record.messages)]
        chosen, rejected = (response.text for response in record.responses)
        assert (chosen, rejected) == (
            (row.response_a, row.response_b) if row.outcome == "a" else (row.response_b, row.response_a)
        )


@pytest.mark.parametrize("layout", ["trl-explicit", "trl-implicit", "ms-swift", "kto", "chosen"])
@pytest.mark.parametrize("text", ["messages", "plain"])
def test_parquet_holds_the_same_rows_as_jsonl(snapshot, layout, text):
    margin = "none" if layout == "kto" else "strength"
    options = {"layout": layout, "text": text, "margin": margin}
    table = pq.read_table(io.BytesIO(export(snapshot, format="parquet", **options)))
    assert table.to_pylist() == lines(snapshot, **options)


def test_csv_protects_cells_that_look_like_formulas(snapshot):
    data = export(snapshot, layout="trl-implicit", format="csv", text="plain").decode()
    assert next(iter(csv.reader(io.StringIO(data)))) == ["chosen", "rejected"]
    rows = list(csv.DictReader(io.StringIO(export(snapshot, layout="ms-swift", format="csv").decode())))
    assert {rows[-1]["rejected_response"]} <= {"'=1+1", "两"}
    assert json.loads(rows[-1]["messages"])[0]["role"] == "user"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "'="])
def test_every_start_of_a_formula_is_quoted(start):
    assert csv_cell(f"{start}1") == f"'{start}1"
    assert [csv_cell(text) for text in ("plain", "'plain", "")] == ["plain", "'plain", ""]
    assert csv_cell(-1.5) == -1.5


@pytest.mark.parametrize(
    "options", [{}, {"compression": "gzip"}, {"format": "parquet"}, {"format": "csv", "compression": "gzip"}]
)
def test_the_same_options_give_the_same_bytes_and_the_manifest_their_hash(snapshot, options):
    one, two = export(snapshot, **options), export(snapshot, **options)
    assert one == two
    manifest = export_manifest(snapshot, read_options(options))
    assert manifest["sha256"] == hashlib.sha256(one).hexdigest()
    assert manifest["bytes"] == len(one)
    assert manifest["snapshot"]["content_hash"] == snapshot.content_hash
    assert manifest == export_manifest(snapshot, read_options(options))


def test_gzip_is_the_plain_file_compressed(snapshot):
    assert gzip.decompress(export(snapshot, compression="gzip")) == export(snapshot)


def test_the_manifest_is_kept_once_all_bytes_are_out(snapshot):
    options = read_options({"layout": "ms-swift"})
    stream = export_bytes(export_open(snapshot, options))
    next(stream)
    stream.close()
    assert facts_known(snapshot, options) is None
    list(export_bytes(export_open(snapshot, options)))
    assert facts_known(snapshot, options)["rows"]["written"] == len(decided(snapshot))
    assert [path.name for path in manifest_path(snapshot, options).parent.iterdir()] == [
        manifest_path(snapshot, options).name
    ]


def test_batches_do_not_change_the_bytes(snapshot, monkeypatch):
    whole = export(snapshot, layout="chosen")
    monkeypatch.setattr("labeling.exporting.stream.BATCH", 2)
    assert export(snapshot, layout="chosen") == whole


def test_a_damaged_snapshot_is_an_error_before_the_first_byte(snapshot):
    path = snapshot_path(snapshot)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SnapshotCorruptError):
        export_open(snapshot, read_options({}))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"layout": "alpaca"}, "layout"),
        ({"ties": "keep"}, "ties"),
        ({"both_bad": "keep"}, "both_bad"),
        ({"format": "parquet", "compression": "gzip"}, "compression"),
        ({"min_agreement": "2"}, "min_agreement"),
        ({"colour": "red"}, "colour"),
        ({"splits": ["dev"]}, "splits"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options, field):
    with pytest.raises(ValidationError) as caught:
        read_options(options)
    assert field in caught.value.message_dict
