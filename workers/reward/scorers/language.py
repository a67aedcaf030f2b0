"""Log-probabilities of completions under a causal language model: what DPO rewards and perplexity are made of.

A completion is what follows the prompt's tokens, by position. Prompts are read once and shared by their answers
(``transformer.packed``); the last layer runs at the places that predict a completion's token, and logits are made of
those alone, a few at a time, so that memory holds no ``(tokens, vocabulary)`` matrix.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import NotFiniteError, Stopped
from ..transformer.batches import pad
from ..transformer.packed import backbone_of, layout_of, packed_states, switch_to_trees
from ..transformer.plan import plan_rows
from ..transformer.trees import TokenRow, pack, prompt_of
from ..types import Callbacks

# Logits that stand in memory at once: 64 MB in float32.
CELLS = 2**24
# How far log-probabilities may be from the model's own for its head to be run apart: float32 on a CPU, and rounder.
CLOSE, ROUNDED = 1e-5, 2e-2
# Names under which families scale their logits.
SCALES = ("logit_scale", "logits_scaling", "output_multiplier_scale")


class LanguageModel:
    """A causal language model that reads rows. ``padded_because`` says why prompts are not shared, if they are not."""

    def __init__(self, model: Any, longest: int) -> None:
        self.model = model
        self.has_plain_head = _has_plain_head(model)
        self.padded_because = "its head does more than multiply"
        if self.has_plain_head:
            self.padded_because = switch_to_trees(model, longest, _alone, _together)

    def log_likelihoods(
        self, rows: Sequence[TokenRow], budget: int, *, callbacks: Callbacks | None = None
    ) -> NDArray[np.float64]:
        """Number, sum and sum of squares of the natural log-probabilities of each row's completion tokens, (N, 3).

        A completion without a token has three zeros. The very first token of a row is given, never predicted.
        Raises ``Stopped`` between batches and ``NotFiniteError``.
        """
        told = callbacks or Callbacks()
        distinct = list(dict.fromkeys(rows))
        found: dict[TokenRow, list[float]] = {}
        for batch in plan_rows(distinct, budget, layout_of(self.model)).batches:
            if told.should_stop():
                raise Stopped(f"stopped after {len(found)} of {len(distinct)} rows")
            part = [distinct[i] for i in batch]
            with torch.inference_mode():
                figures = _read(self.model, part) if self.has_plain_head else _own(self.model, part)
            found.update(zip(part, figures.cpu().tolist(), strict=True))
            told.progress(len(found), len(distinct), "score")
        out = np.array([found[row] for row in rows], dtype=np.float64).reshape(len(rows), 3)
        if not np.isfinite(out).all():
            raise NotFiniteError("the model gives log-probabilities that are not finite")
        return out


def predicted(row: TokenRow) -> range:
    """Places of the completion's tokens in the row."""
    return range(max(row.prompt, 1), len(row.ids))


def _read(model: Any, rows: Sequence[TokenRow]) -> Tensor:
    """(R, 3) of rows, packed or padded."""
    device = next(model.parameters()).device
    owners = [number for number, row in enumerate(rows) for _ in predicted(row)]
    out = torch.zeros(len(rows), 3, dtype=torch.float64, device=device)
    if not owners:
        return out
    states = (_packed if layout_of(model) == "tree" else _padded)(model, rows, device)  # (P, H)
    targets = torch.tensor([row.ids[place] for row in rows for place in predicted(row)], device=device)
    return _add_up(out, torch.tensor(owners, device=device), _log_probabilities(model, states, targets))


def _add_up(out: Tensor, owners: Tensor, values: Tensor) -> Tensor:
    exact = values.double()
    return out.index_add_(0, owners, torch.stack([torch.ones_like(exact), exact, exact**2], dim=1))


def _packed(model: Any, rows: Sequence[TokenRow], device: torch.device) -> Tensor:
    """States (P, H) at the places that predict a completion's token, of rows packed into trees."""
    packed = pack(rows)
    trees = {end - 1: (tree.start, begin) for tree in packed.trees for begin, end in tree.answers}
    places = []
    for row, last in zip(rows, packed.last.tolist(), strict=True):
        start, begin = trees[last]
        fork = len(prompt_of(row))
        places += [
            start + place - 1 if place - 1 < fork else begin + place - 1 - fork for place in predicted(row)
        ]
    wanted = dataclasses.replace(packed, last=torch.tensor(places))
    return packed_states(model, wanted.to(device))


def _padded(model: Any, rows: Sequence[TokenRow], device: torch.device) -> Tensor:
    ids, mask = (part.to(device) for part in pad([row.ids for row in rows], 0))
    states = backbone_of(model)(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    numbers = [number for number, row in enumerate(rows) for _ in predicted(row)]
    places = [place - 1 for row in rows for place in predicted(row)]
    chosen: Tensor = states[torch.tensor(numbers, device=device), torch.tensor(places, device=device)]
    return chosen


def _log_probabilities(model: Any, states: Tensor, targets: Tensor) -> Tensor:
    """``ln p`` (P,) of targets (P,) from states (P, H), a few rows of logits at a time."""
    head = model.get_output_embeddings()
    step = max(1, CELLS // head.weight.shape[0])
    parts = range(0, len(states), step)
    return torch.cat(
        [_pick(_logits(model, head, states[i : i + step]), targets[i : i + step]) for i in parts]
    )


def _logits(model: Any, head: Any, states: Tensor) -> Tensor:
    logits: Tensor = head(states.to(head.weight.dtype)).float()
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return cap * torch.tanh(logits / cap) if cap else logits


def _pick(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(dim=1)


def _own(model: Any, rows: Sequence[TokenRow]) -> Tensor:
    """(R, 3) by the model's own logits, one row at a time."""
    device = next(model.parameters()).device
    out = torch.zeros(len(rows), 3, dtype=torch.float64, device=device)
    for number, row in enumerate(rows):
        if places := predicted(row):
            ids = torch.tensor([row.ids], device=device)
            logits = model(input_ids=ids, use_cache=False).logits[0, places.start - 1 : -1].float()
            values = _pick(logits, ids[0, places.start :])
            _add_up(out, torch.full((len(places),), number, device=device), values)
    return out


def _alone(model: Any, rows: Sequence[TokenRow]) -> Tensor:
    return _own(model, rows)[:, 1]


def _together(model: Any, rows: Sequence[TokenRow]) -> Tensor:
    return _read(model, rows)[:, 1]


@dataclasses.dataclass(frozen=True)
class _Probe:
    ids: tuple[int, ...]
    prompt: int


def _has_plain_head(model: Any) -> bool:
    """Whether backbone, head and cap, run apart, give the model's own log-probabilities."""
    head = model.get_output_embeddings()
    config = model.config.get_text_config()
    if not hasattr(head, "weight") or any(getattr(config, name, None) not in (None, 1) for name in SCALES):
        return False
    drawn = torch.randint(0, head.weight.shape[0], (12,), generator=torch.Generator().manual_seed(0))
    rows = [_Probe(tuple(drawn.tolist()), 3), _Probe(tuple(drawn[:7].tolist()), 2)]
    try:
        with torch.no_grad():
            apart, own = _read(model, rows)[:, 1], _own(model, rows)[:, 1]
    except (
        Exception
    ):  # a backbone of another form raises whatever it likes; its own forward pass is used then
        return False
    weight = next(model.parameters())
    exact = weight.dtype == torch.float32 and weight.device.type == "cpu"
    return bool(((apart - own).abs() <= (CLOSE if exact else ROUNDED) * own.abs().clamp(min=1.0)).all())
