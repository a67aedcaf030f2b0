"""Quality over REST, and the form that starts a fit."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.models import Project
from tests.labeling.resolution.builders import labeled_project, make_labeler, vote
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


def api(project, path):
    return f"/api/v1/projects/{project.slug}/{path}"


def test_agreement_has_the_alpha_of_strengths_and_anchoring(as_role):
    project = labeled_project(60, outcomes="aabb")
    found = as_role(project, "viewer").get(api(project, "agreement")).json()
    # Every vote has strength 2: two steps in use, as far apart as the two sides are.
    assert found["alpha_strength"]["value"] == pytest.approx(found["alpha_ordinal"]["value"])
    assert found["alpha_strength"]["n"] == 60
    assert found["anchoring"] == {
        "shown": 0, "changed": None, "regraded": None, "judges": None, "model": None,
    }  # fmt: skip


def test_labelers_with_figures_and_reliability(as_role):
    project = labeled_project(60, labelers=3, outcomes="aab")
    silent = make_labeler(project, "Silent")
    client = as_role(project)
    assert client.get(api(project, "reliability")).json() == {"rule": "majority", "fit": None}
    started = client.post(
        api(project, "reliability"), {"rule": "reliability"}, content_type="application/json"
    )
    assert started.status_code == 202
    run_inline(Job.objects.get(uid=started.json()["job"]))
    state = client.get(api(project, "reliability")).json()
    assert (state["rule"], state["fit"]["preference_count"], state["fit"]["rows"]) == ("reliability", 180, 60)
    rows = client.get(api(project, "labelers")).json()["results"]
    assert [row["name"] for row in rows] == ["Silent", "Labeler 2", "Labeler 1", "Labeler 0"]
    assert (rows[0]["figures"]["labels"], rows[0]["reliability"]) == (0, None)
    assert rows[1]["figures"]["labels"] == 60
    assert rows[1]["figures"]["others"]["n"] == 60
    assert rows[1]["reliability"]["n"] == 60
    assert sum(rows[1]["reliability"]["confusion"][0]) == pytest.approx(1, abs=1e-4)
    detail = client.get(api(project, f"labelers/{rows[1]['uid']}")).json()
    assert detail["windows"] == []  # of votes from a file the order in time is not known
    assert client.get(api(project, f"labelers/{silent.uid}")).json()["windows"] == []


def test_own_statistics_have_no_figure_that_moves_with_a_vote(as_role):
    project = labeled_project(2)
    client = as_role(project, "labeler")
    nothing = client.get(api(project, "labelers/me")).json()
    assert (nothing["figures"]["labels"], nothing["skips"], len(nothing["days"])) == (0, 0, 14)
    user = project.memberships.get(role="labeler").user
    me = make_labeler(project, "me")
    type(me).objects.filter(pk=me.pk).update(user=user)
    vote(project.comparisons.first(), me, "a", duration_ms=5000)
    found = client.get(api(project, "labelers/me")).json()
    assert found["figures"] == {
        "labels": 1,
        "rate": None,
        "seconds": 5.0,
        "left": None,
        "longer": found["figures"]["longer"],
    }
    assert found["checked"] == {"others": {"percent": None, "n": 0}, "gold": {"percent": None, "n": None}}
    assert [day["labels"] for day in found["days"]] == [0] * 13 + [1]
    assert client.get(api(project, "labelers")).status_code == 403


def test_a_manager_starts_a_fit_from_the_page_and_others_only_read_the_rule(as_role):
    project = labeled_project(60, outcomes="aab")
    client = as_role(project)
    url = reverse("labeling:reliability-fit", args=[project.slug])
    page = client.post(url, {"rule": "reliability"}, follow=True).content.decode()
    job = Job.objects.get()
    assert str(job.uid) in page
    run_inline(job)
    page = client.get(reverse("labeling:agreement", args=[project.slug])).content.decode()
    assert "120 votes on 60 comparisons" in page
    assert '<option value="reliability" selected>' in page
    refused = client.post(url, {"rule": "dice"}, follow=True).content.decode()
    assert "Choose one of: majority, reliability." in refused
    assert Project.objects.get(pk=project.pk).resolution_rule == "reliability"
    viewer = as_role(project, "viewer")
    assert viewer.post(url).status_code == 403
    assert (
        "Comparisons are settled by reliability."
        in viewer.get(reverse("labeling:agreement", args=[project.slug])).content.decode()
    )
