"""From an engine's reply to the fields of a verdict, and the same again for stored replies."""

from __future__ import annotations

from judging.engines.base import Reply, probability_first
from judging.models import JudgeVersion, Order, Verdict
from judging.parsing import ERROR, PARSER_VERSION, READ_STATUSES, ParsedVerdict, parse_verdict, tie_label
from judging.prompts import LABEL_A, pair_labels


def verdict_fill(verdict: Verdict, version: JudgeVersion, reply: Reply) -> Verdict:
    """Write an engine's reply into an unsaved verdict that knows its comparison, order and planted."""
    verdict.raw_text = reply.text
    verdict.reasoning = reply.reasoning
    verdict.finish_reason = reply.finish_reason[:40]
    verdict.label_logprobs = dict(reply.label_logprobs) if reply.label_logprobs is not None else None
    verdict.usage = dict(reply.usage)
    verdict.latency_ms = reply.latency_ms
    verdict_read(verdict, version)
    if reply.error:
        verdict.detail = reply.error[:500]
    return verdict


def verdict_read(verdict: Verdict, version: JudgeVersion) -> ParsedVerdict:
    """Set status, outcome and probability from what is stored of the answer, with today's parser."""
    labels = pair_labels(allow_tie=version.allow_tie)
    parsed = parse_verdict(
        verdict.raw_text,
        finish_reason=verdict.finish_reason,
        labels=labels,
        pattern=version.pattern or None,
        planted=verdict.planted,
    )
    tie = tie_label(labels) if version.allow_tie else None
    verdict.status, verdict.parser_version = parsed.status, PARSER_VERSION
    verdict.outcome = _outcome(parsed.label, verdict.order, tie)
    if parsed.status != ERROR:
        verdict.detail = parsed.detail[:500]
    verdict.p_a = verdict.label_mass = None
    share = probability_first(verdict.label_logprobs, tie=tie) if verdict.label_logprobs else None
    if share is not None and parsed.status in READ_STATUSES:
        first, verdict.label_mass = share
        verdict.p_a = first if verdict.order == Order.AB else 1.0 - first
    return parsed


def _outcome(label: str | None, order: str, tie: str | None) -> str:
    """The label (about slots) as an outcome (about responses)."""
    if label is None:
        return ""
    if label == tie:
        return "tie"
    return "a" if (label == LABEL_A) == (order == Order.AB) else "b"
