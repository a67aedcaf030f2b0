"""Every address of the app, who may use it, and addresses filled in with the rows of a filled project.

`RULES` is the one table of access: a route that is missing there, or that is there and no longer in the URLconf,
fails `test_access_matrix.py`. Capabilities, from the least to the most asked for:

open      anybody, with an account or without
login     anybody with an account
starter   who manages a project already, and operators (they start projects)
enter     members of the project, in any role
view      managers, reviewers and viewers (those who see others' labels, models, verdicts and scores)
reveal    as `view`; labelers too, but only after their own vote on that comparison
label     managers, reviewers and labelers
own       the one labeler whose assignment it is
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

RULES = """
health                                                  GET open
help/                                                   GET open
account/profile/                                        GET login   POST login
account/tokens/                                         GET login   POST login
account/tokens/<str:token_key>/revoke/                  POST login
account/login/                                          GET open    POST open
account/logout/                                         GET open    POST open
account/inactive/                                       GET open
account/signup/                                         GET open    POST open
account/reauthenticate/                                 GET login   POST login
account/email/                                          GET login   POST login
account/confirm-email/                                  GET open
account/^confirm-email/(?P<key>[-:\\w]+)/$              GET open    POST open
account/password/change/                                GET login   POST login
account/password/set/                                   GET login   POST login
account/password/reset/                                 GET open    POST open
account/password/reset/done/                            GET open
account/password/reset/key/done/                        GET open
account/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$  GET open  POST open
account/login/code/confirm/                             GET open    POST open
account/2fa/                                            GET login
account/2fa/authenticate/                               GET open    POST open
account/2fa/reauthenticate/                             GET login   POST login
account/2fa/totp/activate/                              GET login   POST login
account/2fa/totp/deactivate/                            GET login   POST login
account/2fa/recovery-codes/                             GET login
account/2fa/recovery-codes/generate/                    GET login   POST login
account/2fa/recovery-codes/download/                    GET login
i18n/setlang/                                           POST open
api/schema                                              GET open
api/docs                                                GET open

(home)                                                  GET login
projects/new/                                           GET starter POST starter
invitations/<str:token>/                                GET open    POST open
projects/<slug:slug>/                                   GET enter
projects/<slug:slug>/settings/                          GET manage  POST manage
projects/<slug:slug>/people/                            GET manage  POST manage
projects/<slug:slug>/people/<int:pk>/                   POST manage

projects/<slug:slug>/label/                             GET label
projects/<slug:slug>/label/heartbeat                    POST label
projects/<slug:slug>/label/<uuid:uid>/submit            POST own
projects/<slug:slug>/label/<uuid:uid>/change            POST own
projects/<slug:slug>/label/<uuid:uid>/undo              POST own
projects/<slug:slug>/label/<uuid:uid>/draft             POST own

projects/<slug:slug>/comparisons/                       GET view
projects/<slug:slug>/comparisons/<int:pk>/              GET view
projects/<slug:slug>/comparisons/<int:pk>/judges/       GET reveal
projects/<slug:slug>/panels/comparisons/<int:pk>/       GET reveal
projects/<slug:slug>/agreement/                         GET view
projects/<slug:slug>/panels/agreement/                  GET view

projects/<slug:slug>/imports/                           GET manage
projects/<slug:slug>/imports/new/                       GET manage  POST manage
projects/<slug:slug>/imports/<uuid:uid>/                GET manage
projects/<slug:slug>/imports/<uuid:uid>/confirm/        POST manage
projects/<slug:slug>/imports/<uuid:uid>/check/          POST manage
projects/<slug:slug>/imports/<uuid:uid>/retry/          POST manage
projects/<slug:slug>/imports/<uuid:uid>/discard/        POST manage

projects/<slug:slug>/export/                            GET view
projects/<slug:slug>/snapshots/                         GET view
projects/<slug:slug>/snapshots/new/                     GET manage  POST manage
projects/<slug:slug>/snapshots/<int:number>/            GET view
projects/<slug:slug>/snapshots/<int:number>/export/     GET view
projects/<slug:slug>/snapshots/<int:number>/export/data      GET view
projects/<slug:slug>/snapshots/<int:number>/export/manifest  GET view

projects/<slug:slug>/judges/                            GET view
projects/<slug:slug>/judges/new/<str:engine>/           GET manage  POST manage
projects/<slug:slug>/judges/train/                      POST manage
projects/<slug:slug>/judges/<uuid:uid>/                 GET view
projects/<slug:slug>/judges/<uuid:uid>/delete/          POST manage
projects/<slug:slug>/judges/<uuid:uid>/v<int:number>/   GET view
projects/<slug:slug>/judges/<uuid:uid>/v<int:number>/next/   GET manage  POST manage
projects/<slug:slug>/judges/<uuid:uid>/v<int:number>/run/    POST manage
projects/<slug:slug>/judge-endpoints/new/               GET manage  POST manage
projects/<slug:slug>/judge-endpoints/<uuid:uid>/        GET manage  POST manage
projects/<slug:slug>/judge-endpoints/<uuid:uid>/probe/  POST manage
projects/<slug:slug>/judge-endpoints/<uuid:uid>/delete/ POST manage
projects/<slug:slug>/verdicts/<uuid:uid>/               GET view

projects/<slug:slug>/models/                            GET view
projects/<slug:slug>/models/<int:number>/               GET view
projects/<slug:slug>/models/<int:number>/promote/       POST manage
projects/<slug:slug>/models/<int:number>/evaluation/    GET view    POST manage
projects/<slug:slug>/models/<int:number>/evaluation.json  GET view
projects/<slug:slug>/models/compare/                    GET view    POST manage
projects/<slug:slug>/models/preview/                    GET manage  POST manage
projects/<slug:slug>/models/preview/<uuid:uid>/         GET manage
projects/<slug:slug>/models/<int:number>/scores.parquet  GET view
projects/<slug:slug>/models/rollback/                   POST manage
projects/<slug:slug>/models/score/                      POST manage
projects/<slug:slug>/models/train/                      GET manage  POST manage
projects/<slug:slug>/models/runs/<int:pk>/              GET view
projects/<slug:slug>/models/policy/                     GET manage  POST manage
projects/<slug:slug>/panels/loop/                       GET view
projects/<slug:slug>/panels/champion/                   GET view
projects/<slug:slug>/panels/accuracy/                   GET view
projects/<slug:slug>/panels/attention/                  GET view
projects/<slug:slug>/panels/judges/                     GET view

jobs/                                                   GET login
jobs/<uuid:uid>/                                        GET jobs
jobs/<uuid:uid>/progress                                GET jobs
jobs/<uuid:uid>/cancel                                  POST jobs!
jobs/<uuid:uid>/retry                                   POST jobs!

api/v1/jobs                                             GET login
api/v1/jobs/<uuid:uid>                                  GET jobs
api/v1/jobs/<uuid:uid>/cancel                           POST jobs!
api/v1/jobs/<uuid:uid>/retry                            POST jobs!
api/v1/projects                                         GET login   POST starter
api/v1/projects/<slug:slug>                             GET enter
api/v1/projects/<slug:slug>/comparisons                 GET view
api/v1/projects/<slug:slug>/comparisons/next            POST label
api/v1/projects/<slug:slug>/comparisons/<int:pk>        GET view
api/v1/projects/<slug:slug>/comparisons/<int:pk>/score  GET view
api/v1/projects/<slug:slug>/preferences                 GET view
api/v1/projects/<slug:slug>/agreement                   GET view
api/v1/assignments/<uuid:uid>/submit                    POST own
api/v1/assignments/<uuid:uid>/undo                      POST own
api/v1/assignments/<uuid:uid>/draft                     POST own
api/v1/assignments/<uuid:uid>/heartbeat                 POST own
api/v1/projects/<slug:slug>/imports                     GET manage  POST manage
api/v1/projects/<slug:slug>/imports/<uuid:uid>          GET manage  DELETE manage
api/v1/projects/<slug:slug>/imports/<uuid:uid>/problems GET manage
api/v1/projects/<slug:slug>/imports/<uuid:uid>/preview  GET manage
api/v1/projects/<slug:slug>/imports/<uuid:uid>/check    POST manage
api/v1/projects/<slug:slug>/imports/<uuid:uid>/confirm  POST manage
api/v1/projects/<slug:slug>/snapshots                   GET view    POST manage
api/v1/projects/<slug:slug>/snapshots/<int:number>      GET view
api/v1/projects/<slug:slug>/snapshots/<int:number>/export    GET view
api/v1/projects/<slug:slug>/snapshots/<int:number>/manifest  GET view
api/v1/projects/<slug:slug>/judges                      GET view    POST manage
api/v1/projects/<slug:slug>/judges/train                POST manage
api/v1/projects/<slug:slug>/judges/<uuid:uid>           GET view    DELETE manage
api/v1/projects/<slug:slug>/judges/<uuid:uid>/versions  POST manage
api/v1/projects/<slug:slug>/judge-runs                  GET view    POST manage
api/v1/projects/<slug:slug>/judge-runs/<uuid:uid>       GET view
api/v1/projects/<slug:slug>/verdicts                    GET view
api/v1/projects/<slug:slug>/verdicts/<uuid:uid>         GET view
api/v1/projects/<slug:slug>/judge-endpoints             GET manage  POST manage
api/v1/projects/<slug:slug>/judge-endpoints/<uuid:uid>  GET manage  PATCH manage  DELETE manage
api/v1/projects/<slug:slug>/judge-endpoints/<uuid:uid>/probe POST manage
api/v1/projects/<slug:slug>/training-runs               GET view    POST manage
api/v1/projects/<slug:slug>/training-runs/<int:pk>      GET view
api/v1/projects/<slug:slug>/reward-models               GET view
api/v1/projects/<slug:slug>/reward-models/<int:number>  GET view
api/v1/projects/<slug:slug>/reward-models/<int:number>/promote POST manage
api/v1/projects/<slug:slug>/reward-models/<int:number>/evaluation GET view  POST manage
api/v1/projects/<slug:slug>/reward-models/compare       GET view    POST manage
api/v1/projects/<slug:slug>/reward-models/preview       POST manage
api/v1/projects/<slug:slug>/reward-models/preview/<uuid:uid> GET manage
api/v1/projects/<slug:slug>/reward-models/<int:number>/scores GET view
api/v1/projects/<slug:slug>/reward-models/rollback      POST manage
api/v1/projects/<slug:slug>/reward-models/score         POST manage
api/v1/projects/<slug:slug>/scores                      GET view
api/v1/projects/<slug:slug>/retrain-policy              GET manage  PUT manage
"""


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
        """Whether the view is the app's own code, and not a library's (log-in, second factor, languages)."""
        return not self.path.startswith(("account/", "i18n/", "api/schema", "api/docs")) or (
            self.path.startswith(("account/profile", "account/tokens"))
        )

    @property
    def has_ids(self) -> bool:
        """Whether it names something of a project besides the project itself."""
        return any(part in self.path for part in ("<uuid:uid>", "<int:pk>", "<int:number>"))


def routes() -> list[Route]:
    """The table, read."""
    found = []
    for line in (RULES + all_rules()).splitlines():
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
