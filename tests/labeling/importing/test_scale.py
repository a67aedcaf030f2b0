"""What an import costs: statements, memory; and the public files, whole."""

import gc
import tracemalloc

import orjson
import pytest

from labeling.importing.services import import_check, import_confirm, import_run, import_write
from labeling.models import Comparison, Preference, Prompt, Resolution, Response
from tests.labeling.importing.helpers import jsonl, rows_of
from tests.shared_data import shared_file

TABLES = (Prompt, Response, Comparison, Preference)


def table_counts():
    return tuple(model.objects.count() for model in TABLES)


@pytest.mark.django_db
def test_queries_of_a_batch_do_not_depend_on_its_size(bring, django_assert_max_num_queries):
    import_run(bring(jsonl(rows_of("trl_explicit", 3))))
    import_ = bring(jsonl(rows_of("trl_explicit", 300)))
    import_check(import_)
    import_confirm(import_, enqueue=False)
    with django_assert_max_num_queries(60):
        import_write(import_)
    assert Comparison.objects.count() == 300


@pytest.mark.django_db
def test_memory_of_both_passes_does_not_grow_with_the_file(bring, tmp_path):
    sizes = {}

    def peak_mb(rows: int) -> float:
        data = tmp_path / f"{rows}.jsonl"
        with data.open("wb") as out:
            for number in range(rows):
                out.write(
                    orjson.dumps(
                        {
                            "id": f"{number}",
                            "prompt": f"{rows} {number} " + "p" * 900,
                            "responses": [f"{number} " + "r" * 900],
                        }
                    )
                    + b"\n"
                )
        sizes[rows] = data.stat().st_size / 1e6
        import_ = bring(data.read_bytes())
        gc.collect()
        tracemalloc.start()
        import_check(import_)
        import_confirm(import_, enqueue=False)
        import_write(import_)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / 1e6

    peak_mb(100)
    small, large = peak_mb(2_500), peak_mb(9_000)
    assert large - small < (sizes[9_000] - sizes[2_500]) / 2  # who held the texts would have all of it


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "options", "counts"),
    [
        ("convincing-arguments/pairs.jsonl.gz", {"group_key": "debate"}, (22, None, 7689, 7689)),
        ("oasst-zh/oaast_rm_zh.json", {"language": "zh"}, (753, None, None, None)),
    ],
)
def test_public_files_are_imported_whole(bring, name, options, counts):
    import_ = bring(shared_file(name).read_bytes(), **options)
    import_run(import_)
    assert [found for found, wanted in zip(table_counts(), counts, strict=True) if wanted is not None] == [
        wanted for wanted in counts if wanted is not None
    ]
    assert Comparison.objects.filter(label_count=0).count() == 0
    assert Resolution.objects.count() == Comparison.objects.count()
    if options.get("group_key"):
        assert Prompt.objects.values("group").distinct().count() == 11
