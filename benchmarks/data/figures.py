"""One figure of a benchmark beside a rival's, as it is kept."""

from __future__ import annotations

from typing import Any


def figure(
    case: str,
    metric: str,
    ours: float,
    rival: float | None = None,
    rival_name: str = "",
    *,
    is_less_better: bool = False,
) -> dict[str, Any]:
    """`ratio` is above 1 where ours is the better one, the larger or (`is_less_better`) the smaller."""
    ratio = (rival / ours if is_less_better else ours / rival) if rival else None
    return {
        "case": case,
        "metric": metric,
        "ours": ours,
        "rival": rival,
        "rival_name": rival_name,
        "ratio": ratio,
    }
