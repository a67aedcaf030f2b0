"""A manager finds some among many, keeps the filter, and retires two of them with the boxes; on a phone, too."""

from __future__ import annotations

import pytest

from labeling.models import Comparison, Role, SavedFilter
from tests.factories import make_comparison, make_labeler, make_project, make_user
from tests.journeys.crawler import logged_in
from tests.labeling.items.builders import index_all

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1440, 390])
def test_search_keep_tick_and_retire(web_process, chromium, width):
    project, manager = make_project("items", overlap=1), make_user("manager")
    project.memberships.create(user=manager, role=Role.MANAGER)
    make_labeler(project, "Li")
    salts = [make_comparison(project, texts=(f"食盐的溶解度 {n}", f"糖 {n}")).pk for n in range(3)]
    for _ in range(4):
        make_comparison(project)
    index_all(project)
    site = web_process()
    context = chromium.new_context(viewport={"width": width, "height": 900})
    logged_in(context, manager, site.url)
    page = context.new_page()
    page.goto(f"{site.url}/projects/items/comparisons/")
    assert page.locator("input[name=id]").count() == 7
    page.fill("[name=q]", "溶解度")
    page.keyboard.press("Enter")
    page.get_by_text("3 comparisons found").wait_for()
    assert "q=" in page.url
    page.get_by_text("Keep this filter").click()
    page.fill("#keep-name", "salts")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("link", name="salts").wait_for()
    assert SavedFilter.objects.get().query == {"q": "溶解度"}
    boxes = page.locator("input[name=id]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    assert "(2)" in page.locator("#bulk-scope option").first.inner_text()
    assert page.locator("#bulk-priority").is_visible()
    page.select_option("#bulk-action", "retire")
    assert not page.locator("#bulk-priority").is_visible()
    page.get_by_role("button", name="See what it does").click()
    page.get_by_role("button", name="Do it with 2 comparisons").click()
    page.get_by_text("2 comparisons were changed").wait_for()
    retired = Comparison.objects.filter(state="retired").order_by("pk").values_list("pk", flat=True)
    assert list(retired) == salts[1:]
    page.get_by_text("More filters").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
