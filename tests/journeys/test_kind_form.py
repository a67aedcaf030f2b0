"""The training form shows the settings of the chosen kind alone, without a script."""

from __future__ import annotations

import pytest

from labeling.models import Project, Role
from tests.factories import make_user
from tests.journeys.crawler import logged_in

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
SHOWN = {
    "starter": {"heads", "seed"},
    "embedding": {"base", "hub", "max_length", "pool", "heads", "seed"},
    "transformer": {
        "base", "hub", "max_length", "ranking", "epochs", "learning_rate", "batch_tokens", "heads", "seed",
    },
}  # fmt: skip
ADVANCED = {"label_smoothing", "focal", "centering", "barrier"}


def test_each_kind_shows_its_own_settings(web_process, chromium):
    project, manager = Project.objects.create(slug="kinds", name="Kinds"), make_user("manager")
    project.memberships.create(user=manager, role=Role.MANAGER)
    site = web_process()
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 1100, "height": 1100})
    logged_in(context, manager, site.url)
    page = context.new_page()
    page.goto(f"{site.url}/projects/kinds/models/train/")

    def shown() -> set[str]:
        fields = page.locator(".form [name]:not([type=hidden]):not([type=radio])").all()
        return {str(field.get_attribute("name")) for field in fields if field.is_visible()}

    for kind, names in SHOWN.items():
        page.check(f"input[value={kind}]")
        assert shown() == names
    page.click(".kind summary")
    assert shown() == SHOWN["transformer"] | ADVANCED
    context.close()
