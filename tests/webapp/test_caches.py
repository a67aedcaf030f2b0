"""Limits are counted once for all processes, by the client's own address."""

from __future__ import annotations

import pickle
import random

import pytest
import redis
from django.core.cache import cache, caches
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from rest_framework.exceptions import Throttled

from tests.factories import make_user
from webapp.api.throttling import WindowThrottle
from webapp.caches import page_cache
from webapp.env import read_caches


@pytest.fixture
def on_redis(redis_server, settings, monkeypatch):
    monkeypatch.delenv("CHOSEN_CACHE_URL", raising=False)
    settings.CACHES = read_caches("CHOSEN_CACHE_URL", broker=redis_server.url)
    return redis_server


def other_process():
    """A second process has connections of its own."""
    return caches.create_connection("default")


def test_the_cache_follows_the_broker_unless_it_has_an_address_of_its_own(monkeypatch):
    monkeypatch.delenv("CHOSEN_CACHE_URL", raising=False)
    assert read_caches("CHOSEN_CACHE_URL", broker="filesystem://")["default"] == {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache"
    }
    assert read_caches("CHOSEN_CACHE_URL", broker="redis://a/0")["default"]["LOCATION"] == "redis://a/0"
    socket = read_caches("CHOSEN_CACHE_URL", broker="redis+socket:///s.sock?virtual_host=3")
    assert socket["default"]["LOCATION"] == "unix:///s.sock?db=3"
    monkeypatch.setenv("CHOSEN_CACHE_URL", "rediss://b/1")
    assert read_caches("CHOSEN_CACHE_URL", broker="redis://a/0")["default"]["LOCATION"] == "rediss://b/1"
    for celery, ours in [("CERT_REQUIRED", "required"), ("CERT_NONE", "none"), ("optional", "optional")]:
        url = read_caches("X", broker=f"rediss://b/1?ssl_cert_reqs={celery}")["default"]["LOCATION"]
        assert url == f"rediss://b/1?ssl_cert_reqs={ours}"
        assert redis.ConnectionPool.from_url(url).make_connection().cert_reqs is not None
    monkeypatch.setenv("CHOSEN_CACHE_URL", "http://b/1")
    with pytest.raises(ImproperlyConfigured, match="CHOSEN_CACHE_URL"):
        read_caches("CHOSEN_CACHE_URL", broker="")


def test_another_process_sees_what_was_counted_and_pages_stay_here(on_redis):
    cache.set("hits", [3.5, 1.0], 60)
    page_cache.set("figure", {"any": object}, 60)
    assert other_process().get("hits") == [3.5, 1.0]
    assert not other_process().add("hits", True, 60)
    assert other_process().get("figure") is None
    assert page_cache.get("figure") == {"any": object}
    assert [key for key in on_redis.client().scan_iter() if not key.startswith(b"chosen:")] == []


def test_what_is_no_json_is_not_run(on_redis):
    on_redis.client().set("chosen:1:hits", pickle.dumps(["a"]))
    with pytest.raises(ValueError):
        cache.get("hits")


def test_while_redis_is_away_people_pass(on_redis):
    on_redis.kill()
    cache.set("hits", [1.0], 60)
    assert cache.get("hits", []) == []
    assert cache.add("lock", True, 60)
    assert not cache.delete("hits")
    on_redis.start()
    cache.set("hits", [2.0], 60)
    assert cache.get("hits") == [2.0]


def test_a_redis_that_refuses_is_not_taken_for_away(on_redis, settings):
    wrong = {"LOCATION": "rediss://127.0.0.1:1/0?ssl_cert_reqs=perhaps"}
    misspelt = override_settings(CACHES={"default": settings.CACHES["default"] | wrong})
    with misspelt, pytest.raises(redis.RedisError, match="perhaps"):
        other_process().add("lock", True, 60)
    on_redis.client().config_set("requirepass", "secret")
    with pytest.raises(redis.AuthenticationError):
        other_process().get("hits")


@pytest.mark.django_db
def test_failed_log_ins_in_other_processes_count(client, on_redis):
    make_user(username="ann")
    limited = 0
    for _attempt in range(12):
        answer = client.post("/account/login/", {"login": "ann", "password": "wrong"})
        limited += "Too many" in answer.text or answer.status_code == 429
        # A new process begins with an empty memory.
        caches["pages"].clear()
        del caches["default"]
    assert limited > 0


class Throttle(WindowThrottle):
    """As for people who are not logged in."""

    rate = "2/min"

    def get_cache_key(self, request, view):
        return f"throttle:{self.get_ident(request)}"


def forwarded(addresses: str, remote: str = "10.0.0.1"):
    return RequestFactory().get("/", REMOTE_ADDR=remote, headers={"x-forwarded-for": addresses})


def test_requests_are_counted_for_all_processes(on_redis, monkeypatch):
    answers = []
    for _process in range(4):
        monkeypatch.setattr(Throttle, "cache", other_process())
        answers.append(Throttle().allow_request(forwarded(""), None))
    assert answers == [True, True, False, False]


def test_a_window_passes_on_to_the_next_what_is_not_a_minute_old(monkeypatch):
    monkeypatch.setattr(Throttle, "rate", "60/min")
    clock = [600.0]

    def allowed(at: float, number: int) -> int:
        clock[0] = at
        throttle = Throttle()
        throttle.timer = lambda: clock[0]
        return sum(throttle.allow_request(forwarded("", "10.0.0.9"), None) for _ in range(number))

    cache.clear()
    assert allowed(600.0, 100) == 60
    assert allowed(659.0, 5) == 0
    assert allowed(660.0, 5) == 0  # all sixty are less than a minute old
    assert allowed(675.0, 20) == 15  # a quarter of them is older; the five that were refused do not count
    assert allowed(675.0, 5) == 0
    assert allowed(800.0, 100) == 60
    # Twice the rate, refused half of the time: as many as the rate says get through, minute after minute.
    passed = [allowed(900.0 + half, 2) for half in range(120)]
    assert (sum(passed[:60]), sum(passed[60:])) == (60, 59)


@pytest.mark.parametrize("rate", ["1/s", "1/min", "2/min", "3/min", "7/min", "60/min", "1/hour", "10/day"])
def test_who_is_refused_is_told_when_the_next_one_passes(rate, monkeypatch):
    """At the second that the header names, rounded up, and not much before."""
    monkeypatch.setattr(Throttle, "rate", rate)
    cache.clear()
    chance, now = random.Random(rate), 864_000.0 + 0.25

    def refused(at: float) -> WindowThrottle | None:
        throttle = Throttle()
        throttle.timer = lambda: at
        return None if throttle.allow_request(forwarded("", "10.0.0.8"), None) else throttle

    told = []
    gap = Throttle().duration / Throttle().num_requests
    for _time in range(300):
        throttle = refused(now)
        if throttle is None:
            now += chance.choice([0, 0, 0, 0, 0.5, 3]) * gap
            continue
        wait = Throttled(throttle.wait()).wait
        assert wait < 2 or refused(now + wait - 2)
        told.append(wait)
        now += wait
        assert refused(now) is None
    assert len(told) > 5


def test_where_nothing_is_let_pass_no_time_is_told(monkeypatch):
    monkeypatch.setattr(Throttle, "rate", "0/min")
    throttle = Throttle()
    assert (throttle.allow_request(forwarded("", "10.0.0.7"), None), throttle.wait()) == (False, None)


@pytest.mark.parametrize(("proxies", "expected"), [(0, "10.0.0.1"), (1, "2.2.2.2"), (2, "1.1.1.1")])
def test_only_so_many_entries_of_the_header_are_believed(settings, proxies, expected):
    from allauth.account.adapter import get_adapter

    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": proxies}
    request = forwarded("9.9.9.9, 1.1.1.1, 2.2.2.2")
    assert get_adapter().get_client_ip(request) == expected
    assert Throttle().get_ident(request) == expected


def test_both_limits_read_one_setting(settings):
    assert settings.REST_FRAMEWORK["NUM_PROXIES"] == settings.ALLAUTH_TRUSTED_PROXY_COUNT == 0
