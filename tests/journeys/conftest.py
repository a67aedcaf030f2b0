"""What journeys share: people at browsers of their own."""

from __future__ import annotations

import pytest

from tests.journeys.label_desk import sit_down
from tests.labeling.label.factories import make_labeler


@pytest.fixture
def seat(web_process, chromium):
    """`seat(project, **context options)`: a person at a browser of their own, on the label page."""
    site = web_process()
    contexts = []

    def seat_of(project, labeler=None, **options):
        desk = sit_down(chromium, labeler or make_labeler(project), site.url, **options)
        contexts.append(desk.page.context)
        return desk

    yield seat_of
    for context in contexts:
        context.close()
