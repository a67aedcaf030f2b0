"""How many tokens a scorer's model can read, told from its settings alone."""

from __future__ import annotations

from ..errors import ModelUnavailableError
from ..folder import is_trusted
from ..hub import find_base
from ..transformer.build import position_limit
from .loading import revision_of
from .spec import ScorerSpec


def length_limit(spec: ScorerSpec) -> int:
    """``max_length``, or fewer tokens where model or reference have fewer positions. A DeBERTa without absolute
    positions (``position_biased_input`` false, as PairRM's) has no end. Raises ``ModelUnavailableError``."""
    from transformers import AutoConfig

    limit = spec.max_length
    for name in filter(None, (spec.model, spec.reference)):
        folder = find_base(name, revision=revision_of(name, spec), weights=False)
        try:
            config = AutoConfig.from_pretrained(str(folder), trust_remote_code=is_trusted(name))
        except (OSError, ValueError) as error:
            raise ModelUnavailableError(f"no settings of a model at {name}: {error}") from error
        if getattr(config, "position_biased_input", True):
            limit = position_limit(config, limit)
    return limit
