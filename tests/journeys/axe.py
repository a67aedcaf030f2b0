"""What axe-core calls serious or critical on a page: WCAG 2.2 AA, in light and dark, and at 390 px where asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from playwright.sync_api import Page

WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOURS = {"type": "rule", "values": ["color-contrast"]}
SERIOUS = {"serious", "critical"}
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Motion is off, or colours would be measured on their way from light to dark.
BROWSER = {"viewport": WIDE, "reduced_motion": "reduce", "color_scheme": "light"}
DRAWN = "() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))"


@cache
def script() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@dataclass
class Axe:
    """Looks at pages of a browser that was opened with BROWSER. `found` is what it says of them."""

    found: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def look(self, page: Page, name: str, *, is_narrow: bool = False) -> None:
        self.seen.append(name)
        page.evaluate(script())
        self._run(page, f"{name} (light)", WCAG)
        if is_narrow:
            page.set_viewport_size(NARROW)
            self._run(page, f"{name} (390 px)", WCAG)
            page.set_viewport_size(WIDE)
        page.emulate_media(color_scheme="dark")
        self._run(page, f"{name} (dark)", COLOURS)
        page.emulate_media(color_scheme="light")

    def _run(self, page: Page, name: str, rules: dict[str, object]) -> None:
        page.evaluate(DRAWN)
        result = page.evaluate("runOnly => axe.run(document, {runOnly, resultTypes: ['violations']})", rules)
        assert result["passes"], f"axe looked at nothing on {page.url}"
        self.found += [
            f"{name}: {rule['impact']} {rule['id']}: {node['html'][:140]} {node['failureSummary'][:200]}"
            for rule in result["violations"]
            if rule["impact"] in SERIOUS
            for node in rule["nodes"][:3]
        ]

    def check(self, at_least: int) -> None:
        assert not self.found, "\n".join(dict.fromkeys(self.found))
        assert len(self.seen) >= at_least, sorted(self.seen)
