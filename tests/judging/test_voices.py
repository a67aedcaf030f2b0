"""What judges say now reaches labeling, follows what they say later, and goes with them."""

from __future__ import annotations

import pytest

from judging.models import Verdict
from judging.selectors.selection import Selection
from judging.services.judges import VersionSpec, judge_delete, judge_version_create
from judging.services.runs import run_start
from judging.services.voices import judge_voices_publish
from labeling.models import Comparison, Disagreement, Voice
from tests.judging.factories import (
    add_pair,
    add_verdict,
    judge_both,
    make_endpoint,
    make_project,
    make_user,
    make_version,
)
from tests.judging.fake_openai import completion
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


def said() -> list[tuple[str, str, float | None]]:
    return list(Voice.objects.order_by("pk").values_list("name", "outcome", "p_a"))


def publish(version, *comparisons) -> int:
    return judge_voices_publish(version.judge, [comparison.pk for comparison in comparisons])


def test_both_orders_make_one_voice_against_the_responses():
    project = make_project(0)
    version, pair = make_version(project), add_pair(project, "good", "bad", outcome="a")
    judge_both(version, pair, "b", "b", 0.25)
    assert publish(version, pair) == 1
    row = Voice.objects.get()
    assert (row.kind, row.source, row.name) == ("judge", version.judge.uid.hex, "Judge v1")
    assert (row.outcome, row.p_a) == ("b", pytest.approx(0.25))
    assert list(Disagreement.objects.values_list("kind", "size")) == [("judge", pytest.approx(0.75))]
    assert publish(version, pair) == 0


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("", "a")])
def test_what_changes_with_the_order_or_was_not_read_names_no_winner(first, second):
    project = make_project(0)
    version, pair = make_version(project), add_pair(project, "good", "bad", outcome="a")
    for order, outcome in (("ab", first), ("ba", second)):
        add_verdict(version, pair, order, outcome=outcome, status="ok" if outcome else "unparsed")
    publish(version, pair)
    assert Voice.objects.get().outcome == ""
    assert Disagreement.objects.count() == 0


def test_the_newest_version_that_was_asked_speaks():
    project = make_project(0)
    first = make_version(project)
    spec = VersionSpec(engine="openai", endpoint=make_endpoint(project), rubric="Other words.")
    second = judge_version_create(judge=first.judge, spec=spec)
    asked, unasked = add_pair(project, "good 1", "bad 1"), add_pair(project, "good 2", "bad 2")
    for pair in (asked, unasked):
        judge_both(first, pair, "b", "b", 0.1)
    judge_both(second, asked, "a", "a", 0.9)
    publish(first, asked, unasked)
    assert sorted(said()) == [("Judge v1", "b", pytest.approx(0.1)), ("Judge v2", "a", pytest.approx(0.9))]


def test_a_run_publishes_and_a_deleted_judge_is_heard_no_more(fake_openai, settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    fake_openai.script = lambda request, body, number: request.json(completion("[[A]]"))
    project = make_project(2)
    version = make_version(project, base_url=fake_openai.base_url)
    run = run_start(version=version, selection=Selection())
    run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
    # Always the first one: the verdict changes with the order, so there is no outcome.
    assert said() == [("Judge v1", "", 0.5)] * 2
    # Answers that were kept are published, too: the table may be younger than they are.
    Voice.objects.all().delete()
    run = run_start(version=version, selection=Selection())
    run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
    assert len(said()) == 2
    Verdict.objects.update(outcome="b")
    publish(version, *Comparison.objects.all())
    assert Disagreement.objects.filter(kind="judge").count() == 2
    judge_delete(version.judge)
    assert Voice.objects.count() == Disagreement.objects.count() == 0


def test_every_version_is_on_the_comparisons_page(client):
    project = make_project(0)
    version, pair = make_version(project), add_pair(project, "good", "bad", outcome="a")
    judge_both(version, pair, "b", "b", 0.25)
    client.force_login(make_user(project, "viewer"))
    html = client.get(f"/projects/{project.slug}/panels/comparisons/{pair.pk}/verdicts/").content.decode()
    assert "Judge v1" in html
    assert "0.25" in html
    assert html.count("/verdicts/") == 2
