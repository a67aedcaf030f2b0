import pytest

from tests.webapp.jobs.handlers import KINDS
from webapp.jobs import publishing


@pytest.fixture(autouse=True)
def job_kinds(settings, tmp_path):
    settings.JOB_KINDS = settings.JOB_KINDS | KINDS
    settings.DATA_DIR = tmp_path
    settings.JOB_RETRY_S = 5


class Sent(list):
    """Messages that would have gone to the broker, as (task, job id, queue). `broken` makes sending fail."""

    broken = False

    def send_task(self, name, *, kwargs, queue, **_options):
        if self.broken:
            raise ConnectionError("no broker here")
        self.append((name, kwargs["job_id"], queue))


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    messages = Sent()
    monkeypatch.setattr(publishing.app, "send_task", messages.send_task)
    return messages
