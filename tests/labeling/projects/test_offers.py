"""Pages offer to label where a comparison waits for a label, and the file that comes first where there is none."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.models import Comparison
from labeling.pages import TABS
from tests.factories import make_comparison, make_team

pytestmark = pytest.mark.django_db
PAGES = [name for key, _words, name, _capability in TABS if key != "label"]


@pytest.fixture
def team():
    return make_team()


def offers(client, person, project, name) -> tuple[int, int]:
    """How often a page leads to the label page, its tab not counted, and to the import of a file."""
    client.force_login(person)
    html = client.get(reverse(name, args=[project.slug])).content.decode()
    places = [
        f'href="{reverse(place, args=[project.slug])}"' for place in ("labeling:label", "labeling:import-new")
    ]
    head, _tabs, rest = html.partition('<nav class="tabs"')
    body = head + rest.partition("</nav>")[2]
    return body.count(places[0]), body.count(places[1])


@pytest.mark.parametrize("name", PAGES)
def test_nothing_to_label_is_offered_nowhere(client, team, name):
    assert offers(client, team.manager, team.project, name)[0] == 0
    make_comparison(team.project)
    Comparison.objects.update(state="done", label_count=1, open_slots=0)
    assert offers(client, team.manager, team.project, name)[0] == 0


@pytest.mark.parametrize("name", ["labeling:snapshot-list", "labeling:agreement"])
def test_without_labels_the_first_step_is_the_one_that_can_be_taken(client, team, name):
    assert offers(client, team.manager, team.project, name) == (0, 1)
    assert offers(client, team.reviewer, team.project, name) == (0, 0)
    make_comparison(team.project)
    assert offers(client, team.manager, team.project, name) == (1, 0)
    assert offers(client, team.viewer, team.project, name) == (0, 0)


def test_the_overview_and_ones_own_statistics_lead_on(client, team):
    for name in ("labeling:project", "labeling:mine"):
        assert offers(client, team.reviewer, team.project, name)[0] == 0
    make_comparison(team.project)
    for name in ("labeling:project", "labeling:mine"):
        assert offers(client, team.reviewer, team.project, name)[0] == 1
    client.force_login(team.reviewer)
    tab = f'<a href="{reverse("labeling:label", args=[team.project.slug])}">Label</a>'
    assert tab in client.get(reverse("labeling:review", args=[team.project.slug])).content.decode()
    client.force_login(team.viewer)
    assert tab not in client.get(reverse("labeling:review", args=[team.project.slug])).content.decode()


def test_who_manages_a_project_is_offered_another_one(client, team):
    for person, is_offered in ((team.manager, True), (team.reviewer, False)):
        client.force_login(person)
        html = client.get(reverse("labeling:home")).content.decode()
        assert (reverse("labeling:project-new") in html) is is_offered
