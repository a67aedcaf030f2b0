import pytest


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    """Snapshot files of a test go to a folder of its own."""
    settings.DATA_DIR = tmp_path
    return tmp_path
