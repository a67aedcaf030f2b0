"""A file whose keys no layout knows: columns are chosen with a live preview, on a wide screen and on a phone."""

from __future__ import annotations

import pytest

from labeling.importing.services import import_check, import_create
from labeling.importing.uploads import upload_store
from labeling.models import Import, ImportState, Project, Role
from tests.factories import make_user
from tests.journeys.crawler import logged_in
from tests.labeling.importing.conftest import finish_job
from tests.labeling.importing.test_mapping import SHEET, sheet_rows
from tests.labeling.importing.wrappings import table

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def brought():
    project, manager = Project.objects.create(slug="sheets", name="Sheets"), make_user("manager")
    project.memberships.create(user=manager, role=Role.MANAGER)
    long = "Ein langer Text ohne Ende, " * 60
    rows = [
        row | {"links": f"{row['links']} {long}", "anmerkung_des_labors_zur_zeile": long}
        for row in sheet_rows(12)
    ]
    stored = upload_store([table(rows)])
    import_ = import_create(
        project=project, file_name="sheet.csv", stored=stored, created_by=manager, enqueue=False
    )
    import_check(import_)
    return import_, manager


@pytest.mark.parametrize("width", [1440, 390])
def test_columns_are_chosen_with_a_live_preview(web_process, chromium, brought, width):
    import_, manager = brought
    site = web_process()
    context = chromium.new_context(viewport={"width": width, "height": 900})
    logged_in(context, manager, site.url)
    page = context.new_page()
    page.goto(f"{site.url}/projects/sheets/imports/{import_.uid}/")
    page.get_by_role("link", name="Choose columns").click()
    assert page.locator("#mapped .preview").count() == 0
    for target in ("prompt", "response_a", "response_b", "winner"):
        page.locator(f"[name={target}]").select_option(SHEET["columns"][target])
    for outcome, words in SHEET["winner_values"].items():
        page.locator(f"[name=says_{outcome}]").fill(", ".join(words))
    page.locator("#mapped .preview").nth(4).wait_for()
    assert page.locator("#mapped .answer.best").count() >= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Check the file with these columns").click()
    page.wait_for_url(f"**/imports/{import_.uid}/")
    assert Import.objects.get().mapping["columns"]["winner"] == "besser"
    assert finish_job(import_).state == ImportState.READY
    context.close()
