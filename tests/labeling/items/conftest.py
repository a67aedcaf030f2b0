from __future__ import annotations

import pytest

from webapp.caches import page_cache


@pytest.fixture(autouse=True)
def empty_cache():
    page_cache.clear()
