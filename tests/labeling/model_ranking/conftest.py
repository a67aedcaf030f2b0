import pytest

from webapp.caches import page_cache


@pytest.fixture(autouse=True)
def no_kept_figures():
    """Projects of different tests have the same numbers."""
    page_cache.clear()
