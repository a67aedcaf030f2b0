"""Comments: who is named, who is told, what a deleted one leaves."""

from __future__ import annotations

import pytest
from django.test import Client

from labeling.models import Comment, CommentMention
from labeling.services.comments import comment_create, names_in
from tests.factories import make_comparison, make_team
from webapp.notices.models import Notice

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@li.na is this dosage right?", ["li.na"]),
        ("Ask @wang, and @li.na.", ["wang", "li.na"]),
        ("@wang @wang @wang", ["wang"]),
        ("`@wang` and ```\n@li\n``` and ``@x``", []),
        ("```\n@never closed", []),
        ("mail wang@example.org", []),
        ("请 @王芳 看一下，@李娜。", ["王芳", "李娜"]),
        ("@", []),
        (" ".join(f"@p{n}" for n in range(30)), [f"p{n}" for n in range(20)]),
    ],
)
def test_names_in_a_text(text, names):
    assert names_in(text) == names


def test_members_who_may_see_it_are_told_without_a_word_of_the_text():
    team = make_team()
    comparison = make_comparison(team.project)
    people = ("manager", "viewer", "labeler", "stranger", "reviewer")
    text = "Secret " + " ".join(f"@{getattr(team, name).username}" for name in people)
    comment = comment_create(comparison=comparison, author=team.reviewer, text=text)
    mentioned = set(CommentMention.objects.filter(comment=comment).values_list("user", flat=True))
    assert mentioned == {team.manager.pk, team.viewer.pk, team.reviewer.pk}
    assert set(Notice.objects.values_list("user", flat=True)) == {team.manager.pk, team.viewer.pk}
    notice = Notice.objects.filter(user=team.manager).get()
    assert "Secret" not in str(notice.text)
    assert notice.url == f"/projects/{team.project.slug}/comparisons/{comparison.pk}/#comments"


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "<svg/onload=alert(1)>",
    "![x](http://evil.example/x.png)",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_people_write_is_shown_as_text(attack):
    team = make_team()
    comparison = make_comparison(team.project)
    client = client_of(team.reviewer)
    root = f"/projects/{team.project.slug}"
    sent = client.post(f"{root}/comparisons/{comparison.pk}/comments", {"text": attack, "back": "page"})
    assert sent.headers["Location"] == f"{root}/comparisons/{comparison.pk}/#comments"
    reason = {"reason": attack, "choice": "2"}
    assert client.post(f"{root}/comparisons/{comparison.pk}/adjudicate", reason).status_code == 302
    for page in (f"{root}/comparisons/{comparison.pk}/", f"{root}/review/{comparison.pk}/"):
        html = client.get(page).content.decode()
        assert "alert(1)>" not in html
        assert "<svg/onload" not in html
        assert 'href="javascript' not in html
        assert 'src="http://evil' not in html


def test_a_deleted_comment_leaves_no_text_anywhere():
    team = make_team()
    comparison = make_comparison(team.project)
    comment = comment_create(comparison=comparison, author=team.reviewer, text="Regrettable words")
    root = f"/projects/{team.project.slug}"
    assert client_of(team.viewer).post(f"{root}/comments/{comment.uid}/delete").status_code == 403
    assert client_of(team.reviewer).post(f"{root}/comments/{comment.uid}/delete").status_code == 302
    assert Comment.objects.get().text == ""
    client = client_of(team.manager)
    pages = (
        f"{root}/comparisons/{comparison.pk}/",
        f"{root}/review/{comparison.pk}/",
        f"/api/v1{root}/comparisons/{comparison.pk}/comments",
        f"/api/v1{root}/comparisons/{comparison.pk}/history",
    )
    for page in pages:
        response = client.get(page)
        assert response.status_code == 200
        assert "Regrettable" not in response.content.decode()


def test_another_reviewers_comment_is_the_managers_to_delete():
    team = make_team()
    comment = comment_create(comparison=make_comparison(team.project), author=team.manager, text="Mine")
    url = f"/projects/{team.project.slug}/comments/{comment.uid}/delete"
    assert client_of(team.reviewer).post(url).status_code == 403
    assert client_of(team.labeler).post(url).status_code == 403
    comment = comment_create(comparison=comment.comparison, author=team.reviewer, text="Hers")
    assert (
        client_of(team.manager)
        .post(f"/projects/{team.project.slug}/comments/{comment.uid}/delete")
        .status_code
        == 302
    )


@pytest.mark.parametrize("text", ["", "   ", "x" * 5001])
def test_an_empty_and_an_endless_one_are_refused(text):
    team = make_team()
    comparison = make_comparison(team.project)
    url = f"/api/v1/projects/{team.project.slug}/comparisons/{comparison.pk}/comments"
    assert client_of(team.reviewer).post(url, {"text": text}).status_code == 400
    assert Comment.objects.count() == 0
