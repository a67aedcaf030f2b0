"""A rewrite that comes back is one again: a response that knows parent and author, in a pair asked of nobody."""

from __future__ import annotations

from collections.abc import Sequence

from labeling.importing.rows import Item, PlacedRecords, labelers_ensure
from labeling.models import Comparison, ComparisonState, Project, Response


def rewrites_keep(*, project: Project, items: Sequence[Item], placed: PlacedRecords) -> int:
    """Marks the responses that this batch made as rewrites, as its rows say, and returns how many. Call inside the
    transaction, behind the votes.

    A response that was there before stays what it was. The author is who prefers the rewrite to its parent; a pair
    without such a vote is an ordinary one.
    """
    voters = {vote.pair: vote for vote in placed.votes}
    found: list[tuple[Response, str, int]] = []
    for item in items:
        for index, response in enumerate(item.record.responses):
            if response.rewrites is None or item.response_ids[index] not in placed.new_responses:
                continue
            pair, flipped = item.oriented((index, response.rewrites))
            vote = voters.get(pair)
            if vote is not None and vote.outcome == ("b" if flipped else "a"):
                child = Response(pk=item.response_ids[index], parent_id=item.response_ids[response.rewrites])
                found.append((child, vote.labeler, placed.comparison_ids[pair]))
    if not found:
        return 0
    authors = labelers_ensure(project, {name for _child, name, _comparison in found})
    for child, name, _comparison in found:
        child.author_id = authors[name]
    Response.objects.bulk_update([child for child, _name, _comparison in found], ["parent", "author"])
    pairs = Comparison.objects.filter(pk__in=[comparison for _child, _name, comparison in found])
    pairs.update(needed=0, open_slots=0, state=ComparisonState.DONE)
    return len(found)
