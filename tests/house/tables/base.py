"""The tables of what is there in every project: see this package for what each of them is for."""

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
account/language/                                       POST open
api/schema                                              GET open
api/docs                                                GET open

(home)                                                  GET login
projects/new/                                           GET starter POST starter
invitations/<str:token>/                                GET open    POST open
projects/<slug:slug>/                                   GET enter
projects/<slug:slug>/settings/                          GET manage  POST manage
projects/<slug:slug>/settings/preview/                  POST manage
projects/<slug:slug>/people/                            GET manage  POST manage
projects/<slug:slug>/people/<int:pk>/                   POST manage

projects/<slug:slug>/label/                             GET label
projects/<slug:slug>/label/heartbeat                    POST label
projects/<slug:slug>/label/<uuid:uid>/submit            POST own
projects/<slug:slug>/label/<uuid:uid>/change            POST own
projects/<slug:slug>/label/<uuid:uid>/undo              POST own
projects/<slug:slug>/label/<uuid:uid>/draft             POST own

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
api/v1/projects/<slug:slug>/imports/<uuid:uid>/retry    POST manage
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
# The queries of one visit of a manager, session and person included. A number that moves wants a look.
LISTS = {
    "": 7,
    "jobs/": 4,
    "account/tokens/": 3,
    "api/docs": 2,
    "projects/<slug:slug>/": 14,
    "projects/<slug:slug>/people/": 7,
    "projects/<slug:slug>/label/": 8,
    "projects/<slug:slug>/agreement/": 15,
    "projects/<slug:slug>/imports/": 7,
    "projects/<slug:slug>/snapshots/": 12,
    "projects/<slug:slug>/judges/": 13,
    "projects/<slug:slug>/judges/<uuid:uid>/": 22,
    "projects/<slug:slug>/models/": 16,
    "projects/<slug:slug>/models/<int:number>/evaluation/": 15,
    "projects/<slug:slug>/models/compare/": 8,
    "projects/<slug:slug>/models/<int:number>/": 18,
    "projects/<slug:slug>/panels/judges/": 9,
    "projects/<slug:slug>/panels/accuracy/": 9,
    "api/v1/jobs": 3,
    "api/v1/projects": 3,
    "api/v1/projects/<slug:slug>/preferences": 6,
    "api/v1/projects/<slug:slug>/imports": 5,
    "api/v1/projects/<slug:slug>/snapshots": 9,
    "api/v1/projects/<slug:slug>/judges": 5,
    "api/v1/projects/<slug:slug>/judge-runs": 5,
    "api/v1/projects/<slug:slug>/judge-endpoints": 5,
    "api/v1/projects/<slug:slug>/verdicts": 6,
    "api/v1/projects/<slug:slug>/training-runs": 7,
    "api/v1/projects/<slug:slug>/reward-models": 9,
    "api/v1/projects/<slug:slug>/scores": 7,
}
# Every list, and every parameter that it reads.
PARAMETERS = {
    "": (),
    "api/docs": ("q", "subject"),
    "jobs/": ("project", "state", "before"),
    "projects/<slug:slug>/comparisons/<int:pk>/judges/": ("left",),
    "projects/<slug:slug>/panels/comparisons/<int:pk>/": ("left",),
    "projects/<slug:slug>/agreement/": ("snapshot",),
    "projects/<slug:slug>/snapshots/": (),
    "projects/<slug:slug>/snapshots/<int:number>/export/": (
        "layout", "format", "splits", "ties", "min_agreement", "margin", "labelers", "keys", "seed",
    ),
    "projects/<slug:slug>/snapshots/<int:number>/export/data": ("layout", "format", "splits", "min_agreement"),
    "projects/<slug:slug>/imports/": (),
    "projects/<slug:slug>/judges/": ("filter",),
    "projects/<slug:slug>/judges/<uuid:uid>/": ("status", "filter"),
    "projects/<slug:slug>/models/": (),
    "api/v1/jobs": ("project", "state", "kind"),
    "api/v1/projects": (),
    "api/v1/projects/<slug:slug>/preferences": ("latest", "comparison", "labeler", "above"),
    "api/v1/projects/<slug:slug>/imports": (),
    "api/v1/projects/<slug:slug>/snapshots": (),
    "api/v1/projects/<slug:slug>/snapshots/<int:number>/export": ("layout", "format", "splits"),
    "api/v1/projects/<slug:slug>/snapshots/<int:number>/manifest": ("layout", "format", "splits"),
    "api/v1/projects/<slug:slug>/judges": (),
    "api/v1/projects/<slug:slug>/judge-runs": (),
    "api/v1/projects/<slug:slug>/judge-endpoints": (),
    "api/v1/projects/<slug:slug>/verdicts": ("judge", "comparison", "status"),
    "api/v1/projects/<slug:slug>/training-runs": (),
    "api/v1/projects/<slug:slug>/reward-models": (),
    "api/v1/projects/<slug:slug>/scores": ("model", "response", "comparison"),
    "api/v1/projects/<slug:slug>/comparisons/<int:pk>/score": ("model",),
}  # fmt: skip
MAIN_PAGES = (
    "",
    "account/profile/",
    "account/tokens/",
    "api/docs",
    "help/",
    "jobs/",
    "projects/<slug:slug>/",
    "projects/<slug:slug>/label/",
    "projects/<slug:slug>/comparisons/<int:pk>/",
    "projects/<slug:slug>/agreement/",
    "projects/<slug:slug>/judges/",
    "projects/<slug:slug>/judges/<uuid:uid>/",
    "projects/<slug:slug>/models/",
    "projects/<slug:slug>/models/<int:number>/",
    "projects/<slug:slug>/models/<int:number>/evaluation/",
    "projects/<slug:slug>/models/compare/",
    "projects/<slug:slug>/models/preview/<uuid:uid>/",
    "projects/<slug:slug>/models/runs/<int:pk>/",
    "projects/<slug:slug>/models/policy/",
    "projects/<slug:slug>/snapshots/",
    "projects/<slug:slug>/snapshots/<int:number>/export/",
    "projects/<slug:slug>/imports/new/",
    "projects/<slug:slug>/imports/<uuid:uid>/",
    "projects/<slug:slug>/people/",
    "projects/<slug:slug>/settings/",
)
PANELS = (
    "api/",
    "export/data",
    "export/manifest",
    "evaluation.json",
    "scores.parquet",
    "/panels/",
    "progress",
    "jsi18n",
    "health",
    "<int:pk>/judges/",
)
