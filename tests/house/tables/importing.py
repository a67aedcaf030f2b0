"""Import: the page on which a file's keys are mapped."""

from __future__ import annotations

RULES = """
projects/<slug:slug>/imports/<uuid:uid>/mapping/        GET manage  POST manage
projects/<slug:slug>/imports/hub/                       POST manage
api/v1/projects/<slug:slug>/imports/hub                 POST manage
"""

MAIN_PAGES = ("projects/<slug:slug>/imports/<uuid:uid>/mapping/",)
