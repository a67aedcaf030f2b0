"""The training form shows the settings of the chosen kind alone, without a script."""

from __future__ import annotations

import pytest

from labeling.models import Project, Role
from tests.factories import make_user
from tests.journeys.crawler import logged_in
from workers.fields import ADVANCED

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
SHOWN = {
    "starter": {"heads", "seed"},
    "embedding": {"base", "hub", "max_length", "pool", "heads", "seed"},
    "transformer": {
        "base", "hub", "max_length", "ranking", "epochs", "learning_rate", "batch_tokens", "heads", "seed",
    },
}  # fmt: skip
FOLDED = {
    "starter": {"margin_scale"},
    "embedding": {"chat_template", "revision", "dtype", "margin_scale"},
    "transformer": {*ADVANCED},
}


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
    for kind, names in SHOWN.items():
        page.check(f"input[value={kind}]")
        assert shown() == names | FOLDED[kind]
    page.check("input[value=random]")
    assert shown() == {"seed"}
    context.close()


def test_a_wrong_advanced_setting_is_seen_on_a_phone(web_process, chromium):
    """Nothing but the browser: what is refused is in view, in an open group, and what was typed in is still there."""
    project, manager = Project.objects.create(slug="kinds", name="Kinds"), make_user("manager")
    project.memberships.create(user=manager, role=Role.MANAGER)
    site = web_process()
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    logged_in(context, manager, site.url)
    page = context.new_page()
    page.goto(f"{site.url}/projects/kinds/models/policy/")
    page.check("input[value=transformer]")
    page.click(".kind summary")
    page.fill("[name=lora_rank]", "8")
    page.fill("[name=weight_decay]", "3")
    page.fill("[name=chat_template]", "{{ messages }}\n")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("button.primary")
    assert page.locator(".advanced[open] .form-row:has([name=weight_decay]) .errorlist").is_visible()
    page.fill("[name=weight_decay]", "0.1")
    page.click("button.primary")
    assert "tiny has none of its own" in page.inner_text(
        ".advanced[open] .form-row:has([name=lora_rank]) .errorlist"
    )
    assert page.input_value("[name=chat_template]") == "{{ messages }}\n"
    context.close()
