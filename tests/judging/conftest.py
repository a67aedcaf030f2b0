"""Fixtures of the judging tests."""

import pytest

from tests.judging.fake_openai import FakeOpenAI


@pytest.fixture
def fake_openai():
    server = FakeOpenAI()
    yield server
    server.stop()
