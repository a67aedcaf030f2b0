"""Keeping filters of items under a name."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from labeling.items.filters import ItemFilter
from labeling.models import Project, SavedFilter
from webapp.users.models import User


@transaction.atomic
def saved_filter_create(
    *, project: Project, owner: User, name: str, wanted: ItemFilter, is_shared: bool = False
) -> SavedFilter:
    """Keep a filter. Raises ValidationError by field: nothing to filter by, no name, a name used before."""
    if wanted.is_empty:
        raise ValidationError({"query": _("There is nothing to keep: choose a filter first.")})
    return _save(
        SavedFilter(project=project, owner=owner, query=wanted.to_json()), name=name, is_shared=is_shared
    )


@transaction.atomic
def saved_filter_update(*, saved: SavedFilter, **fields: Any) -> SavedFilter:
    """Another name, or shared or not. Raises ValidationError by field."""
    return _save(saved, **fields)


def saved_filter_delete(*, saved: SavedFilter) -> None:
    saved.delete()


def _save(saved: SavedFilter, **fields: Any) -> SavedFilter:
    for key, value in fields.items():
        setattr(saved, key, value.strip() if isinstance(value, str) else value)
    saved.full_clean(validate_unique=False, validate_constraints=False)
    same_name = SavedFilter.objects.filter(project=saved.project, owner=saved.owner, name=saved.name)
    if same_name.exclude(pk=saved.pk).exists():
        raise ValidationError({"name": _("You have a filter of this name already.")})
    saved.save()
    return saved
