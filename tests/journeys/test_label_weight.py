"""What the first load of the label page costs: bytes and requests."""

from __future__ import annotations

import pytest

from tests.journeys.label_desk import note_figures
from tests.journeys.test_label_long_day import SCHEME, lifelike
from tests.labeling.label.factories import make_project

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
MOST_BYTES = 120_000
MOST_REQUESTS = 8


def test_a_first_load_is_light(seat):
    """Nothing is cached and nothing compressed; the icon counts, though a headless browser asks for none."""
    project = make_project(4, scheme=SCHEME, guidelines="Choose what **helps**.")
    lifelike(project)
    desk = seat(project)
    loaded = []
    desk.page.on("requestfinished", lambda request: loaded.append(request))
    desk.open()
    desk.page.wait_for_load_state("networkidle")
    sizes = {request.url: request.sizes() for request in loaded}
    weights = {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in sizes.items()}
    icon = f"{desk.url}{desk.page.get_attribute('link[rel=icon]', 'href')}"
    if icon not in weights:
        weights[icon] = len(desk.page.context.request.get(icon).body())
    note_figures("first load", requests=len(weights), bytes=sum(weights.values()))
    assert len(weights) <= MOST_REQUESTS
    assert sum(weights.values()) <= MOST_BYTES
    assert desk.problems == []
