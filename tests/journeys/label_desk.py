"""A labeler at a real browser: the steps that the label journeys are made of."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.test import Client
from playwright.sync_api import TimeoutError as BrowserTimeoutError

from labeling.models import Labeler

WATCH_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


def note_figures(case: str, **figures: object) -> None:
    """Append what was measured as one JSON line to the file that CHOSEN_FIGURES names, where somebody asks for it."""
    path = os.environ.get("CHOSEN_FIGURES")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"case": case, **figures}) + "\n")


@dataclass
class Desk:
    """One person's browser on the label page, with everything that went wrong in it."""

    page: object
    labeler: Labeler
    url: str
    problems: list[str] = field(default_factory=list)

    def open(self) -> Desk:
        self.page.goto(f"{self.url}/projects/{self.labeler.project.slug}/label/")
        self.ready()
        return self

    def ready(self) -> None:
        self.page.wait_for_selector("html[data-ready=label]")

    @property
    def uid(self) -> str | None:
        """The assignment on the desk; None where nothing is left."""
        view = self.page.query_selector(".stage .pair-view")
        return view.get_attribute("data-uid") if view else None

    def press_and_move_on(self, key: str) -> None:
        """Answer by a key, and wait until another pair (or the page that says why there is none) is there."""
        before = self.uid
        self.page.keyboard.press(key)
        try:
            self.page.wait_for_function(
                """before => {
                    const view = document.querySelector(".stage .pair-view");
                    return view ? view.dataset.uid !== before : document.querySelector("[data-nothing]");
                }""",
                arg=before,
            )
        except BrowserTimeoutError as error:
            raise AssertionError(f"{key!r} brought no other pair than {before}: {self.state()}") from error

    def state(self) -> dict[str, object]:
        """What the page and the browser's outbox say, for the message of a failing test."""
        seen = self.page.evaluate(
            """name => ({
                address: location.href,
                pair: document.querySelector(".stage .pair-view")?.dataset.uid,
                outbox: localStorage.getItem(name),
                sending: document.getElementById("label")?.dataset.state,
                said: [...document.querySelectorAll("[data-net], .lost, .dock-error")].map(note => note.textContent),
                focus: document.activeElement.outerHTML.slice(0, 200),
            })""",
            f"chosen.outbox.{self.labeler.uid}",
        )
        return {**seen, "problems": self.problems}

    def wait_saved(self) -> None:
        """Until nothing waits in the browser's outbox."""
        self.page.wait_for_function(
            "name => !JSON.parse(localStorage.getItem(name))?.items.length",
            arg=f"chosen.outbox.{self.labeler.uid}",
        )

    @property
    def why(self) -> str:
        """What is written in the field that asks why."""
        return self.page.input_value(".stage [name=rationale]")

    def violations(self) -> list[str]:
        return self.page.evaluate("window.violations")


def session_cookie(labeler: Labeler, url: str) -> dict[str, str]:
    """A logged-in session, without going through the log-in page."""
    client = Client()
    client.force_login(labeler.user, backend="django.contrib.auth.backends.ModelBackend")
    return {
        "name": settings.SESSION_COOKIE_NAME,
        "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
        "url": url,
    }


def sit_down(browser, labeler: Labeler, url: str, **options) -> Desk:
    """A new browser profile, logged in as this person."""
    context = browser.new_context(**options)
    context.set_default_timeout(60_000)
    context.add_cookies([session_cookie(labeler, url)])
    context.add_init_script(WATCH_VIOLATIONS)
    page = context.new_page()
    desk = Desk(page=page, labeler=labeler, url=url)
    page.on("pageerror", lambda error: desk.problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and desk.problems.append(message.text))
    return desk
