"""Projects, members, invitations: who gets in, and with what role."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.models import (
    Comparison,
    ComparisonState,
    Invitation,
    Membership,
    Project,
    Prompt,
    Response,
    Role,
)
from labeling.services.projects import (
    InvitationProblem,
    account_create,
    invitation_accept,
    invitation_create,
    membership_change,
    project_create,
    project_update,
)
from webapp.audit.models import AuditEvent
from webapp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager() -> User:
    return User.objects.create_user("mei", password="long enough 1", display_name="Mei")


@pytest.fixture
def project(manager: User) -> Project:
    return project_create(name="Advice 中文", slug="advice", created_by=manager)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_whoever_starts_a_project_manages_it(project: Project, manager: User):
    assert Membership.objects.get(project=project, user=manager).role == Role.MANAGER
    assert AuditEvent.objects.filter(action="project.create", project_id=project.pk, actor=manager).exists()


def test_an_invitation_works_once(project: Project, manager: User):
    _invitation, token = invitation_create(project=project, role=Role.LABELER, email="", invited_by=manager)
    user = account_create(token=token, username="lin", display_name="Lin", password="correct horse 7")
    assert Membership.objects.get(project=project, user=user).role == Role.LABELER
    with pytest.raises(InvitationProblem):
        invitation_accept(token=token, user=manager)


def test_only_the_hash_of_an_invitation_is_stored(project: Project, manager: User):
    invitation, token = invitation_create(project=project, role=Role.VIEWER, email="", invited_by=manager)
    assert token not in str(Invitation.objects.filter(pk=invitation.pk).values().get())


def test_an_expired_invitation_says_so(project: Project, manager: User):
    invitation, token = invitation_create(project=project, role=Role.VIEWER, email="", invited_by=manager)
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    page = Client().get(reverse("labeling:invitation", args=[token]))
    assert page.status_code == 410
    assert "expired" in page.content.decode()


def test_a_failed_account_leaves_the_invitation_open(project: Project, manager: User):
    _invitation, token = invitation_create(project=project, role=Role.VIEWER, email="", invited_by=manager)
    with pytest.raises(ValidationError):
        account_create(token=token, username="bad name!", display_name="", password="correct horse 7")
    assert Invitation.objects.get(project=project).accepted_at is None
    assert not User.objects.filter(username="bad name!").exists()


def test_joining_in_the_browser_makes_an_account_and_opens_the_label_page(project: Project, manager: User):
    _invitation, token = invitation_create(project=project, role=Role.LABELER, email="", invited_by=manager)
    client = Client()
    form = {"username": "wang", "display_name": "王", "password": "correct horse 7"}
    answer = client.post(reverse("labeling:invitation", args=[token]), form)
    assert answer.status_code == 302
    assert answer["Location"] == reverse("labeling:project", args=[project.slug])
    assert client.get(answer["Location"])["Location"] == reverse("labeling:label", args=[project.slug])


def test_a_member_who_opens_an_invitation_does_not_use_it_up(project: Project, manager: User):
    invitation, token = invitation_create(project=project, role=Role.LABELER, email="", invited_by=manager)
    url = reverse("labeling:invitation", args=[token])
    for method in ("get", "post"):
        answer = getattr(logged_in(manager), method)(url)
        assert answer["Location"] == reverse("labeling:project", args=[project.slug])
    invitation.refresh_from_db()
    assert invitation.accepted_at is None
    assert Client().get(url).status_code == 200


def test_a_used_link_leads_whoever_used_it_to_the_project(project: Project, manager: User):
    """The second half of a double click on "Join"."""
    _invitation, token = invitation_create(project=project, role=Role.LABELER, email="", invited_by=manager)
    url = reverse("labeling:invitation", args=[token])
    joined = logged_in(User.objects.create_user("lin", password="long enough 1"))
    assert [joined.post(url)["Location"] for _click in range(2)] == [
        reverse("labeling:project", args=[project.slug])
    ] * 2
    assert Client().get(url).status_code == 410


@pytest.mark.parametrize(("language", "words"), [("en", "at least 10 characters"), ("zh-hans", "至少")])
def test_a_short_password_is_refused_in_the_readers_language(
    project: Project, manager: User, language: str, words: str
):
    _invitation, token = invitation_create(project=project, role=Role.LABELER, email="", invited_by=manager)
    form = {"username": "wang", "password": "k7#x"}
    page = Client().post(
        reverse("labeling:invitation", args=[token]), form, headers={"Accept-Language": language}
    )
    assert words in str(page.context["form"].errors["password"])
    assert not User.objects.filter(username="wang").exists()


def test_the_last_manager_stays(project: Project, manager: User):
    membership = Membership.objects.get(project=project, user=manager)
    with pytest.raises(ValidationError, match="at least one manager"):
        membership_change(membership=membership, role=Role.VIEWER, actor=manager)
    with pytest.raises(ValidationError, match="at least one manager"):
        membership_change(membership=membership, role=None, actor=manager)


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.LABELER, Role.VIEWER])
def test_only_managers_open_people_and_settings(project: Project, role: Role):
    user = User.objects.create_user("other", password="long enough 1")
    Membership.objects.create(project=project, user=user, role=role)
    for name in ("members", "project-settings"):
        assert logged_in(user).get(reverse(f"labeling:{name}", args=[project.slug])).status_code == 403


def test_a_stranger_cannot_tell_that_a_project_exists(project: Project):
    stranger = User.objects.create_user("stranger", password="long enough 1")
    there = logged_in(stranger).get(reverse("labeling:project", args=[project.slug]))
    nowhere = logged_in(stranger).get(reverse("labeling:project", args=["no-such-project"]))
    assert there.status_code == nowhere.status_code == 404


def test_signing_up_is_off():
    page = Client().get("/account/signup/")
    assert page.status_code in {200, 302, 403, 404}
    assert b'name="password1"' not in page.content
    Client().post(
        "/account/signup/", {"username": "x", "password1": "correct horse 7", "password2": "correct horse 7"}
    )
    assert not User.objects.filter(username="x").exists()


def comparison(project: Project, n: int, **fields: object) -> Comparison:
    prompt = Prompt.objects.create(
        project=project, messages=[{"role": "user", "content": f"{n}"}], content_hash=f"p{n}"
    )
    first, second = (Response.objects.create(prompt=prompt, text=t, content_hash=t) for t in "ab")
    return Comparison.objects.create(
        project=project, prompt=prompt, response_a=first, response_b=second, **fields
    )


def test_a_higher_overlap_opens_finished_comparisons_again(project: Project, manager: User):
    done = comparison(project, 1, label_count=1, open_slots=0, state=ComparisonState.DONE)
    fresh = comparison(project, 2)
    project_update(project=project, actor=manager, overlap=3)
    done.refresh_from_db()
    fresh.refresh_from_db()
    assert (done.state, done.needed, done.open_slots) == ("open", 3, 2)
    assert (fresh.state, fresh.needed, fresh.open_slots) == ("open", 3, 3)
    project_update(project=project, actor=manager, overlap=1)
    done.refresh_from_db()
    assert (done.state, done.needed, done.open_slots) == ("done", 1, 0)


def test_the_settings_page_refuses_a_broken_scheme(project: Project, manager: User):
    client = logged_in(manager)
    values = {
        "name": project.name,
        "overlap": 1,
        "random_share": "0.2",
        "lease_s": 900,
        "skip_limit": 3,
        "steps": 6,
        "rationale": "when",
        "reasons_rule": "optional",
        "ask_when": ["strong", "tie"],
        "screen": "both",
        "spans": "on",
        "aspects": "safe: Safer\nsafe: Again",
    }
    page = client.post(reverse("labeling:project-settings", args=[project.slug]), values)
    assert page.status_code == 200
    assert "same key" in page.content.decode()
    values["aspects"] = "safe: Safer: 8\nplain: Plain: and simple\n"
    assert client.post(reverse("labeling:project-settings", args=[project.slug]), values).status_code == 302
    project.refresh_from_db()
    assert project.scheme["aspects"] == [
        {"key": "safe", "name": "Safer", "steps": 8},
        {"key": "plain", "name": "Plain: and simple", "steps": 2},
    ]
    assert (project.scheme["steps"], project.scheme["ask_when"]) == (6, ["strong", "tie"])
    assert (project.scheme["screen"], project.scheme["spans"], project.scheme["rewrites"]) == (
        "both",
        True,
        False,
    )
    page = client.get(reverse("labeling:project-settings", args=[project.slug])).content.decode()
    assert "safe: Safer: 8\nplain: Plain: and simple</textarea>" in page
    client.post(
        reverse("labeling:project-settings", args=[project.slug]), values | {"steps": "", "screen": ""}
    )
    project.refresh_from_db()
    assert (project.scheme["steps"], project.scheme["screen"]) == (6, "both")


def test_a_token_is_shown_once_and_can_be_revoked(manager: User):
    client = logged_in(manager)
    page = client.post(reverse("users:tokens"), {"name": "trainer", "scopes": ["read"], "days": 7})
    secret = page.context["secret"]
    assert secret.startswith("chosen_")
    assert secret in page.content.decode()
    assert secret not in client.get(reverse("users:tokens")).content.decode()
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    assert Client().get("/api/v1/projects", **bearer).status_code == 200
    assert Client().post("/api/v1/projects", {"name": "n"}, **bearer).status_code == 403
    token = manager.auth_token_set.get()
    client.post(reverse("users:token-revoke", args=[token.token_key]))
    assert Client().get("/api/v1/projects", **bearer).status_code == 401
