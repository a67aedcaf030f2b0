"""The figures that the page shows of public annotations: PandaLM's test set, and raw votes on arguments."""

from __future__ import annotations

import gzip
import itertools
import re
from collections import Counter

import orjson
import pytest
from django.urls import reverse

from labeling.importing.options import ImportOptions
from labeling.importing.services import import_create, import_run
from labeling.importing.uploads import upload_store
from labeling.models import Preference
from labeling.selectors.agreement import project_agreement
from tests.labeling.resolution.builders import make_project
from tests.shared_data import shared_file

pytestmark = pytest.mark.django_db


def brought(project, path):
    import_run(
        import_create(
            project=project,
            file_name=path.name,
            stored=upload_store([path.read_bytes()]),
            options=ImportOptions(),
            enqueue=False,
        )
    )


def slow_alpha(units):
    """Krippendorff's nominal alpha by its definition: observed over expected disagreement of pairable values."""
    units = [values for values in units if len(values) > 1]
    n = sum(map(len, units))
    observed = sum(
        sum(one != two for one, two in itertools.permutations(values, 2)) / (len(values) - 1)
        for values in units
    )
    totals = Counter(itertools.chain.from_iterable(units))
    expected = sum(totals[one] * totals[two] for one, two in itertools.permutations(totals, 2)) / (n - 1)
    return 1 - observed / expected


def test_the_page_shows_the_published_agreement_of_pandalm(as_role):
    project = make_project()
    brought(project, shared_file("pandalm/testset-v1.json"))
    page = as_role(project).get(reverse("labeling:agreement", args=[project.slug])).content.decode()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    alpha = re.search(r"Krippendorff’s alpha, nominal (\d\.\d+) ± (\d\.\d+)", text)
    assert alpha
    assert alpha[1] == "0.864"
    assert 0.01 < float(alpha[2]) < 0.04
    for pair, kappa in (("1 · annotator2", "0.85"), ("1 · annotator3", "0.88"), ("2 · annotator3", "0.86")):
        row = re.search(rf"annotator{pair} 999 (\d\.\d\d) ± \d\.\d\d (\d\.\d\d) ± ", text)
        assert row, pair
        assert row[2] == kappa


def test_alpha_of_raw_argument_votes_is_that_of_an_independent_computation():
    """The file is read here a second time, by its own keys. Values stand as the comparisons are stored, since nominal
    alpha moves when single units are flipped."""
    path = shared_file("convincing-arguments/votes.jsonl.gz")
    project = make_project()
    brought(project, path)
    with gzip.open(path) as lines:
        rows = [orjson.loads(line) for line in lines]
    assert Preference.objects.filter(project=project).count() == sum(len(row["votes"]) for row in rows)
    texts = set(project.comparisons.values_list("response_a__text", "response_b__text"))
    units = []
    for row in rows:
        is_swapped = (row["response_b"], row["response_a"]) in texts
        assert is_swapped != ((row["response_a"], row["response_b"]) in texts)
        flip = {"a": "b", "b": "a"} if is_swapped else {}
        units.append([flip.get(vote["value"], vote["value"]) for vote in row["votes"]])
    found = project_agreement(project)
    assert found.comparisons == len(rows)
    assert found.alpha.value == pytest.approx(slow_alpha(units), abs=0.001)
