"""The embedded broker: a message is there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from queue import Empty

import pytest
from django.conf import settings
from kombu import Connection
from kombu.exceptions import ChannelError

from webapp.jobs.broker import Transport


@pytest.fixture
def channel(tmp_path):
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "control_folder": str(tmp_path / "control"),
    }
    with Connection("filesystem://", transport=Transport, transport_options=options) as connection:
        yield connection.channel()


def test_no_worker_sees_a_message_that_is_still_being_written(channel, monkeypatch):
    finish = Path.rename

    def look_first(path, target):
        assert path.stat().st_size > 0
        with pytest.raises(Empty):
            channel._get("default")
        return finish(path, target)

    monkeypatch.setattr(Path, "rename", look_first)
    channel._put("default", {"job": "七"})
    assert channel._get("default") == {"job": "七"}
    with pytest.raises(Empty):
        channel._get("default")


def test_messages_of_queues_do_not_mix(channel):
    for number in range(3):
        channel._put("default", {"job": number})
        channel._put("gpu", {"job": 10 + number})
    assert sorted(channel._get("default")["job"] for _ in range(3)) == [0, 1, 2]
    assert channel._size("gpu") == 3


def test_a_folder_that_is_gone_is_an_error_of_the_broker(channel, tmp_path):
    (tmp_path / "queue").rmdir()
    with pytest.raises(ChannelError, match="cannot write"):
        channel._put("default", {})


def test_the_embedded_settings_use_it():
    if not settings.CELERY_BROKER_URL.startswith("filesystem"):
        pytest.skip("this run has Redis")
    from webapp.celery import app

    assert isinstance(app.connection_for_write().transport, Transport)
