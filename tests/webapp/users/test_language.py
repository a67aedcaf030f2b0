"""The language buttons below each page: for somebody with an account they count, whatever was chosen before."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests.factories import make_user

pytestmark = pytest.mark.django_db
ADDRESS = "/account/language/"


def language_of(response) -> str:
    return response.headers["Content-Language"]


def test_the_button_works_after_a_choice_in_the_profile(client):
    user = make_user()
    client.force_login(user)
    for chosen, other in (("en", "zh-hans"), ("zh-hans", "en")):
        user.language = chosen
        user.save()
        assert language_of(client.get("/account/profile/")) == chosen
        assert (
            client.post(ADDRESS, {"language": other, "next": "/account/profile/"}).url == "/account/profile/"
        )
        assert language_of(client.get("/account/profile/")) == other
        user.refresh_from_db()
        assert user.language == other


def test_the_buttons_of_the_page_lead_there(client):
    page = client.get("/account/login/").content.decode()
    assert f'action="{ADDRESS}"' in page


def test_a_visitor_has_a_cookie(client):
    answer = client.post(ADDRESS, {"language": "zh-hans", "next": "/account/login/"})
    assert answer.cookies[settings.LANGUAGE_COOKIE_NAME].value == "zh-hans"
    assert language_of(client.get("/account/login/")) == "zh-hans"


@pytest.mark.parametrize("language", ["", "xx", "en; drop", "zh-hans\x00"])
def test_a_language_without_texts_changes_nothing(client, language):
    user = make_user()
    user.language = "en"
    user.save()
    client.force_login(user)
    client.post(ADDRESS, {"language": language})
    user.refresh_from_db()
    assert user.language == "en"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_the_way_back_stays_on_this_site(client, target):
    assert "evil" not in client.post(ADDRESS, {"language": "en", "next": target}).url
    assert client.get(ADDRESS).status_code == 405
