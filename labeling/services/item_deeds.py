"""What managers do to single comparisons, kept for their histories."""

from __future__ import annotations

from collections.abc import Iterable

from labeling.models import ItemDeed, ItemDeedKind
from webapp.users.models import User

CHUNK = 1000


def deeds_record(
    ids: Iterable[int],
    *,
    kind: ItemDeedKind,
    actor: User | None,
    value: float | None = None,
    text: str = "",
) -> None:
    """A row for each of these comparisons, inside the caller's transaction. One insert for each 1,000."""
    actor_id = actor.pk if actor else None
    ItemDeed.objects.bulk_create(
        (ItemDeed(comparison_id=pk, kind=kind, actor_id=actor_id, value=value, text=text) for pk in ids),
        batch_size=CHUNK,
    )
