"""Gold and qualification comparisons: known outcomes that everybody is asked for, once."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import (
    IN_QUEUE,
    Assignment,
    Comparison,
    ComparisonState,
    ComparisonUse,
    ItemDeedKind,
    Project,
)
from labeling.scheme import read_scheme
from labeling.services.bookmark import bookmarks_void
from labeling.services.draws import CHECK_NEEDED, IS_CHECK
from labeling.services.item_deeds import deeds_record
from labeling.services.leases import slots_recount
from labeling.services.projects import project_update
from labeling.services.review import disagreements_refresh
from labeling.services.standing import settled_stay, states_settle
from webapp.audit.services import record
from webapp.users.models import User

CHUNK = 1000
NO_GOLD = gettext_lazy(
    "Where people only rank, a single pair among rankings would be known as gold. Let them compare pairs, too, before"
    " you set a share."
)


def checks_mark(*, project: Project, comparison_ids: list[int], use: ComparisonUse, actor: User) -> int:
    """Make these comparisons gold or qualification ones, or work again. Returns how many were changed.

    Left out are retired ones and, but for work, those without a known outcome. What is a check is in no batch and never
    done; what becomes work again needs the project's number of labels.
    """
    changed = 0
    for start in range(0, len(comparison_ids), CHUNK):
        with transaction.atomic():
            bookmarks_void(project.pk)
            changed += _mark(project, comparison_ids[start : start + CHUNK], use, actor)
    record(action=f"checks.{use}", subject=project.slug, actor=actor, project_id=project.pk, number=changed)
    return changed


def _mark(project: Project, ids: list[int], use: ComparisonUse, actor: User) -> int:
    rows = Comparison.objects.filter(project=project, pk__in=ids).exclude(state=ComparisonState.RETIRED)
    if use != ComparisonUse.WORK:
        rows = rows.exclude(gold_outcome="")
    fitting = rows.exclude(use=use).select_for_update(no_key=True).order_by("pk")
    locked = list(fitting.values_list("pk", flat=True))
    marked = Comparison.objects.filter(pk__in=locked)
    marked.update(use=use, needed=project.overlap if use == ComparisonUse.WORK else CHECK_NEEDED, batch=None)
    states_settle(marked, skip_limit=project.skip_limit)
    slots_recount(marked, is_freed=False)
    settled_stay(locked)
    disagreements_refresh(locked)
    deeds_record(locked, kind=ItemDeedKind(use), actor=actor)
    return len(locked)


def checks_add(*, project: Project, use: ComparisonUse, count: int, actor: User) -> int:
    """Make `count` comparisons gold or qualification ones, drawn at random from those with a known outcome that nobody
    has labeled. Returns how many there were. Raises ValidationError where there is none."""
    rows = (
        known_comparisons(project)
        .filter(label_count=0)
        .exclude(
            pk__in=Assignment.objects.filter(comparison__project=project, state="leased").values("comparison")
        )
    )
    ids = list(rows.order_by("random_key", "pk").values_list("pk", flat=True)[:count])
    if not ids:
        raise ValidationError(
            _(
                "No comparison without labels has a known outcome. Import some with a gold outcome, or mark"
                " labeled ones in the list of comparisons."
            )
        )
    return checks_mark(project=project, comparison_ids=ids, use=use, actor=actor)


def checks_release(*, project: Project, use: ComparisonUse, actor: User) -> int:
    """All gold, or all qualification comparisons become work again. Returns how many.

    Raises ValidationError for the qualification set while people are asked to qualify."""
    if use == ComparisonUse.QUALIFICATION and project.qualification_size > 0:
        raise ValidationError(_("Set the comparisons to qualify to 0 first: new people could not begin."))
    ids = list(
        Comparison.objects.filter(project=project, use=use).order_by("pk").values_list("pk", flat=True)
    )
    return checks_mark(project=project, comparison_ids=ids, use=ComparisonUse.WORK, actor=actor)


def known_comparisons(project: Project) -> QuerySet[Comparison]:
    """Everybody's open comparisons whose outcome is known: what gold and qualification can be made of."""
    return Comparison.objects.filter(IN_QUEUE, project=project).exclude(gold_outcome="")


def allocation_update(*, project: Project, actor: User, **fields: Any) -> Project:
    """Change settings of allocation. Raises ValidationError by field where there are too few comparisons for it, or
    where gold would be told from other work."""
    known = Comparison.objects.filter(IS_CHECK, project=project).order_by()
    counts = dict(known.values_list("use").annotate(number=Count("pk")))
    problems = {}
    if fields.get("gold_share", 0) > 0:
        if read_scheme(project.scheme).screen == "ranking":
            problems["gold_share"] = str(NO_GOLD)
        elif not counts.get(ComparisonUse.GOLD):
            problems["gold_share"] = _("There is no gold comparison yet. Mark some first.")
    number = counts.get(ComparisonUse.QUALIFICATION, 0)
    if fields.get("qualification_size", 0) > number:
        problems["qualification_size"] = _(
            "There are %(number)d qualification comparisons. Mark more of them first."
        ) % {"number": number}
    if problems:
        raise ValidationError(problems)
    return project_update(project=project, actor=actor, **fields)
