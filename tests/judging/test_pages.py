"""The judging pages: who may open what, what a labeler must not see, and that they hold what they promise."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from judging.models import Judge, JudgeRun
from judging.selectors.report import judge_report
from labeling.models import Assignment, AssignmentState, Labeler, Reveal, Role
from tests.judging.factories import (
    add_pair,
    add_verdict,
    judge_both,
    make_endpoint,
    make_project,
    make_user,
    make_version,
)
from webapp.caches import page_cache
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean_cache():
    page_cache.clear()


@pytest.fixture
def scene(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    project = make_project(4)
    version = make_version(project, name="Canary judge")
    for comparison in project.comparisons.all()[:3]:
        judge_both(version, comparison, "a", "a", p=0.8)
    add_verdict(version, project.comparisons.last(), status="unparsed", outcome="", raw_text="canary text")
    return project, version


def addresses(project, version):
    """Every page of judging: (name, url, method, roles that may)."""
    judge, endpoint = version.judge, version.endpoint
    verdict = version.verdicts.first()
    manager, viewers = {Role.MANAGER}, {Role.MANAGER, Role.REVIEWER, Role.VIEWER}
    slug = project.slug

    def url(name, *args):
        return reverse(f"judging:{name}", args=[slug, *args])

    return [
        ("judge-list", url("judge-list"), "get", viewers),
        ("judge-new", url("judge-new", "openai"), "get", manager),
        ("judge-train", url("judge-train"), "post", manager),
        ("judge-detail", url("judge-detail", judge.uid), "get", viewers),
        ("version-detail", url("version-detail", judge.uid, 1), "get", viewers),
        ("version-new", url("version-new", judge.uid, 1), "get", manager),
        ("run-new", url("run-new", judge.uid, 1), "post", manager),
        ("endpoint-new", url("endpoint-new"), "get", manager),
        ("endpoint-detail", url("endpoint-detail", endpoint.uid), "get", manager),
        ("endpoint-probe", url("endpoint-probe", endpoint.uid), "post", manager),
        ("verdict-detail", url("verdict-detail", verdict.uid), "get", viewers),
        ("loop-panel", url("loop-panel"), "get", viewers),
        ("comparison-panel", url("comparison-panel", verdict.comparison_id), "get", viewers),
        ("history-panel", url("history-panel", verdict.comparison_id), "get", viewers),
        ("endpoint-delete", url("endpoint-delete", endpoint.uid), "post", manager),
        ("judge-delete", url("judge-delete", judge.uid), "post", manager),
    ]


def test_every_route_is_in_the_matrix(scene):
    from judging.urls import urlpatterns

    assert {pattern.name for pattern in urlpatterns} == {name for name, *_rest in addresses(*scene)}


@pytest.mark.parametrize("role", [*Role.values, None])
def test_who_may_open_what(client, scene, role):
    project, version = scene
    client.force_login(make_user(project, role) if role else make_user())
    for name, url, method, allowed in addresses(project, version):
        status = getattr(client, method)(url).status_code
        if role in allowed:
            assert status in (200, 302), name
        else:
            assert status in (403, 404), name
        if role is None:
            assert status == 404, name


def test_anonymous_people_are_sent_to_log_in(client, scene):
    for name, url, method, _allowed in addresses(*scene):
        response = getattr(client, method)(url)
        assert response.status_code == 302, name
        assert "/login" in response["Location"], name


def test_another_projects_ids_are_not_found(client, scene):
    _project, version = scene
    other = make_project(1)
    client.force_login(make_user(other, Role.MANAGER))
    endpoint = make_endpoint(other)
    for name, url, method, _allowed in addresses(other, version):
        if name in ("judge-list", "judge-new", "judge-train", "endpoint-new", "loop-panel"):
            continue
        assert getattr(client, method)(url).status_code == 404, name
    assert client.get(reverse("judging:endpoint-detail", args=[other.slug, endpoint.uid])).status_code == 200


def test_a_labeler_sees_verdicts_only_after_the_vote_and_only_if_allowed(client, scene):
    project, _version = scene
    user = make_user(project, Role.LABELER)
    client.force_login(user)
    comparison = project.comparisons.first()
    url = reverse("judging:comparison-panel", args=[project.slug, comparison.pk])
    labeler = Labeler.objects.create(project=project, user=user, name=str(user))
    assignment = Assignment.objects.create(
        comparison=comparison,
        labeler=labeler,
        swapped=False,
        drawn="random",
        lease_expires_at=timezone.now(),
    )
    before = client.get(url)
    assert before.status_code == 404
    assert b"Canary" not in before.content
    assignment.state = AssignmentState.SUBMITTED
    assignment.save()
    after = client.get(url)
    assert after.status_code == 200
    assert b"Canary judge" in after.content
    assert b"/verdicts/" not in after.content
    project.reveal_after_vote = False
    project.save()
    assert client.get(url).status_code == 404


def test_who_labels_reads_no_verdict_of_the_pair_in_hand_and_others_are_noted(client, scene):
    project, version = scene
    user = make_user(project, Role.REVIEWER)
    client.force_login(user)
    url = reverse("judging:judge-detail", args=[project.slug, version.judge.uid])
    comparison = project.comparisons.first()
    assert not Reveal.objects.exists()
    assert comparison.pk in {verdict.comparison_id for verdict in client.get(url).context["verdicts"]}
    assert Reveal.objects.filter(user=user, comparison=comparison).count() == 1
    Assignment.objects.create(
        comparison=comparison,
        labeler=Labeler.objects.create(project=project, user=user, name=str(user)),
        swapped=False,
        drawn="random",
        lease_expires_at=timezone.now(),
    )
    assert comparison.pk not in {verdict.comparison_id for verdict in client.get(url).context["verdicts"]}


def test_the_panel_is_against_the_screens_sides(client, scene):
    project, _version = scene
    client.force_login(make_user(project, Role.VIEWER))
    url = reverse("judging:comparison-panel", args=[project.slug, project.comparisons.first().pk])
    straight, flipped = (client.get(url, {"left": side}).content.decode() for side in ("a", "b"))
    assert "outcome-a" in straight
    assert "0.80" in straight
    assert "outcome-b" in flipped
    assert "0.20" in flipped


def test_the_empty_list_says_what_to_do(client):
    project = make_project(0)
    client.force_login(make_user(project, Role.MANAGER))
    page = client.get(reverse("judging:judge-list", args=[project.slug])).content.decode()
    assert "There is no judge yet" in page
    assert reverse("judging:judge-new", args=[project.slug, "openai"]) in page


def test_a_judges_page_has_figures_with_interval_n_and_baseline(client, scene):
    project, version = scene
    client.force_login(make_user(project, Role.VIEWER))
    page = client.get(
        reverse("judging:judge-detail", args=[project.slug, version.judge.uid])
    ).content.decode()
    for words in (
        "Agrees with people",
        "Longest wins",
        "n 3",
        "Coverage",
        "Position consistency",
        "no verdict",
        ">parsed</span>",
        "Parsed in both orders",
    ):
        assert words in page
    assert "Start a run" not in page


def test_a_judges_page_without_labels_shows_no_figure(client, settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    project = make_project(2, resolved=False)
    version = make_version(project)
    client.force_login(make_user(project, Role.MANAGER))
    page = client.get(
        reverse("judging:judge-detail", args=[project.slug, version.judge.uid])
    ).content.decode()
    assert "Not enough labels yet" in page
    assert "0 %" not in page


def test_a_run_is_started_from_the_page(client, scene):
    project, version = scene
    client.force_login(make_user(project, Role.MANAGER))
    url = reverse("judging:run-new", args=[project.slug, version.judge.uid, 1])
    assert client.post(url, {"what": "labeled", "limit": "2"}).status_code == 302
    run = JudgeRun.objects.get()
    assert (run.selection["kind"], run.selection["limit"]) == ("labeled", 2)
    assert Job.objects.get(uid=run.job_uid).kind == "judge.run"
    assert client.post(url, {"what": "nonsense"}).status_code == 302
    assert JudgeRun.objects.count() == 1


def test_a_judge_is_made_in_the_browser(client, scene):
    project, version = scene
    client.force_login(make_user(project, Role.MANAGER))
    url = reverse("judging:judge-new", args=[project.slug, "openai"])
    body = {
        "name": "Second",
        "endpoint": version.endpoint.pk,
        "model": "",
        "language": "zh-hans",
        "rubric": "",
        "temperature": "0",
        "max_tokens": "300",
        "pattern": "",
        "allow_tie": "on",
    }
    assert client.post(url, body | {"pattern": "("}).status_code == 200
    assert not Judge.objects.filter(name="Second").exists()
    assert client.post(url, body).status_code == 302
    made = Judge.objects.get(name="Second").versions.get()
    assert (made.language, made.reasoned, made.allow_tie, made.model) == ("zh-hans", False, True, "judge-1")
    assert client.post(url, body).status_code == 200  # the name is taken


def test_a_refused_endpoint_asks_for_its_key_again(client):
    """The key never comes back in a page, so the next try would be saved without one."""
    project = make_project(0)
    client.force_login(make_user(project, Role.MANAGER))
    url = reverse("judging:endpoint-new", args=[project.slug])
    body = {"name": "Mine", "base_url": "http://10.0.0.1:8000/v1", "model": "m", "concurrency": 4}
    body["deadline_s"] = 120
    page = client.post(url, body | {"api_key": "sk-canary"}).content.decode()
    assert "Enter the key again" in page
    assert "sk-canary" not in page
    assert "add 10.0.0.1:8000 to CHOSEN_OUTBOUND_ALLOW" in page
    assert "Enter the key again" in client.post(url, body | {"name": "", "api_key": "k"}).content.decode()
    assert "Enter the key again" not in client.post(url, body).content.decode()


def test_a_probe_that_saved_nothing_does_not_say_saved(client, scene, fake_openai):
    project, version = scene
    fake_openai.script = lambda r, body, n: r.error(401, "bad key")
    version.endpoint.base_url = fake_openai.base_url
    version.endpoint.save()
    client.force_login(make_user(project, Role.MANAGER))
    url = reverse("judging:endpoint-probe", args=[project.slug, version.endpoint.uid])
    page = client.post(url, follow=True).content.decode()
    assert "The endpoint did not answer as it should: HTTP 401: bad key" in page
    assert "Saved" not in page


def test_a_failed_call_says_why_in_the_list(client, scene):
    project, version = scene
    verdict = version.verdicts.first()
    verdict.status, verdict.outcome, verdict.p_a, verdict.label_mass = "error", "", None, None
    verdict.detail = "HTTP 503: overloaded"
    verdict.save()
    client.force_login(make_user(project, Role.VIEWER))
    page = client.get(reverse("judging:judge-detail", args=[project.slug, version.judge.uid]))
    assert "HTTP 503: overloaded" in page.content.decode()


def test_the_report_counts_what_it_says(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    project = make_project(0)
    version = make_version(project)
    rows = [("a", "a", "a"), ("a", "b", "b"), ("a", "a", "b"), ("b", "b", "b"), ("tie", "tie", "tie")]
    for people, ab, ba in rows:
        judge_both(version, add_pair(project, "long text", "short", outcome=people), ab, ba)
    add_verdict(version, add_pair(project, "x", "y", outcome="a"), "ab")
    report = judge_report(version)
    assert (report.pairs, report.labeled) == (5, 5)
    assert report.consistent_share == pytest.approx(0.8)
    assert (report.agreement.value, report.agreement.n) == (pytest.approx(2 / 3), 3)
    assert (report.agreement_with_ties.value, report.agreement_with_ties.n) == (0.75, 4)
    assert (report.position.flips_to_first, report.position.flips_to_second) == (1, 0)
    # Sides settled by people among consistent pairs: a, a, b; the longer response is always a.
    assert (report.longest_wins.value, report.longest_wins.n) == (pytest.approx(2 / 3), 3)


def test_the_judges_page_costs_a_fixed_number_of_queries(client, scene, django_assert_max_num_queries):
    project, version = scene
    client.force_login(make_user(project, Role.VIEWER))
    url = reverse("judging:judge-detail", args=[project.slug, version.judge.uid])
    client.get(url)
    for _ in range(10):
        judge_both(version, add_pair(project, "GOOD", "bad", outcome="a"), "a", "b")
    with django_assert_max_num_queries(25):
        assert client.get(url).status_code == 200


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages_hold_no_inline_script_or_style(client, scene, language):
    project, version = scene
    user = make_user(project, Role.MANAGER)
    user.language = language
    user.save()
    client.force_login(user)
    for _name, url, method, _allowed in addresses(project, version):
        if method == "get":
            page = client.get(url).content.decode()
            assert "style=" not in page
            assert "onclick" not in page
