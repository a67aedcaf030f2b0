"""Somebody who opens every page that a link leads to, in a real browser, and writes down what goes wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import urldefrag, urlsplit

from django.conf import settings
from django.test import Client

from tests.journeys.axe import Axe
from webapp.users.models import User

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
# What has no name that a screen reader could say. Names from labels, attributes and content, as HTML computes them.
NAMELESS = """() => {
  const text = (node) => (node?.textContent ?? "").trim();
  const byIds = (ids) => (ids ?? "").split(/\\s+/).map((id) => text(document.getElementById(id))).join("");
  const image = (node) => [...node.querySelectorAll("img[alt],svg[aria-label],svg title,[title]")]
    .map((part) => part.getAttribute("alt") ?? part.getAttribute("aria-label") ?? (part.title || text(part))).join("");
  const named = (node) => (node.ariaLabel ?? "").trim() || byIds(node.getAttribute("aria-labelledby"))
    || (node.title ?? "").trim() || [...(node.labels ?? [])].map(text).join("");
  const wrong = [];
  const check = (selector, ok) => document.querySelectorAll(selector).forEach((node) => {
    if (!ok(node) && node.checkVisibility() && node.closest("[aria-hidden=true]") === null) {
      wrong.push(node.outerHTML.slice(0, 160));
    }
  });
  check("img", (node) => node.hasAttribute("alt"));
  check("button,summary,a[href]", (node) => named(node) || text(node) || image(node));
  check("input[type=submit],input[type=button]", (node) => named(node) || node.value);
  check("input:not([type=hidden],[type=submit],[type=button]),select,textarea", named);
  return wrong;
}"""
LINKS = """() => [...document.querySelectorAll("a[href]:not([download])")].map((a) => a.href)"""
# Addresses of one kind: numbers and uids stand for each other, and so do the values of a query.
VARIABLE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)v?\d+(?=/|$)")
# Files to keep rather than pages to look at.
NOT_PAGES = re.compile(r"/export/(data|manifest)|^/api/schema|^/media/|/history/$|/export/$")
# A page has come to rest: what its scripts asked for at the start has been asked for.
AT_REST = "() => new Promise((rest) => requestIdleCallback(rest, {timeout: 1000}))"

# Pages that hand out work come last: whoever has a comparison in hand is refused on the pages about it.
HANDS_OUT = re.compile(r"/(label|rank)/$")


def kind_of(url: str) -> str:
    """The address with the parts that vary left out."""
    parts = urlsplit(url)
    names = sorted({pair.split("=")[0] for pair in parts.query.split("&")})
    return VARIABLE.sub("#", parts.path) + "?" + "&".join(names)


def logged_in(context, user: User, url: str) -> None:
    """A session of this person in the browser, without going through the log-in page."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": url}])


@dataclass
class Crawler:
    """`problems` is what went wrong, each with the page on which it did. With `axe`, that looks at one page of each
    kind (`axe_kind` tells it of an address), at 390 px, too, where the address is one of `narrow`."""

    context: object
    base: str
    each_kind: int = 2
    most: int = 200
    axe: Axe | None = None
    axe_kind: Callable[[str], str] = kind_of
    narrow: Collection[str] = ()
    problems: list[str] = field(default_factory=list)
    visited: list[str] = field(default_factory=list)
    here: str = ""
    under_way: set[object] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(60_000)
        self.context.add_init_script(WATCH)
        self.context.route("**/*", self._only_own_host)
        self.page = self.context.new_page()
        self.page.on(
            "console", lambda message: message.type == "error" and self.note(f"console: {message.text}")
        )
        self.page.on("pageerror", lambda error: self.note(f"script: {error}"))
        self.page.on("requestfailed", lambda request: self.note(f"failed: {request.url} {request.failure}"))
        self.page.on("request", lambda request: self.under_way.add(request))
        self.page.on("requestfinished", lambda request: self.under_way.discard(request))
        self.page.on("requestfailed", lambda request: self.under_way.discard(request))
        self.page.on(
            "response", lambda answer: answer.status >= 400 and self.note(f"{answer.status}: {answer.url}")
        )

    def _only_own_host(self, route) -> None:
        url = route.request.url
        if url.startswith((self.base + "/", "data:", "blob:")):
            route.continue_()
        else:
            self.note(f"another host: {url}")
            route.abort()

    def note(self, what: str) -> None:
        # The request of a page that is left while it still polls is no failure.
        if "net::ERR_ABORTED" not in what:
            self.problems.append(f"{self.here}: {what}")

    def crawl(
        self, *starts: str, language: str = "en", stay_under: str = "/", with_query: bool = True
    ) -> None:
        """Every page that a link leads to from the starts, at most `each_kind` addresses of one kind."""
        waiting = list(starts)
        seen: dict[str, int] = {}
        looked_at = set[str]()
        while waiting and len(self.visited) < self.most:
            path = next((path for path in waiting if not HANDS_OUT.search(path)), waiting[0])
            waiting.remove(path)
            kind = kind_of(path)
            if path in self.visited or seen.get(kind, 0) >= self.each_kind:
                continue
            seen[kind] = seen.get(kind, 0) + 1
            links = self.visit(path, language)
            if self.axe is not None and self.axe_kind(path) not in looked_at:
                looked_at.add(self.axe_kind(path))
                self.axe.look(self.page, path, is_narrow=path in self.narrow)
            waiting += [a for a in links if a.startswith(stay_under) and (with_query or "?" not in a)]

    def visit(self, path: str, language: str) -> list[str]:
        """Open one page, check it, and return the links on it that stay on this host."""
        self.here = path
        self.visited.append(path)
        self.under_way.clear()
        self.page.goto(self.base + path, wait_until="load")
        self.page.evaluate(AT_REST)
        while self.under_way:
            self.page.evaluate(AT_REST)
        for violation in self.page.evaluate("window.violations"):
            self.note(f"CSP: {violation}")
        for nameless in self.page.evaluate(NAMELESS):
            self.note(f"no name: {nameless}")
        found = (self.page.get_attribute("html", "lang") or "").lower()
        if found != language:
            self.note(f"html lang is {found!r}, not {language!r}")
        links = [urldefrag(link).url for link in self.page.evaluate(LINKS)]
        own = [link.removeprefix(self.base) for link in links if link.startswith(self.base + "/")]
        away = [link for link in links if link.startswith("http") and not link.startswith(self.base + "/")]
        if away:
            self.note(f"links to other hosts: {away}")
        return [link for link in dict.fromkeys(own) if not NOT_PAGES.search(urlsplit(link).path)]
