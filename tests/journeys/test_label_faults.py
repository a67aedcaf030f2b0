"""Twenty cut networks, twenty killed browsers, twenty expired sessions: no draft lost, no vote doubled."""

from __future__ import annotations

from collections import Counter

import pytest
from django.contrib.sessions.models import Session

from labeling.models import Comparison, Preference
from tests.journeys.killing import kill_browser, lasting_browser, wait_kept
from tests.journeys.label_desk import Desk, note_figures, session_cookie
from tests.labeling.label.factories import make_labeler, make_project

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
TIMES = 20
SCHEME = {"rationale": "optional"}


def write_why(desk: Desk, words: str) -> None:
    desk.page.fill(".stage [name=rationale]", words)
    desk.page.keyboard.press("Escape")


def assert_each_vote_once(project, words: list[str]) -> None:
    rows = list(Preference.objects.filter(project=project).order_by("pk"))
    assert sorted(row.rationale for row in rows) == sorted(words)
    assert max(Counter(row.comparison_id for row in rows).values()) == 1
    assert Comparison.objects.filter(project=project, label_count=1).count() == len(words)
    assert len({row.idempotency_key for row in rows}) == len(words)


def test_twenty_cut_networks(seat):
    project = make_project(TIMES + 3, scheme=SCHEME)
    desk = seat(project).open()
    for number in range(TIMES):
        desk.page.context.set_offline(True)
        assert desk.why == (f"draft {number - 1}" if number else "")
        write_why(desk, f"why {number}")
        desk.press_and_move_on(str(1 + number % 8))
        write_why(desk, f"draft {number}")
        desk.page.wait_for_selector("[data-net].warn")
        assert Preference.objects.filter(project=project).count() == number
        uid = desk.uid
        desk.page.context.set_offline(False)
        desk.wait_saved()
        if number % 2:
            desk.open()
        assert (desk.uid, desk.why) == (uid, f"draft {number}")
    assert_each_vote_once(project, [f"why {number}" for number in range(TIMES)])


def test_twenty_expired_sessions(seat):
    project = make_project(TIMES + 3, scheme=SCHEME)
    desk = seat(project).open()
    for number in range(TIMES):
        Session.objects.all().delete()
        write_why(desk, f"why {number}")
        desk.press_and_move_on(str(1 + number % 8))
        write_why(desk, f"draft {number}")
        desk.page.wait_for_selector("[data-net].warn:has-text('logged out')")
        assert Preference.objects.filter(project=project).count() == number
        uid = desk.uid
        desk.page.context.add_cookies([session_cookie(desk.labeler, desk.url)])
        desk.open()
        desk.wait_saved()
        assert (desk.uid, desk.why) == (uid, f"draft {number}")
    assert_each_vote_once(project, [f"why {number}" for number in range(TIMES)])


def test_twenty_killed_browsers(web_process, chromium, tmp_path):
    """As soon as the page says that it has kept what was typed. In every other round the server cannot be reached then,
    so that the browser alone knows what was said."""
    site, profile = web_process(), str(tmp_path / "profile")
    project = make_project(TIMES + 3, scheme=SCHEME)
    labeler = make_labeler(project)

    def start() -> Desk:
        return Desk(lasting_browser(chromium, profile, labeler, site.url), labeler, site.url).open()

    desk, waits = start(), []
    for number in range(TIMES):
        is_cut = number % 2
        if is_cut:
            desk.page.route("**/label/*/*", lambda route: route.abort())
        write_why(desk, f"why {number}")
        desk.press_and_move_on(str(1 + number % 8))
        uid = desk.uid
        if not is_cut:
            desk.wait_saved()
        write_why(desk, f"draft {number}")
        waits.append(wait_kept(desk.page))
        kill_browser(profile)
        assert Preference.objects.filter(project=project).count() == number + (not is_cut)
        desk = start()
        desk.wait_saved()
        assert (desk.uid, desk.why) == (uid, f"draft {number}")
    desk.page.context.close()
    note_figures("kept on the disk", wait_ms=sorted(round(wait) for wait in waits))
    assert_each_vote_once(project, [f"why {number}" for number in range(TIMES)])
