"""What the manager and the reviewer of the demo do: a talk, one settlement, one sending back, a filter to keep."""

from __future__ import annotations

from labeling.demo.story import (
    COMMENTS,
    FILTER_NAME,
    OVERLOOKED,
    SENT_BACK_NOTE,
    SETTLED,
    SETTLED_REASON,
    TASTE,
    text_of,
)
from labeling.items.filters import ItemFilter
from labeling.models import SentTo
from labeling.services.adjudication import adjudicate
from labeling.services.comments import comment_create
from labeling.services.saved_filters import saved_filter_create
from labeling.services.sending_back import send_back
from workers.loop.cast import Cast, pair


def review(cast: Cast) -> None:
    """A talk about a question of taste, one disagreement settled, one sent back; and a filter to come back to."""
    reviewer = cast.users["reviewer"]
    talked_about = pair(cast.project, *TASTE)
    for name, words in COMMENTS:
        comment_create(comparison=talked_about, author=cast.users[name], text=words)
    settled = pair(cast.project, *SETTLED)
    is_a = settled.response_a.text == text_of(*SETTLED[:2])
    adjudicate(
        comparison=settled,
        reviewer=reviewer,
        outcome="a" if is_a else "b",
        strength=2,
        reason=SETTLED_REASON,
        key="demo:adjudication",
    )
    send_back(comparison=pair(cast.project, *OVERLOOKED), actor=reviewer, to=SentTo.SAME, note=SENT_BACK_NOTE)
    saved_filter_create(
        project=cast.project,
        owner=cast.manager,
        name=FILTER_NAME,
        wanted=ItemFilter(topic="safety", disputed=True),
        is_shared=True,
    )
