"""The dataset folder: a zip of Parquet files with a card and a manifest, streamed, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile

import pyarrow.parquet as pq
import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from labeling.exporting import export_manifest, export_open, read_options
from labeling.exporting.card import card_text, read_facts
from labeling.exporting.manifest import known_sha256
from labeling.models import Resolution, Role, Voice
from labeling.services.adjudication import adjudicate
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import SnapshotCorruptError
from labeling.snapshots.files import snapshot_path
from tests.labeling.exporting.builders import export, lines, settle, shaped_project
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_prompt,
    make_user,
    vote,
)

pytestmark = pytest.mark.django_db
SPLITS = ("train", "validation", "test")


@pytest.fixture
def snapshot():
    """Sixty comparisons of two votes."""
    return settle(labeled_project(60, outcomes="aabbt", slug="deck"))


def opened(snapshot, **options) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(export(snapshot, format="dataset", **options)))


def card(snapshot, **options) -> tuple[dict, str]:
    """The front matter and the text of the card."""
    yaml = pytest.importorskip("yaml", reason="needs datasets: requirements/dev.txt")
    _start, head, text = opened(snapshot, **options).read("README.md").decode().split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_folder_opens_with_its_splits(snapshot, tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs datasets: requirements/dev.txt")
    opened(snapshot).extractall(tmp_path / "deck")
    found = datasets.load_dataset(str(tmp_path / "deck"), cache_dir=str(tmp_path / "cache"))
    assert tuple(found) == SPLITS
    for split in SPLITS:
        assert list(found[split]) == lines(snapshot, splits=[split])
    assert sum(map(len, found.values())) == len(lines(snapshot)) > 10


def test_the_manifest_knows_every_file(snapshot):
    folder = opened(snapshot, splits=["test", "train"])
    assert folder.testzip() is None
    assert folder.namelist() == [
        "data/train-00000-of-00001.parquet",
        "data/test-00000-of-00001.parquet",
        "manifest.json",
        "README.md",
    ]
    manifest = json.loads(folder.read("manifest.json"))
    for name, facts in manifest["files"].items():
        data = folder.read(name)
        assert facts == {
            "rows": pq.read_metadata(io.BytesIO(data)).num_rows,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    assert manifest["snapshot"]["content_hash"] == snapshot.content_hash
    assert manifest["rows"]["written"] == sum(facts["rows"] for facts in manifest["files"].values())
    assert (
        manifest["rows"]["left_out"]
        == export_manifest(snapshot, read_options({"splits": ["test", "train"]}))["rows"]["left_out"]
    )


def test_the_same_options_give_the_same_bytes_and_their_hash(snapshot):
    options = {"format": "dataset", "layout": "kto"}
    one, two = (export(snapshot, **options) for _time in range(2))
    assert one == two
    manifest = export_manifest(snapshot, read_options(options))
    assert (
        manifest["sha256"] == hashlib.sha256(one).hexdigest() == known_sha256(snapshot, read_options(options))
    )
    assert manifest["bytes"] == len(one)
    assert manifest["file"] == "deck-v1-kto.zip"
    assert {member.date_time for member in opened(snapshot).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_is_streamed_in_pieces(snapshot, monkeypatch):
    monkeypatch.setattr("labeling.exporting.stream.PARQUET_BATCH", 5)
    pieces = list(export_open(snapshot, read_options({"format": "dataset"})))
    assert len(pieces) > 10
    assert max(map(len, pieces)) < sum(map(len, pieces)) / 2


def test_the_card_says_what_the_rows_are(snapshot):
    head, text = card(snapshot, margin="strength")
    assert head["configs"] == [
        {
            "config_name": "default",
            "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in SPLITS],
        }
    ]
    assert head["size_categories"] == ["n<1K"]
    assert "license" not in head
    assert f"{len(lines(snapshot)):,} rows" in text
    kinds = ", ".join(snapshot.config["labeler_kinds"])
    assert f"2 labelers ({kinds}) gave 120 votes." in text
    assert "Two people agree on a comparison in 0." in text
    assert "95 % interval" in text
    assert snapshot.content_hash in text
    assert "Margin: strength" in text
    ties = sum(row["outcome"] == "tie" for row in lines(snapshot, layout="chosen"))
    assert ties > 0
    assert f"{ties} tie" in text
    assert "Labeler 1" not in text


def test_the_card_names_the_rules_that_settled_its_rows_and_no_others():
    project = labeled_project(3)
    text = card(settle(project))[1]
    assert "settled by the majority of their labelers' latest votes (a draw is a tie): 3." in text
    assert "reviewer" not in text
    vote(make_comparison(make_prompt(project)), make_labeler(project), "a")
    Resolution.objects.filter(project=project).update(method="reliability")
    adjudicate(
        comparison=project.comparisons.first(), reviewer=make_user(), outcome="b", reason="I looked.", key="k"
    )
    Voice.objects.create(
        project=project, comparison=make_comparison(make_prompt(project)), kind="judge", name="J", outcome="a"
    )
    config = {"include_judge_rows": True}
    mixed = snapshot_build(snapshot_create(project=project, config=config, enqueue=False))
    facts = read_facts(mixed, read_options({"format": "dataset"}))
    assert facts.settled == {"votes": 1, "reliability": 2, "adjudication": 1, "judges": 1}
    text = card(mixed)[1]
    assert "how reliable each labeler is (Dawid and Skene): 2." in text
    assert "- Comparisons settled by a reviewer, whatever the votes say: 1." in text
    assert "that judged them and all agree, without a vote: 1." in text


def test_licences_languages_and_few_votes():
    shaped = settle(shaped_project())
    head, text = card(shaped, licence="CC-BY-4.0")
    assert head["license"] == "cc-by-4.0"
    assert head["language"] == ["en"]
    assert "Agreement is not stated: 4 comparisons have two votes or more, and 50 are needed." in text
    assert "5 of the 9 comparisons were labeled by one person alone." in text
    head, text = card(shaped, licence='Ours: "ask" us\n#first')
    assert (head["license"], head["license_name"]) == ("other", 'Ours: "ask" us\n#first')
    with_licence, without = (read_options({"format": "dataset", "licence": text}) for text in ("mit", ""))
    assert with_licence.key("hash", "1") != without.key("hash", "1")


def test_a_split_without_rows_is_left_out(tmp_path):
    """`datasets` refuses to open a split that has none."""
    datasets = pytest.importorskip("datasets", reason="needs datasets: requirements/dev.txt")
    few = settle(labeled_project(3, outcomes="aabb"))
    full = [split for split in SPLITS if lines(few, splits=[split])]
    assert 0 < len(full) < 3
    folder = opened(few)
    assert [name for name in folder.namelist() if name.startswith("data/")] == [
        f"data/{split}-00000-of-00001.parquet" for split in full
    ]
    assert list(json.loads(folder.read("manifest.json"))["files"]) == folder.namelist()[: len(full)]
    folder.extractall(tmp_path / "few")
    found = datasets.load_dataset(str(tmp_path / "few"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == {
        split: len(lines(few, splits=[split])) for split in full
    }


def test_without_any_row_the_card_still_says_why():
    tied = settle(labeled_project(2, outcomes="t"))
    folder = opened(tied)
    assert folder.namelist() == ["manifest.json", "README.md"]
    assert json.loads(folder.read("manifest.json"))["rows"]["left_out"] == {"tie": 2}
    head, text = card(tied)
    assert "configs" not in head
    assert "Left out, by comparison: 2 tie." in text


def test_the_card_is_the_same_whoever_asks(snapshot):
    from django.utils import translation

    options = read_options({"format": "dataset"})
    facts = read_facts(snapshot, options)
    english = card_text(snapshot, options, facts, rows={"train": 3}, left_out={})
    with translation.override("zh-hans"):
        assert card_text(snapshot, options, facts, rows={"train": 3}, left_out={}) == english


def test_a_damaged_snapshot_is_an_error_before_the_first_byte(snapshot):
    path = snapshot_path(snapshot)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SnapshotCorruptError):
        export_open(snapshot, read_options({"format": "dataset"}))


def test_it_downloads_from_the_page(client, snapshot):
    client.force_login(make_user(snapshot.project, Role.MANAGER))
    page = client.get(
        reverse("labeling:snapshot-export", args=["deck", 1]), {"format": "dataset"}
    ).content.decode()
    assert "&quot;chosen&quot;" in page
    answer = client.get(reverse("labeling:export-download", args=["deck", 1]), {"format": "dataset"})
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"] == 'attachment; filename="deck-v1-trl-explicit.zip"'
    assert b"".join(answer.streaming_content) == export(snapshot, format="dataset")
    with pytest.raises(ValidationError):
        read_options({"format": "dataset", "compression": "gzip"})
