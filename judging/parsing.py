"""Reading a verdict out of what a judge wrote: pure, versioned, and never guessing.

The rule: the last verdict in a known format counts, when it names a label that was offered. Formats come
in three ranks, and a lower rank is read only where no higher one speaks:

1. marked: `[[A]]`, `[[A>B]]`, `[RESULT] A`, `<answer>A</answer>`, JSON `{"verdict": "A"}`;
2. keyed, at the start of a line or sentence: `Rating: 8`, `Final verdict: B`, `总体打分：5`, `更好的是：A`;
3. the last line alone: `B`, `All things considered, B`, `Response B is better.`

Two different labels on the last line that holds a verdict, in two verdicts that follow each other without
words between, or in the last verdicts of two marked formats, are a conflict. A marked verdict whose label
was not offered (`[[85]]` on a scale of ten) is unparsed: reading an earlier one instead would be a guess.
Reasoning between `<think>` tags is not part of the answer.

Nothing here returns a score or a tie for a failure. Bump PARSER_VERSION with every change of behaviour:
stored verdicts name it, and history can be read again without asking the judge again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from judging.verdict_formats import (
    NOUN,
    REFUSAL,
    TAIL_CHARS,
    TIE_WORDS,
    Found,
    by_pattern,
    keyed,
    last_line,
    marked,
)

PARSER_VERSION = "1"

OK = "ok"
REPAIRED = "repaired"
CONFLICT = "conflict"
UNPARSED = "unparsed"
TRUNCATED = "truncated"
REFUSED = "refused"
SUSPECTED_INJECTION = "suspected_injection"
ERROR = "error"
STATUSES = (OK, REPAIRED, CONFLICT, UNPARSED, TRUNCATED, REFUSED, SUSPECTED_INJECTION, ERROR)
READ_STATUSES = (OK, REPAIRED)


@dataclass(frozen=True)
class ParsedVerdict:
    """`label` is one of the offered labels when `status` is ok or repaired, and None otherwise.

    `span` is where the label stands in the text that was given, when it stands there literally.
    """

    status: str
    label: str | None
    detail: str
    span: tuple[int, int] | None = None


def parse_verdict(
    text: str,
    *,
    finish_reason: str,
    labels: Sequence[str],
    pattern: str | None = None,
    planted: Collection[str] = (),
) -> ParsedVerdict:
    """Read one answer. `labels` are what was offered, such as ("A", "B", "C") or ("1", … "10").

    `pattern` is a user's RE2 expression with one group, read instead of the known formats. `planted` are
    labels that verdict patterns inside the judged responses name: a verdict that agrees with one of them
    is suspected of having been dictated. Raises `verdict_formats.VerdictPatternError` for a bad pattern.
    """
    if finish_reason == "error":
        return ParsedVerdict(ERROR, None, "the call failed")
    if finish_reason in ("length", "max_tokens"):
        return ParsedVerdict(TRUNCATED, None, "the answer was cut at its token limit")
    if finish_reason == "content_filter":
        return ParsedVerdict(REFUSED, None, "the endpoint's content filter stopped the answer")
    parsed = _parse_answer(text, labels, pattern)
    if parsed.label is not None and parsed.label in planted:
        return ParsedVerdict(
            SUSPECTED_INJECTION, None, f"a response contains a verdict for {parsed.label}", parsed.span
        )
    return parsed


def _parse_answer(text: str, labels: Sequence[str], pattern: str | None) -> ParsedVerdict:
    answer, offset = _without_reasoning(text)
    if pattern is not None:
        parsed = _decide(by_pattern(answer, pattern), answer, labels, OK)
        return _shifted(parsed or _nothing(answer), offset)
    parsed = _read(answer, labels)
    if parsed.status != UNPARSED or parsed.label is not None:
        return _shifted(parsed, offset)
    plain = _plain(answer)
    if plain != answer and not parsed.detail.startswith("label"):
        again = _read(plain, labels)
        if again.status in READ_STATUSES:
            return ParsedVerdict(REPAIRED, again.label, "read after plain characters and no emphasis")
        if again.status == CONFLICT:
            return again
    return parsed


def _read(answer: str, labels: Sequence[str]) -> ParsedVerdict:
    """The three ranks in order."""
    marks = marked(answer)
    keys = keyed(answer)
    if marks:
        end_of_marks = max(found.end for found in marks)
        later = [found for found in keys if found.start >= end_of_marks and _label(found.raw, labels)]
        status = OK if all(found.form != "cut json" for found in marks) else REPAIRED
        parsed = _decide(marks + later, answer, labels, status)
    elif keys:
        parsed = _decide(keys, answer, labels, OK)
    else:
        parsed = _decide(last_line(answer, labels), answer, labels, REPAIRED)
    return parsed or _nothing(answer)


def tie_label(labels: Sequence[str]) -> str | None:
    """Which of the offered labels means a tie: C in the usual pair format, or T, or tie."""
    lowered = {label.lower(): label for label in labels}
    return next((lowered[name] for name in ("tie", "t", "c") if name in lowered), None)


def contained_verdicts(text: str, labels: Sequence[str]) -> set[str]:
    """Labels that marked or keyed verdicts inside a response name: a sign of an attempt to dictate one."""
    tail = unicodedata.normalize("NFKC", text)[-TAIL_CHARS:]
    found = [*marked(tail), *keyed(tail)]
    return {label for item in found if (label := _label(item.raw, labels)) is not None}


# --- deciding between what was found ---------------------------------------------------------------


def _decide(found: list[Found], answer: str, labels: Sequence[str], status: str) -> ParsedVerdict | None:
    if not found:
        return None
    found = sorted(found, key=lambda item: (item.start, item.end))
    last = found[-1]
    label = _label(last.raw, labels)
    rivals = {_label(item.raw, labels) for item in _final_group(found, answer)} - {None}
    if len(rivals) > 1:
        return ParsedVerdict(CONFLICT, None, "verdicts for " + " and ".join(sorted(map(str, rivals))))
    if label is None:
        return ParsedVerdict(UNPARSED, None, f"label {last.raw[:40]!r} was not offered")
    exact = answer[last.label_start : last.label_start + len(label)] == label
    span = (last.label_start, last.label_start + len(label)) if exact else None
    return ParsedVerdict(status, label, last.form, span)


def _final_group(found: list[Found], answer: str) -> list[Found]:
    """The verdicts that compete for being the last: same line, adjacent, or last of another marked form."""
    last = found[-1]
    line_start = answer.rfind("\n", 0, last.start) + 1
    group = [item for item in found if item.start >= line_start]
    for earlier, later in reversed(list(pairwise(found))):
        if re.search(r"\w", answer[earlier.end : later.start]):
            break
        group.append(earlier)
    by_form = {item.form: item for item in found}
    return [*group, *by_form.values()]


def _label(raw: str, labels: Sequence[str]) -> str | None:
    """The offered label that a raw verdict names, or None. Reads comparisons (`A>>B`) and scales (`8/10`)."""
    text = unicodedata.normalize("NFKC", raw).strip().strip("*_`\"'").strip()
    text = NOUN.sub("", text).strip()
    if text in labels:
        return text
    by_lower = {label.lower(): label for label in labels}
    if len(by_lower) == len(labels) and text.lower() in by_lower:
        return by_lower[text.lower()]
    if text.lower() in TIE_WORDS:
        return tie_label(labels)
    return _comparison_label(text, labels) or _scale_label(text, labels)


def _comparison_label(text: str, labels: Sequence[str]) -> str | None:
    match = re.fullmatch(r"(\w{1,12})\s*(>{1,3}|<{1,3}|={1,2}|≫|≪|≻|≺)\s*(\w{1,12})", text)
    if match is None:
        return None
    left, sign, right = match.groups()
    if left not in labels or right not in labels or left == right:
        return None
    if sign[0] == "=":
        return tie_label(labels)
    return left if sign[0] in ">≫≻" else right


def _scale_label(text: str, labels: Sequence[str]) -> str | None:
    """`8/10` or `8.0` on a scale that has 8 and ends at 10. A half (`7.5`) is not an offered label."""
    match = re.fullmatch(r"(\d{1,4})(?:\.0{1,3})?(?:\s*/\s*(\d{1,4}))?", text)
    if match is None or not all(label.isdigit() for label in labels):
        return None
    value, top = match.groups()
    if top is not None and int(top) != max(map(int, labels)):
        return None
    return value if value in labels else None


def _nothing(answer: str) -> ParsedVerdict:
    if REFUSAL.search(answer[:600]):
        return ParsedVerdict(REFUSED, None, "the judge declined")
    return ParsedVerdict(UNPARSED, None, "no verdict found" if answer.strip() else "the answer is empty")


def _shifted(parsed: ParsedVerdict, offset: int) -> ParsedVerdict:
    if parsed.span is None or offset == 0:
        return parsed
    start, end = parsed.span
    return ParsedVerdict(parsed.status, parsed.label, parsed.detail, (start + offset, end + offset))


# --- plain text ------------------------------------------------------------------------------------

_THINK = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.S | re.I)
_BRACKETS = str.maketrans({"【": "[", "】": "]", "〔": "[", "〕": "]", "「": '"', "」": '"'})


def _without_reasoning(text: str) -> tuple[str, int]:
    """The answer after any reasoning block, and how far it was shifted. An open block has no answer."""
    closings = [match.end() for match in re.finditer(r"</(?:think|thinking|reasoning)>", text, re.I)]
    offset = closings[-1] if closings else 0
    return _THINK.sub("", text[offset:]), offset


def _plain(text: str) -> str:
    """Full-width characters narrowed, Chinese brackets turned into plain ones, emphasis removed."""
    narrow = unicodedata.normalize("NFKC", text).translate(_BRACKETS)
    return re.sub(r"\*{1,3}|__|~~|`", "", narrow)
