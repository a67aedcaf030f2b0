import pytest

from labeling.selectors import figures
from webapp.caches import page_cache


@pytest.fixture(autouse=True)
def no_kept_figures(monkeypatch):
    """However slow the machine is, none is dear enough to outlive what it was made from."""
    page_cache.clear()
    monkeypatch.setattr(figures, "CHEAP_S", float("inf"))


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    """Snapshot files of a test go to a folder of its own."""
    settings.DATA_DIR = tmp_path
