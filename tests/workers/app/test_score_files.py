"""A model's scores as Parquet: everything in it, in batches, for those who may see scores."""

from __future__ import annotations

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Response
from tests.workers.app.test_api import client_of
from workers import score_files
from workers.models import RewardModel, Score

pytestmark = pytest.mark.django_db

PAGE = "/projects/world/models/1/scores.parquet"
REST = "/api/v1/projects/world/reward-models/1/scores"


def download(trained, url, role="viewer"):
    response = client_of(trained.people[role]).get(url)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/vnd.apache.parquet"
    assert response["Content-Disposition"] == 'attachment; filename="world-v1-scores.parquet"'
    return pq.read_table(io.BytesIO(response.getvalue())).to_pylist()


@pytest.mark.parametrize("url", [PAGE, REST])
def test_every_score_is_in_the_file_with_what_made_it(trained, url, monkeypatch):
    monkeypatch.setattr(score_files, "BATCH", 7)  # so that it takes many batches
    rows = download(trained, url)
    assert [row["response"] for row in rows] == [score.response_id for score in Score.objects.order_by("pk")]
    assert len(rows) == Response.objects.count() > 100
    model = RewardModel.objects.get()
    for row, score in zip(rows, Score.objects.select_related("response").order_by("pk"), strict=True):
        assert row["score"] == score.value
        assert row["std"] == score.std > 0
        np.testing.assert_array_equal(row["heads"], score.head_values)
        assert (row["n_tokens"], row["truncated"]) == (score.n_tokens, score.is_truncated)
        assert (row["prompt"], row["content_hash"]) == (score.response.prompt_id, score.response.content_hash)
        assert (row["model"], row["version"]) == (model.manifest_hash, "v1")
        assert row["template_hash"] == model.template_hash
        assert row["created_at"] == score.created_at


def test_who_may_not_see_scores_gets_no_file(trained):
    for url in (PAGE, REST):
        assert client_of(trained.people["labeler"]).get(url).status_code in (403, 404)
        assert client_of(trained.people["stranger"]).get(url).status_code == 404
    assert client_of(trained.people["viewer"]).get(REST.replace("/1/", "/9/")).status_code == 404


def test_a_model_without_scores_gives_a_file_without_rows(trained):
    Score.objects.all().delete()
    assert download(trained, PAGE) == []


def test_each_batch_is_one_query_and_scores_that_come_meanwhile_stay_out(trained, monkeypatch):
    monkeypatch.setattr(score_files, "BATCH", 50)
    model, total = RewardModel.objects.get(), Score.objects.count()
    with CaptureQueriesContext(connection) as captured:
        batches = score_files.score_rows(model)
        first = next(batches)
        Score.objects.filter(response_id=first[0]["response"]).delete()
        Score.objects.create(
            reward_model=model, response_id=first[0]["response"], value=9.0, heads=b"", template_hash="x"
        )
        sizes = [len(first), *(len(rows) for rows in batches)]
    assert sum(sizes) == total
    selects = [q for q in captured if q["sql"].startswith("SELECT")]
    assert len(selects) == 1 + len(sizes)


def test_the_page_of_a_model_links_to_the_file(trained):
    page = client_of(trained.people["viewer"]).get("/projects/world/models/1/").content.decode()
    assert f'href="{PAGE}"' in page


def test_no_text_is_read_for_the_file(trained):
    with CaptureQueriesContext(connection) as captured:
        download(trained, PAGE)
    read = [query["sql"] for query in captured if '"labeling_response"' in query["sql"]]
    assert read
    assert not [sql for sql in read if '"labeling_response"."text"' in sql]
