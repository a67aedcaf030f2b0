import pytest

from webapp.caches import page_cache


@pytest.fixture(autouse=True)
def no_kept_figures():
    """Projects of different tests have the same numbers."""
    page_cache.clear()


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    """Snapshot files of a test go to a folder of its own."""
    settings.DATA_DIR = tmp_path
