"""PairRM's own form (llm-blender/PairRM-hf): a DeBERTa that marks a prompt and two candidates, and a head on the marks.

``s = mean(h(source, candidate 1) - h(source, candidate 2))``, with h a two-layer head on the joined states of two
marks, mean over its tasks (arXiv 2306.02561). transformers has no class for it, so it is put together here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CorruptModelError, ModelUnavailableError
from ..hub import find_base
from ..transformer.build import pick_device
from .loading import revision_of
from .spec import ScorerSpec

TEMPLATE = "[CLS]<|source|>{prompt}[SEP][CLS]<|candidate1|>{first}[SEP][CLS]<|candidate2|>{second}[SEP]"
MARKS = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id")
WEIGHTS = "model.safetensors"


class PairRM(nn.Module):
    """Names of parts are those of the checkpoint."""

    def __init__(self, config: Any) -> None:
        from transformers import DebertaV2Model

        super().__init__()
        width = config.hidden_size
        self.pretrained_model = DebertaV2Model(config)  # type: ignore[no-untyped-call]
        self.head_layer = nn.Sequential(
            nn.Dropout(0.0),
            nn.Linear(2 * width, width),
            nn.Tanh(),
            nn.Dropout(0.0),
            nn.Linear(width, config.n_tasks),
        )
        self.marks = [int(getattr(config, name)) for name in MARKS]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """How much better the first candidate is, (B,), of token rows and their mask (B, T)."""
        states = self.pretrained_model(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, H)
        rows = torch.arange(len(ids), device=ids.device)
        source, first, second = (states[rows, (ids == mark).int().argmax(dim=1)] for mark in self.marks)
        scores = [self.head_layer(torch.cat([source, one], dim=-1)) for one in (first, second)]
        gap: Tensor = (scores[0] - scores[1]).mean(dim=-1)
        return gap


def load_pairrm(name: str, spec: ScorerSpec) -> PairRM:
    """A whole checkpoint in evaluation mode. Raises the errors of ``find_base`` and ``CorruptModelError``."""
    from safetensors.torch import load_file
    from transformers import DebertaV2Config

    folder = find_base(name, revision=revision_of(name, spec))
    try:
        config = DebertaV2Config.from_pretrained(str(folder))
        weights = load_file(str(folder / WEIGHTS))
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"no PairRM at {name}: {error}") from error
    if lacking := [part for part in (*MARKS, "n_tasks") if not hasattr(config, part)]:
        raise CorruptModelError(f"{name} is no PairRM: its configuration lacks {', '.join(lacking)}")
    model = PairRM(config)
    missing, _more = model.load_state_dict(weights, strict=False)
    if missing:
        raise CorruptModelError(f"{name} lacks weights: {', '.join(sorted(missing)[:5])}")
    dtype = getattr(torch, spec.dtype)
    return model.to(pick_device(spec.device), dtype).eval().requires_grad_(False)
