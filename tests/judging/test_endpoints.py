"""Endpoints: what is stored, what a probe learns, and that the key shows up nowhere."""

from __future__ import annotations

import io
import logging

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection

from judging.models import Endpoint
from judging.services.endpoints import (
    EndpointChange,
    endpoint_create,
    endpoint_facts,
    endpoint_probe,
    endpoint_secret,
    endpoint_update,
)
from labeling.models import Role
from tests.judging.factories import make_project, make_user
from tests.judging.fake_openai import completion, token
from webapp.outbound import Secret
from webapp.sealing import SealError, seal, unseal

pytestmark = pytest.mark.django_db
CANARY = "sk-canary-77aa77"


@pytest.fixture(autouse=True)
def allow_loopback(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]


def make(project, url, **fields):
    return endpoint_create(
        project=project, name="Server", base_url=url, model="m", api_key=Secret(CANARY), **fields
    )


def test_the_key_is_encrypted_and_comes_back_whole(fake_openai):
    endpoint = make(make_project(0), fake_openai.base_url)
    assert CANARY not in endpoint.api_key_encrypted
    assert endpoint_secret(Endpoint.objects.get(pk=endpoint.pk)).reveal() == CANARY


def test_a_new_address_forgets_the_key_and_what_was_probed(fake_openai):
    endpoint = endpoint_probe(make(make_project(0), fake_openai.base_url))
    assert endpoint.has_key
    assert endpoint.capabilities
    endpoint_update(endpoint, EndpointChange(name="Other name"))
    assert endpoint.has_key
    endpoint_update(endpoint, EndpointChange(base_url="http://127.0.0.1:1/v1"))
    endpoint.refresh_from_db()
    assert (endpoint.has_key, endpoint.capabilities, endpoint.probed_at) == (False, {}, None)


def test_a_new_address_may_come_with_its_own_key(fake_openai):
    endpoint = make(make_project(0), fake_openai.base_url)
    change = EndpointChange(base_url="http://127.0.0.1:1/v1", api_key=Secret("sk-other"))
    assert endpoint_secret(endpoint_update(endpoint, change)).reveal() == "sk-other"


def test_a_private_address_is_refused_before_anything_is_stored(settings):
    settings.OUTBOUND_ALLOW = []
    for url in ("http://127.0.0.1/v1", "http://169.254.169.254/", "file:///etc/passwd", "nonsense"):
        with pytest.raises(ValidationError) as caught:
            make(make_project(0), url)
        assert "base_url" in caught.value.message_dict
    assert not Endpoint.objects.exists()


def test_a_probe_learns_the_dialect(fake_openai):
    def picky(request, body, number):
        if "temperature" in body:
            return request.error(400, "temperature is not supported", "temperature")
        tokens = [token("[["), token("A", -0.1, A=-0.1, B=-2.0), token("]]")]
        return request.json(completion(logprobs={"content": tokens}))

    fake_openai.script = picky
    endpoint = endpoint_probe(make(make_project(0), fake_openai.base_url))
    assert endpoint.probe_error == ""
    assert endpoint_facts(endpoint) == {"log_probabilities": True, "temperature": False, "seed": True}
    assert len(fake_openai.calls) == 2


def test_a_probe_that_fails_says_why(fake_openai):
    fake_openai.script = lambda r, body, n: r.error(401, f"Incorrect API key provided: {CANARY}")
    endpoint = endpoint_probe(make(make_project(0), fake_openai.base_url))
    assert "401" in endpoint.probe_error
    assert CANARY not in endpoint.probe_error
    assert endpoint_facts(endpoint) == {}


def test_a_lost_encryption_key_is_said_so(settings, fake_openai):
    endpoint = make(make_project(0), fake_openai.base_url)
    settings.ENCRYPTION_KEY = "another key entirely"
    with pytest.raises(SealError):
        endpoint_secret(endpoint)
    assert endpoint_probe(endpoint).probe_error
    assert fake_openai.calls == []
    assert unseal(seal(Secret("x"))).reveal() == "x"


def test_the_key_shows_up_nowhere(client, fake_openai, caplog, settings):
    """Dump, database, logs, every page and answer that knows the endpoint, and a failing page's traceback."""
    caplog.set_level(logging.DEBUG)
    project = make_project(1)
    manager = make_user(project, Role.MANAGER)
    client.force_login(manager)
    base = f"/api/v1/projects/{project.slug}/judge-endpoints"
    body = {"name": "Server", "base_url": fake_openai.base_url, "model": "m", "api_key": CANARY}
    fake_openai.script = lambda r, sent, n: r.error(401, f"bad key {r.headers['Authorization']}")
    made = client.post(base, body, content_type="application/json")
    assert made.status_code == 201, made.content
    one = f"{base}/{made.json()['uid']}"
    page = f"/projects/{project.slug}/judge-endpoints/{made.json()['uid']}/"
    answers = [
        made,
        client.get(base),
        client.get(one),
        client.post(f"{one}/probe"),
        client.patch(one, {"api_key": CANARY + "2"}, content_type="application/json"),
        client.get(page),
        client.post(f"{page}probe/", follow=True),
        client.get(f"/projects/{project.slug}/judges/"),
        client.post(page, body | {"name": "", "api_key": CANARY}),
    ]
    assert all(answer.status_code == 200 or answer is made for answer in answers)
    dump = io.StringIO()
    call_command("dumpdata", stdout=dump)
    texts = [answer.content.decode() for answer in answers] + [dump.getvalue(), caplog.text]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM judging_endpoint")
        texts.append(repr(cursor.fetchall()))
        cursor.execute("SELECT * FROM audit_auditevent")
        texts.append(repr(cursor.fetchall()))
    for text in texts:
        assert CANARY not in text
    assert f"Bearer {CANARY}" in {headers["Authorization"] for headers in fake_openai.headers}


def test_a_crash_report_hides_the_key(rf, monkeypatch):
    """Django's own report, with local variables, of an error in the middle of saving a key."""
    import sys

    from django.views.debug import ExceptionReporter

    from judging.views import endpoints as views

    project = make_project(0)
    manager = make_user(project, Role.MANAGER)
    monkeypatch.setattr(views, "endpoint_create", lambda **_: 1 / 0)
    body = {
        "name": "S",
        "base_url": "http://127.0.0.1/v1",
        "model": "m",
        "api_key": CANARY,
        "concurrency": "1",
        "deadline_s": "9",
    }
    request = rf.post("/x", body)
    request.user = manager
    try:
        views.endpoint_new(request, project.slug)
    except ZeroDivisionError:
        kind, error, trace = sys.exc_info()
        # Without this test's own frame, which holds the key to compare with.
        html = ExceptionReporter(request, kind, error, trace.tb_next).get_traceback_html()
        assert "ZeroDivisionError" in html
        assert CANARY not in html
    else:
        pytest.fail("the view should have crashed")
