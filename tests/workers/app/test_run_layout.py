"""Whether a training read each prompt once or padded its rows, and why: from the run to its page, in both languages."""

from __future__ import annotations

import pytest
from django.utils import translation

from tests.workers.app.conftest import Trained
from tests.workers.app.test_embedding_kind import EMBEDDING, ENSEMBLE, run_of
from tests.workers.app.test_pages import PROJECT, open_as
from tests.workers.app.world import World
from workers.models import TrainingRun
from workers.selectors.runs import PADDED_BECAUSE, layout_words

SMALL = {**ENSEMBLE, "heads": 1, "epochs": 0.1}
ENCODER = PADDED_BECAUSE[0]


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("transformer", SMALL, "Each prompt was read once, and nothing was padded."),
        ("transformer", {**SMALL, "base": "tiny-encoder"}, f"Rows were padded: {ENCODER}."),
        ("embedding", {**EMBEDDING, "pool": "mean"}, f"Rows were padded: {PADDED_BECAUSE[1]}."),
        ("starter", {"heads": 1, "hash_bits": 12}, ""),
    ],
)
def test_a_run_keeps_how_its_rows_were_read(
    world: World, kind: str, config: dict[str, object], said: str
) -> None:
    run = run_of(world, kind, config)
    assert layout_words(run) == said
    with translation.override("zh-hans"):
        assert layout_words(run).isascii() == (not said)


@pytest.mark.parametrize(
    ("counts", "english", "chinese"),
    [
        ({"layout": "tree"}, "Each prompt was read once, and nothing was padded.", "每个提示只读取一次"),
        (
            {"layout": "padded", "padded_because": ENCODER},
            f"Rows were padded: {ENCODER}.",
            "各行已补齐：编码器双向读取",
        ),
    ],
)
def test_the_page_of_a_run_says_it(
    trained: Trained, counts: dict[str, str], english: str, chinese: str
) -> None:
    run = TrainingRun.objects.latest("pk")
    page, client = f"{PROJECT}/models/runs/{run.pk}/", open_as(trained, "manager")
    assert english not in client.get(page).content.decode()
    run.counts |= counts
    run.save(update_fields=["counts"])
    assert english in client.get(page).content.decode()
    html = client.get(page, headers={"accept-language": "zh-hans"}).content.decode()
    assert chinese in html
