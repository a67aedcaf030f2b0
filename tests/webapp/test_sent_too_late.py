"""A form that is sent after the session has ended leads back to its page, and says that nothing was done."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db
TOKENS = "/account/tokens/"


def login_page(next_path: str) -> str:
    return f"{reverse('account_login')}?next={next_path}"


@pytest.mark.parametrize(
    ("referer", "next_path"),
    [
        ("http://testserver/projects/p/models/3/?a=1", "/projects/p/models/3/%3Fa%3D1"),
        ("http://elsewhere.example/projects/p/", "/"),
        ("", "/"),
    ],
)
def test_a_late_form_leads_back_to_its_page(referer: str, next_path: str) -> None:
    client = Client(headers={"Referer": referer} if referer else {})
    answer = client.post("/projects/p/models/3/promote/")
    assert answer["Location"] == login_page(next_path)
    assert "nothing was done" in client.get(answer["Location"]).content.decode()


def test_opening_a_page_without_a_session_says_nothing() -> None:
    client = Client()
    answer = client.get(TOKENS)
    assert answer["Location"] == login_page(TOKENS)
    assert "nothing was done" not in client.get(answer["Location"]).content.decode()
