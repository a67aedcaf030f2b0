"""A local Hugging Face causal model as a judge: one forward pass, the labels' probabilities, no generation.

The prompt (through the model's chat template where it has one) is continued by the prefill, and the
log-probabilities of the labels' tokens are read at the next position. The verdict is the most probable label;
`label_logprobs` are over the whole vocabulary, so the label mass says how far the model was willing to give a
verdict at all. Safetensors only, no remote code, nothing is downloaded. torch and transformers are imported
here, inside a worker, and never by a web process.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from django.utils.translation import gettext_noop
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from judging.engines.base import STOPPED, EngineError, JudgeRequest, Reply, ShouldStop
from judging.engines.folders import checked_model_folder
from webapp.jobs.messages import message

_TOKENS_PER_BATCH = 8192
_DEFAULT_MAX_TOKENS = 4096


class LocalEngine:
    """See the module. `roots` are the folders under which model folders may lie."""

    def __init__(self, folder: Path, *, roots: Iterable[Path], device: str | None = None) -> None:
        path = checked_model_folder(folder, roots)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                path, trust_remote_code=False, local_files_only=True
            )
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                path, trust_remote_code=False, local_files_only=True, use_safetensors=True, dtype="auto"
            )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise EngineError(
                message(gettext_noop("the model cannot be loaded: %(reason)s"), reason=str(error)[:500])
            ) from error
        if self._device == "cpu":
            self._model.to(dtype=torch.float32)  # type: ignore[call-arg]
        self._model.to(self._device).eval()  # type: ignore[arg-type]
        config = self._model.config
        self._max_tokens = int(getattr(config, "max_position_embeddings", None) or _DEFAULT_MAX_TOKENS)

    def judge(
        self, requests: Sequence[JudgeRequest], *, should_stop: ShouldStop | None = None
    ) -> list[Reply]:
        """Replies in order. Prompts that do not fit the model's context end with `finish_reason="length"`."""
        encoded = [self._encode(request) for request in requests]
        replies: list[Reply] = [Reply(finish_reason="length", error="")] * len(requests)
        fitting = [i for i, (ids, _labels) in enumerate(encoded) if len(ids) <= self._max_tokens]
        fitting.sort(key=lambda i: len(encoded[i][0]))
        for batch in _batches(fitting, [len(ids) for ids, _labels in encoded]):
            if should_stop is not None and should_stop():
                for index in batch:
                    replies[index] = Reply(finish_reason="error", error=STOPPED)
                continue
            began = time.monotonic()
            answers = self._label_logprobs([encoded[i] for i in batch])
            latency_ms = round((time.monotonic() - began) * 1000 / len(batch))
            for index, logprobs in zip(batch, answers, strict=True):
                replies[index] = _reply(logprobs, len(encoded[index][0]), latency_ms)
        return replies

    def close(self) -> None:
        del self._model

    def _encode(self, request: JudgeRequest) -> tuple[list[int], dict[str, int]]:
        """Ids up to the verdict, and the first id that tells each label apart.

        A tokenizer may merge the prefill with the label, so every label is encoded in its place and the
        ids that all of them share are the prompt. Raises EngineError when two labels begin alike.
        """
        text = self._text(request)
        add_special = getattr(self._tokenizer, "chat_template", None) is None
        whole = {
            label: self._tokenizer.encode(text + label, add_special_tokens=add_special)
            for label in request.labels
        }
        shared = _shared_prefix(list(whole.values()))
        label_ids = {label: ids[shared] for label, ids in whole.items() if len(ids) > shared}
        if len(set(label_ids.values())) != len(request.labels):
            raise EngineError(message(gettext_noop("the tokenizer cannot tell the labels apart")))
        return next(iter(whole.values()))[:shared], label_ids

    def _text(self, request: JudgeRequest) -> str:
        messages = list(request.messages)
        if getattr(self._tokenizer, "chat_template", None):
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        else:
            text = "\n\n".join(message["content"] for message in messages)
        return str(text) + request.prefill

    @torch.inference_mode()
    def _label_logprobs(self, rows: Sequence[tuple[list[int], dict[str, int]]]) -> list[dict[str, float]]:
        """Natural log-probabilities of each row's labels after its last token. Padded on the right."""
        longest = max(len(ids) for ids, _labels in rows)
        pad = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row, _labels in rows])  # (N, T)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _labels in rows])
        last = mask.sum(dim=1) - 1  # (N,)
        places, where = torch.unique(last, return_inverse=True)
        logits = self._model(
            input_ids=ids.to(self._device),
            attention_mask=mask.to(self._device),
            logits_to_keep=places.to(self._device),
            use_cache=False,
        ).logits  # (N, unique places, V)
        at_verdict = logits[torch.arange(len(rows)), where.to(logits.device)].float()  # (N, V)
        logprobs = at_verdict.log_softmax(dim=-1).cpu()
        return [
            {label: float(logprobs[index, token]) for label, token in labels.items()}
            for index, (_ids, labels) in enumerate(rows)
        ]


def _reply(logprobs: dict[str, float], prompt_tokens: int, latency_ms: int) -> Reply:
    label = max(logprobs, key=lambda name: logprobs[name])
    return Reply(
        text=f"[[{label}]]",
        label_logprobs=logprobs,
        usage={"prompt_tokens": prompt_tokens, "completion_tokens": 1, "total_tokens": prompt_tokens + 1},
        latency_ms=latency_ms,
    )


def _shared_prefix(sequences: Sequence[Sequence[int]]) -> int:
    length = 0
    for column in zip(*sequences, strict=False):
        if len(set(column)) > 1:
            break
        length += 1
    return length


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Groups of neighbours in `order` whose padded size stays under the token budget."""
    groups: list[list[int]] = []
    for index in order:
        if groups and lengths[index] * (len(groups[-1]) + 1) <= _TOKENS_PER_BATCH:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
