"""PandaLM's test set, imported: the agreement of its annotators that the page shows is the published one."""

import pytest

from labeling.importing.services import import_run
from labeling.models import Comparison, Preference, Response
from labeling.selectors.agreement import project_agreement
from tests.shared_data import shared_file


@pytest.mark.django_db
def test_pandalm_imported_has_its_published_agreement(bring, project):
    import_run(bring(shared_file("pandalm/testset-v1.json").read_bytes(), "testset-v1.json"))
    assert (Comparison.objects.count(), Preference.objects.count()) == (999, 2997)
    assert "" not in set(Response.objects.values_list("model_name", flat=True))

    agreement = project_agreement(project)
    assert agreement.comparisons == 999
    assert agreement.alpha.value == pytest.approx(0.864, abs=5e-4)
    kappas = {(pair.first, pair.second): (pair.n, pair.kappa.value) for pair in agreement.pairs}
    expected = {
        ("annotator1", "annotator2"): 0.852,
        ("annotator1", "annotator3"): 0.879,
        ("annotator2", "annotator3"): 0.862,
    }
    assert kappas == {pair: (999, pytest.approx(value, abs=5e-4)) for pair, value in expected.items()}
