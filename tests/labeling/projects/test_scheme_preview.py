"""The settings page shows the dock for the scheme that its form holds, and saves nothing by it."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.models import Project
from tests.factories import make_team

pytestmark = pytest.mark.django_db
FORM = {
    "name": "Other", "overlap": 1, "random_share": 0.2, "lease_s": 900, "skip_limit": 3, "steps": "4",
    "rationale": "optional", "screen": "pairs", "reasons_rule": "optional", "reasons": "cites <sources>\nshorter",
    "aspects": "safe: Safer: 6\nkind: Kinder", "allow_tie": "on",
}  # fmt: skip


@pytest.fixture
def team():
    return make_team()


def shown(client, team, **changes) -> str:
    client.force_login(team.manager)
    answer = client.post(reverse("labeling:scheme-preview", args=[team.project.slug]), FORM | changes)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_form_is_shown_and_not_saved(client, team):
    before = Project.objects.values().get(pk=team.project.pk)
    html = shown(client, team)
    assert html.count('<button name="choice"') == 4 + 1
    assert 'value="tie"' in html
    assert 'value="both_bad"' not in html
    assert html.count('name="aspect-safe"') == 7
    assert html.count('name="aspect-kind"') == 3
    assert "cites &lt;sources&gt;" in html
    assert 'name="rationale"' in html
    assert " inert" in html
    assert Project.objects.values().get(pk=team.project.pk) == before
    assert 'name="rationale"' not in shown(client, team, rationale="off")


def test_other_fields_may_be_wrong_and_the_schemes_own_problems_are_said(client, team):
    html = shown(client, team, name="", overlap="many", steps="2")
    assert html.count('<button name="choice"') == 2 + 1
    html = shown(client, team, aspects="safe: Safer: 5\nsafe: Again", ask_when=["nonsense"])
    assert "<button" not in html
    for words in ("2, 4, 6 or 8 steps", "same key", "nonsense"):
        assert words in html


def test_the_page_begins_with_the_saved_scheme(client, team):
    team.project.scheme = {"steps": 6, "reasons": ["clear"]}
    team.project.save()
    client.force_login(team.manager)
    page = client.get(reverse("labeling:project-settings", args=[team.project.slug])).content.decode()
    assert page.count('<button name="choice"') == 6 + 2
    assert page.index("</form>", page.index("hx-post")) < page.index('<button name="choice"')
