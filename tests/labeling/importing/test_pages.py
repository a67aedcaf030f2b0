"""The import pages: from choosing a file to its end, for managers alone."""

import gzip

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from labeling.importing.services import import_fail
from labeling.models import Comparison, Import, ImportState, Membership, Preference, Project, Prompt, Role
from tests.labeling.importing.conftest import finish_job
from tests.labeling.importing.helpers import FAMILIES, jsonl, rows_of
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel
from webapp.users.models import User


def upload(client, data, name="pairs.jsonl", **fields):
    fields = {"pairs": "all", "use_gold": "on"} | fields
    file = SimpleUploadedFile(name, data)
    return client.post(reverse("labeling:import-new", args=["pairs"]), {"file": file, **fields})


@pytest.fixture
def browser(client, manager, project):
    client.force_login(manager)
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("layout", FAMILIES)
def test_a_file_goes_from_the_upload_to_the_label_queue(browser, layout):
    answer = upload(browser, gzip.compress(jsonl(rows_of(layout, 5))), group_key="debate")
    page = browser.get(answer["Location"]).content.decode()
    assert 'hx-trigger="every 1s"' in page
    import_ = finish_job(Import.objects.get())
    page = browser.get(answer["Location"]).content.decode()
    assert import_.state == ImportState.READY
    assert 'hx-trigger="every 1s"' not in page
    assert "Preview" in page
    assert page.count('class="card preview"') == 5
    stands_alone = layout.startswith("kto")  # these rows have a prompt each: nothing to compare them with
    assert ("responses without a comparison" in page) is stands_alone
    assert (">desirable<" in page) is stands_alone
    assert not Prompt.objects.exists()
    confirmed = browser.post(reverse("labeling:import-confirm", args=["pairs", import_.uid]))
    assert confirmed["Location"] == answer["Location"]
    assert "Once the import is done." in browser.get(answer["Location"]).content.decode()
    import_ = finish_job(import_)
    assert import_.state == ImportState.DONE
    page = browser.get(answer["Location"]).content.decode()
    waits = Comparison.objects.filter(state="open", open_slots__gt=0).exists()
    assert waits is (layout == "responses")  # the others bring their votes along
    assert (f'primary" href="{reverse("labeling:label", args=["pairs"])}"' in page) is waits
    assert ("No comparison of this project waits for a label." in page) is not waits
    assert set(Prompt.objects.values_list("group", flat=True)) == {"d0", "d1", "d2"}
    assert Comparison.objects.count() == import_.counts["written"]["comparisons"]
    assert Comparison.objects.exists() is not stands_alone
    listed = browser.get(reverse("labeling:import-list", args=["pairs"])).content.decode()
    assert "pairs.jsonl" in listed


@pytest.mark.django_db
def test_the_poll_answers_with_the_body_and_asks_for_the_whole_page_at_the_end(browser):
    url = upload(browser, jsonl(rows_of("votes", 3)))["Location"]
    polled = browser.get(url, headers={"HX-Request": "true"})
    assert polled.content.decode().strip().startswith('<div id="import-body"')
    assert "HX-Refresh" not in polled
    finish_job(Import.objects.get())
    assert browser.get(url, headers={"HX-Request": "true"})["HX-Refresh"] == "true"


@pytest.mark.django_db
def test_a_csv_export_from_before_the_headers_mark_is_told_of_and_comes_back_with_it(browser):
    rows = "prompt,chosen,rejected\r\nTwo?,'=1+1,'-3\r\nFour?,four,five\r\n"
    for header, told, text in (("prompt", True, "'=1+1"), ('"prompt"', False, "=1+1")):
        address = upload(browser, rows.replace("prompt", header, 1).encode(), "old.csv")["Location"]
        found = finish_job(Import.objects.latest("pk"))
        page = browser.get(address).content.decode()
        assert ("1 record of this table has a text with a ' before =" in page) is told
        assert ("put the name of its first column, and no other, between quotes" in page) is told
        assert found.preview[0]["responses"][0]["text"] == text


@pytest.mark.django_db
def test_bad_lines_can_be_skipped_from_the_page(browser):
    url = upload(browser, jsonl(rows_of("votes", 6)) + b"{bad\n")["Location"]
    import_ = finish_job(Import.objects.get())
    page = browser.get(url).content.decode()
    assert "Skip 1 bad line and import the rest" in page
    browser.post(reverse("labeling:import-confirm", args=["pairs", import_.uid]), {"skip_bad": "1"})
    finish_job(import_)
    assert "1 bad line was skipped." in browser.get(url).content.decode()
    assert Preference.objects.count() == 18


@pytest.mark.django_db
def test_other_settings_check_the_file_again(browser):
    url = upload(browser, jsonl(rows_of("ranked", 4)))["Location"]
    import_ = finish_job(Import.objects.get())
    assert import_.counts["pairs"] == 12
    page = browser.get(url).content.decode()
    assert "<code>debate</code>" in page
    again = reverse("labeling:import-recheck", args=["pairs", import_.uid])
    assert browser.post(again, {"pairs": "adjacent", "group_key": "debate"})["Location"] == url
    import_ = finish_job(import_)
    assert (import_.state, import_.counts["pairs"], import_.options["group_key"]) == ("ready", 8, "debate")
    refused = browser.post(again, {"pairs": "sideways"})
    assert refused.status_code == 200
    assert "errorlist" in refused.content.decode()


@pytest.mark.django_db
def test_a_failed_import_can_be_tried_again(browser):
    url = upload(browser, jsonl(rows_of("votes", 4)))["Location"]
    import_ = finish_job(Import.objects.get())
    browser.post(reverse("labeling:import-confirm", args=["pairs", import_.uid]))
    import_fail(Import.objects.get(), "the disk was full")
    page = browser.get(url).content.decode()
    assert "the disk was full" in page
    browser.post(reverse("labeling:import-retry", args=["pairs", import_.uid]))
    assert finish_job(import_).state == ImportState.DONE
    assert Comparison.objects.count() == 4


@pytest.mark.django_db
def test_an_import_follows_its_cancelled_job_and_can_go_on(browser):
    url = upload(browser, jsonl(rows_of("votes", 4)))["Location"]
    import_ = Import.objects.get()
    job_cancel(Job.objects.get(uid=import_.job_uid))
    import_.refresh_from_db()
    assert import_.state == ImportState.FAILED
    assert "Nothing was written." in browser.get(url).content.decode()
    browser.post(reverse("labeling:import-retry", args=["pairs", import_.uid]))
    assert finish_job(import_).state == ImportState.READY


@pytest.mark.django_db
def test_an_upload_can_be_thrown_away(browser):
    upload(browser, jsonl(rows_of("votes", 4)))
    import_ = finish_job(Import.objects.get())
    browser.post(reverse("labeling:import-discard", args=["pairs", import_.uid]))
    assert not Import.objects.exists()


@pytest.mark.django_db
def test_a_file_over_the_cap_is_refused_in_the_form(browser, settings):
    settings.UPLOAD_MAX_BYTES = 1024
    answer = upload(browser, b"x" * 2000)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not Import.objects.exists()


@pytest.mark.django_db
def test_hostile_text_in_names_and_rows_is_shown_as_text(browser):
    rows = [
        {"prompt": "<script>alert(1)</script>", "chosen": "<img src=x onerror=alert(1)>", "rejected": "no"}
    ]
    url = upload(browser, jsonl(rows), name="<b>x.jsonl")["Location"]
    finish_job(Import.objects.get())
    page = browser.get(url).content.decode()
    assert "<script>alert" not in page
    assert "onerror=alert(1)>" not in page.replace("&gt;", "")
    assert "<b>x.jsonl" not in page


PAGES = ["import-list", "import-new"]
ONE = ["import-detail", "import-confirm", "import-recheck", "import-retry", "import-discard"]


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.REVIEWER, Role.LABELER, Role.VIEWER, None])
def test_only_managers_import(client, project, bring, role):
    person = User.objects.create_user("other", password="long enough 1")
    if role:
        Membership.objects.create(project=project, user=person, role=role)
    client.force_login(person)
    import_ = bring(jsonl(rows_of("votes", 2)))
    expected = 403 if role else 404
    for name in PAGES:
        assert client.get(reverse(f"labeling:{name}", args=["pairs"])).status_code == expected
    for name in ONE:
        method = client.get if name == "import-detail" else client.post
        assert method(reverse(f"labeling:{name}", args=["pairs", import_.uid])).status_code == expected


@pytest.mark.django_db
def test_an_import_of_another_project_is_not_found(browser, bring):
    other = Project.objects.create(name="Other", slug="other")
    import_ = bring(jsonl(rows_of("votes", 2)), into=other)
    for slug in ("pairs", "other"):
        assert browser.get(reverse("labeling:import-detail", args=[slug, import_.uid])).status_code == 404


@pytest.mark.django_db
def test_the_list_costs_the_same_for_one_import_and_for_thirty(browser, bring, django_assert_max_num_queries):
    url = reverse("labeling:import-list", args=["pairs"])
    for number in range(30):
        bring(b"{}", f"{number}.jsonl")
    with django_assert_max_num_queries(12):
        response = browser.get(url)
    assert response.status_code == 200
    assert b".jsonl" in response.content
