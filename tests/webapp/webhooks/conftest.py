import pytest

from tests.factories import make_team
from tests.webapp.webhooks.receiver import Receiver
from webapp.caches import page_cache
from webapp.webhooks import events
from webapp.webhooks.services import webhook_create


@pytest.fixture(autouse=True)
def on_this_machine(settings):
    """The receiver is on the loopback address, which an operator has to allow."""
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    page_cache.clear()
    yield
    page_cache.clear()


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    """Names of the tasks that would have gone to the broker."""
    names = []
    monkeypatch.setattr(events.app, "send_task", lambda name, **_options: names.append(name))
    return names


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def team(db):
    return make_team("mine", overlap=2, random_share=0.0)


@pytest.fixture
def hook(team, receiver):
    """(webhook, its secret): asks for labels, resolutions and snapshots."""
    webhook, secret = webhook_create(
        project_id=team.project.pk,
        name="CI",
        url=receiver.url,
        events=["label.created", "label.withdrawn", "resolution.changed", "snapshot.ready"],
        created_by=team.manager,
    )
    return webhook, secret.reveal()
