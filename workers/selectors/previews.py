"""Reading a preview: the result of its job as a page shows it, and what was asked."""

from __future__ import annotations

from typing import Any

from webapp.jobs.models import Job
from workers.models import RewardModel
from workers.services.previews import PAGE_FILE, preview_result


def preview_page(job: Job) -> dict[str, Any]:
    """What the page needs besides the job: `result` (None before the end), the model that reads, if it is one, and the
    form's first values."""
    params = job.params
    model = RewardModel.objects.filter(pk=params["model_id"]).first() if "model_id" in params else None
    return {
        "result": None if job.is_active else preview_result(job, PAGE_FILE),
        "reader": model,
        "chosen": model.number if model else None,
        "asked": {
            "comparison": params.get("comparison_id"),
            "side": params.get("side", "a"),
            "prompt": params.get("prompt", ""),
            "answer": params.get("answer", ""),
        },
    }
