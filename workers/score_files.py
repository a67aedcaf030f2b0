"""Every score of one reward model as a Parquet file, streamed in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from django.db.models import Max
from django.http import StreamingHttpResponse

from labeling.exporting.writers import ParquetWriter, Rows
from workers.models import RewardModel, Score

BATCH = 2000
MEDIA_TYPE = "application/vnd.apache.parquet"
SCHEMA = pa.schema(
    [
        ("response", pa.int64()),
        ("prompt", pa.int64()),
        ("content_hash", pa.string()),
        ("score", pa.float64()),
        ("std", pa.float64()),
        ("heads", pa.list_(pa.float32())),
        ("n_tokens", pa.int64()),
        ("truncated", pa.bool_()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("template_hash", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)


def score_rows(model: RewardModel) -> Iterator[Rows]:
    """Batches of the scores there are at the start, oldest first. One query for each batch."""
    scores = Score.objects.filter(reward_model=model).order_by("pk")
    columns = scores.select_related("response").defer("response__text")  # texts may be gigabytes
    newest, last = scores.aggregate(newest=Max("pk"))["newest"] or 0, 0
    while last < newest:
        found = columns.filter(pk__gt=last, pk__lte=newest)[:BATCH]
        rows = [(score.pk, _row(model, score)) for score in found]
        if not rows:
            return
        last = rows[-1][0]
        yield [row for _pk, row in rows]


def _row(model: RewardModel, score: Score) -> dict[str, Any]:
    return {
        "response": score.response_id,
        "prompt": score.response.prompt_id,
        "content_hash": score.response.content_hash,
        "score": score.value,
        "std": score.std,
        "heads": np.asarray(score.head_values),
        "n_tokens": score.n_tokens,
        "truncated": score.is_truncated,
        "model": model.manifest_hash,
        "version": str(model),
        "template_hash": score.template_hash,
        "created_at": score.created_at,
    }


def _bytes(model: RewardModel) -> Iterator[bytes]:
    writer = ParquetWriter(SCHEMA)
    for rows in score_rows(model):
        yield writer.batch(rows)
    yield writer.end()


def scores_response(model: RewardModel) -> StreamingHttpResponse:
    """The file as a download, for the page and for REST; its memory is one batch's."""
    response = StreamingHttpResponse(_bytes(model), content_type=MEDIA_TYPE)
    response["Content-Disposition"] = f'attachment; filename="{model.project.slug}-{model}-scores.parquet"'
    response["Cache-Control"] = "private, no-cache"
    return response
