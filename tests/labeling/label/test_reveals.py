"""Invariant 3 for prompts with several pairs, and for people who may see the other voices by their role."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Assignment, Comparison, Labeler, Preference, Project, Response, Reveal, Role
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit
from tests.factories import make_user
from tests.labeling.label.factories import make_labeler, make_project
from webapp.users.models import User

pytestmark = pytest.mark.django_db
PAGES = ["judging:comparison-panel", "workers:comparison-panel"]
DETAIL = "labeling:comparison"
ALL_PAGES = [*PAGES, DETAIL]


@pytest.fixture
def triangle() -> Project:
    """One prompt with three responses, and so three pairs."""
    project = make_project(1)
    (pair,) = Comparison.objects.all()
    third = Response.objects.create(prompt=pair.prompt, text="Third answer", content_hash="3" * 64)
    for response in (pair.response_a, pair.response_b):
        Comparison.objects.create(
            project=project, prompt=pair.prompt, response_a=response, response_b=third, needed=1, open_slots=1
        )
    return project


def answer(lease: Assignment, **options) -> Preference:
    return preference_submit(
        assignment=lease,
        data={"choice": "1"},
        idempotency_key=f"k{Preference.objects.count()}",
        **options,
    )


def opens(labeler: Labeler, page: str, comparison_id: int) -> int:
    client = Client()
    client.force_login(labeler.user)
    return client.get(reverse(page, args=[labeler.project.slug, comparison_id])).status_code


@pytest.mark.parametrize("page", PAGES)
def test_voices_on_a_pair_stay_closed_while_a_pair_with_one_of_its_responses_is_left(triangle, page):
    me = make_labeler(triangle)
    seen = []
    for _ in range(3):
        lease = lease_next(me, count=1)[0]
        answer(lease)
        seen.append(lease.comparison_id)
        expected = 200 if len(seen) == 3 else 404
        assert [opens(me, page, pk) for pk in seen] == [expected] * len(seen)
    assert not Preference.objects.filter(after_reveal=True).exists()


def test_the_page_says_why_the_voices_are_closed(triangle):
    me = make_labeler(triangle)
    client = Client()
    client.force_login(me.user)
    url = reverse("labeling:label", args=[triangle.slug])
    answer(lease_next(me)[0])
    page = client.get(url).content.decode()
    assert "stays closed until the other pairs" in page
    assert "data-panel" not in page
    for lease in lease_next(me):
        answer(lease)
    page = client.get(url).content.decode()
    assert "stays closed" not in page
    assert "data-panel" in page


def test_a_pair_that_others_have_finished_keeps_nothing_closed(triangle):
    me, other = make_labeler(triangle), make_labeler(triangle)
    mine = lease_next(me, count=1)[0]
    answer(mine)
    for lease in lease_next(other, count=2):
        answer(lease)
    assert opens(me, PAGES[0], mine.comparison_id) == 200


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.MANAGER])
@pytest.mark.parametrize("page", PAGES)
def test_who_may_view_is_kept_blind_while_labeling(triangle, page, role):
    me = make_labeler(triangle, role=role)
    pairs = set(Comparison.objects.values_list("pk", flat=True))
    lease = lease_next(me, count=1)[0]
    assert {opens(me, page, pk) for pk in pairs} == {403}
    assert not Reveal.objects.exists()
    answer(lease)
    assert {opens(me, page, pk) for pk in pairs} == {200}


@pytest.mark.parametrize("way", ["one", "several"])
def test_the_admin_deletes_a_person_with_what_the_person_was_shown(triangle, way):
    me, other = make_labeler(triangle), make_labeler(triangle)
    pair = Comparison.objects.first()
    _mine, theirs = (Reveal.objects.create(user=who.user, comparison=pair) for who in (me, other))
    client = Client()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    if way == "one":
        url, values = reverse("admin:users_user_delete", args=[me.user.pk]), {}
    else:
        url = reverse("admin:users_user_changelist")
        values = {"action": "delete_selected", "_selected_action": [me.user.pk]}
    assert client.post(url, values | {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=me.user.pk).exists()
    assert list(Reveal.objects.all()) == [theirs]
    alone = reverse("admin:labeling_reveal_delete", args=[theirs.pk])
    assert client.post(alone, {"post": "yes"}).status_code == 403
    assert Reveal.objects.filter(pk=theirs.pk).exists()


def test_a_comparisons_page_shows_the_texts_alone_while_one_of_them_is_labeled(triangle):
    me, other = make_labeler(triangle, role=Role.REVIEWER), make_labeler(triangle)
    Response.objects.update(model_name="secret-model")
    answered = lease_next(other, count=1)[0]
    answer(answered)
    mine = lease_next(me, count=1)[0]
    client = Client()
    client.force_login(me.user)
    url = reverse(DETAIL, args=[triangle.slug, answered.comparison_id])
    closed = client.get(url).content.decode()
    assert "First answer" in closed
    assert "is open to you after your answer" in closed
    for hidden in ("secret-model", other.name, "Settled as", 'hx-get="/projects/'):
        assert hidden not in closed
    assert not Reveal.objects.exists()
    answer(mine)
    opened = client.get(url).content.decode()
    for shown in ("secret-model", other.name, "Settled as"):
        assert shown in opened


def test_the_list_keeps_a_pair_in_hand_closed(triangle):
    me, other = make_labeler(triangle, role=Role.REVIEWER), make_labeler(triangle)
    Response.objects.update(model_name="secret-model")
    answer(lease_next(other, count=1)[0])
    mine = lease_next(me, count=1)[0]
    client = Client()
    client.force_login(me.user)
    url = reverse("labeling:comparison-list", args=[triangle.slug])
    closed = client.get(url).content.decode()
    assert closed.count("open after your answer") == 3
    assert "secret-model" not in closed
    answer(mine)
    opened = client.get(url).content.decode()
    assert "open after your answer" not in opened
    assert opened.count("secret-model") == 6


@pytest.mark.parametrize("page", ALL_PAGES)
def test_a_vote_after_a_look_is_marked(triangle, page):
    me, other = make_labeler(triangle, role=Role.REVIEWER), make_labeler(triangle, role=Role.REVIEWER)
    pair = Comparison.objects.earliest("pk")
    assert opens(me, page, pair.pk) == 200
    assert opens(me, page, pair.pk) == 200
    assert Reveal.objects.get().user == me.user
    # The pair itself, and another one with a response of it.
    marks = [answer(lease_next(me, count=1)[0]).after_reveal for _ in range(2)]
    assert marks == [True, True]
    assert not answer(lease_next(other, count=1)[0]).after_reveal


def test_a_look_at_another_prompt_marks_nothing():
    project = make_project(2)
    me = make_labeler(project, role=Role.REVIEWER)
    first, second = lease_next(me)
    answer(first)
    assert opens(me, "labeling:comparison", first.comparison_id) == 200
    assert not answer(second).after_reveal
