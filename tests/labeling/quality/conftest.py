import pytest

from labeling.models import Membership, Role
from webapp.caches import page_cache


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture(autouse=True)
def empty_cache():
    page_cache.clear()


@pytest.fixture
def as_role(client):
    """Log the test's client in as a new member of a project: `as_role(project, "viewer")`."""
    from tests.labeling.resolution.builders import make_user

    def enter(project, role="manager"):
        user = make_user()
        Membership.objects.create(project=project, user=user, role=Role(role))
        client.force_login(user)
        return client

    return enter
