"""Small manners of every page: a form is sent once, and a long word does not push the page aside."""

from __future__ import annotations

import pytest

from labeling.models import Comparison, Invitation, Project, Prompt, Response, Role
from tests.factories import make_user
from tests.journeys.crawler import logged_in

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
WORD = "w" * 5000


@pytest.fixture
def project() -> Project:
    return Project.objects.create(slug="manners", name="n" * 80)


@pytest.fixture
def page(web_process, chromium, project):
    manager = make_user("manager")
    project.memberships.create(user=manager, role=Role.MANAGER)
    site = web_process()
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    logged_in(context, manager, site.url)
    opened = context.new_page()
    opened.address = f"{site.url}/projects/{project.slug}/"
    opened.home = f"{site.url}/"
    yield opened
    context.close()


def test_a_double_click_sends_a_form_once_and_the_back_button_frees_it(page):
    page.goto(f"{page.address}people/")
    page.wait_for_load_state("networkidle")
    page.dblclick("form.card button.primary")
    page.wait_for_selector("#invite")
    page.wait_for_load_state("networkidle")
    assert Invitation.objects.count() == 1
    page.go_back()
    page.wait_for_load_state("networkidle")
    page.click("form.card button.primary")
    page.wait_for_selector("#invite")
    assert Invitation.objects.count() == 2


def test_a_second_choice_in_a_list_that_sends_itself_is_sent_too(page, project):
    member = project.memberships.create(user=make_user("member"), role=Role.VIEWER)
    page.goto(f"{page.address}people/")
    page.wait_for_load_state("networkidle")
    sent = []

    def answer_the_second(route):
        sent.append(route.request.post_data)
        if len(sent) == 1:
            route.fulfill(status=204)  # the browser stays on the page
        else:
            route.continue_()

    page.route(f"**/people/{member.pk}/", answer_the_second)
    roles = page.locator(f"form[action$='/people/{member.pk}/'] select")
    with page.expect_response(f"**/people/{member.pk}/"):
        roles.select_option(Role.LABELER)
    with page.expect_event("load"):
        roles.select_option(Role.MANAGER)
    member.refresh_from_db()
    assert (len(sent), member.role) == (2, Role.MANAGER)


def test_a_word_of_5000_letters_stays_inside_the_page(page, project):
    prompt = Prompt.objects.create(
        project=project,
        messages=[{"role": "user", "content": f"```\n{WORD}\n```"}],
        content_hash="p",
        topic=WORD[:100],
    )
    first, second = (
        Response.objects.create(prompt=prompt, text=text, content_hash=text[:9])
        for text in (f"`{WORD}`", f"| a |\n|---|\n| {WORD} |")
    )
    comparison = Comparison.objects.create(
        project=project, prompt=prompt, response_a=first, response_b=second
    )
    for path in (
        page.home,
        page.address,
        f"{page.address}comparisons/",
        f"{page.address}comparisons/{comparison.pk}/",
        f"{page.address}label/",
    ):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
