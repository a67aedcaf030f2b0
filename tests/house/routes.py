"""Every address of the app, who may use it, and addresses filled in with the rows of a filled project.

`RULES` of the modules in `tables/` are the one table of access: a route that is missing there, or that is there and no
longer in the URLconf, fails `test_access_matrix.py`. Capabilities, from the least to the most asked for:

open      anybody, with an account or without
login     anybody with an account
starter   who manages a project already, and operators (they start projects)
enter     members of the project, in any role
view      managers, reviewers and viewers (those who see others' labels, models, verdicts and scores)
reveal    as `view`; labelers too, but only after their own vote on that comparison
label     managers, reviewers and labelers
own       the one labeler whose assignment it is
review    managers and reviewers (they settle, comment and send back)
manage    managers of the project
jobs      as `view`, and operators
jobs!     as `manage`, and operators
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

from tests.house.tables import all_rules

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Route:
    """One address. `rules` is method -> capability; a method that is not there is not allowed."""

    path: str
    rules: dict[str, str]

    @property
    def is_rest(self) -> bool:
        return self.path.startswith("api/v1/")

    @property
    def is_ours(self) -> bool:
        """Whether the view is the app's own code, and not a library's (log-in, second factor)."""
        return not self.path.startswith(("account/", "api/schema")) or (
            self.path.startswith(("account/profile", "account/tokens", "account/language"))
        )

    @property
    def has_ids(self) -> bool:
        """Whether it names something of a project besides the project itself."""
        return any(part in self.path for part in ("<uuid:uid>", "<int:pk>", "<int:number>"))


def routes() -> list[Route]:
    """The table, read."""
    found = []
    for line in all_rules().splitlines():
        if line.strip():
            path, *words = line.split()
            rules = dict(zip(words[::2], words[1::2], strict=True))
            found.append(Route("" if path == "(home)" else path, rules))
    return found


def served_paths(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """Every path of the URLconf; the admin's are left out, Django makes them from its registry."""
    for pattern in (resolver or get_resolver()).url_patterns:
        path = prefix + str(pattern.pattern)
        if path.startswith("admin/"):
            continue
        if isinstance(pattern, URLPattern):
            yield path
        else:
            yield from served_paths(pattern, path)
