import pytest

from labeling.models import Preference
from tests.factories import make_comparison, make_preference, make_team

pytestmark = pytest.mark.django_db


def test_a_team_has_a_person_in_each_role_and_a_comparison_can_be_voted_on():
    team = make_team()
    comparison = make_comparison(team.project)
    make_preference(comparison)

    roles = dict(team.project.memberships.values_list("user__username", "role"))
    assert roles[team.manager.username] == "manager"
    assert team.stranger.username not in roles
    assert comparison.response_a.content_hash < comparison.response_b.content_hash
    assert Preference.objects.get().comparison == comparison
