"""The formats in which judges write verdicts, as finders over text. `judging.parsing` decides between them.

Every repetition in these expressions is bounded, so that a hostile answer costs linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import re2

# A verdict stands near the end; a bound keeps a hostile answer from costing more than a fixed effort.
TAIL_CHARS = 20_000
_MAX_JSON_STARTS = 500


class VerdictPatternError(ValueError):
    """A user's own pattern that RE2 refuses, or that does not have exactly one group."""


@dataclass(frozen=True)
class Found:
    """One verdict seen in the text: what it says (before validation), where, and by which format."""

    raw: str
    start: int
    end: int
    label_start: int
    form: str


_S = r"[ \t]{0,6}"
_MARKED: list[tuple[str, re.Pattern[str]]] = [
    ("double brackets", re.compile(rf"\[\[{_S}([^\[\]\n]{{1,40}}?){_S}\]\]")),
    (
        "result mark",
        re.compile(
            r"\[RESULT\][ \t:：]{0,4}[*_`\"'(\[]{0,4}"
            r"((?:(?:Response|Assistant|Answer)[ \t])?(?:\d{1,4}(?:\.\d{1,4})?(?:/\d{1,4})?|[A-Za-z]{1,12}))"
            r"(?![A-Za-z0-9])",
            re.I,
        ),
    ),
    (
        "answer tag",
        re.compile(r"<(?:answer|verdict)>\s{0,6}([^<>]{1,40}?)\s{0,6}</(?:answer|verdict)>", re.I),
    ),
]
_JSON_KEYS = (
    "verdict", "winner", "answer", "choice", "preferred", "better", "label", "score", "rating", "result"
)  # fmt: skip
_CUT_JSON = re.compile(
    rf"\"(?:{'|'.join(_JSON_KEYS)})\"\s{{0,6}}:\s{{0,6}}\"?([^\"\n,}}]{{1,40}})\"?\s{{0,6}}[,}}]", re.I
)

_MARKUP = r"[ \t*_`\"'“”‘’(（\[【]{0,6}"
_NOUN_WORDS = r"(?:Response|Assistant|Answer|Option|Model|Candidate|回答|回复|答案|助手|选项|模型)"
NOUN = re.compile(rf"^{_NOUN_WORDS}\s{{0,6}}(?=\S)", re.I)
TIE_WORDS = {"tie", "tied", "equal", "draw", "平局", "平手", "一样好", "相同"}
_ITEM = rf"(?-i:\d{{1,4}}(?:\.\d{{1,4}})?(?:{_S}/{_S}\d{{1,4}})?|[A-Z]|[Tt]ie|TIE|平局|平手)"
_STOP = rf"{_S}[*_`\"'“”‘’)）\]】]{{0,6}}{_S}(?=$|[\n.。,，;；!！:：—–-])(?![.,]\d)"
_KEYWORDS = (
    r"(?:(?:my|the|final|overall|so,?|therefore,?|thus,?)[ \t]{1,4}){0,4}"
    r"(?:verdict|answer|rating|score|grade|result|decision|choice|winner|judge?ment|"
    r"(?:better|best|preferred|stronger)(?:[ \t]{1,4}(?:one|response|answer|assistant|option))?)"
    r"|(?:最终|综合|总体|整体|最后)?的?(?:打分|评分|得分|总分|分数|判断|裁决|结论|答案|选择|结果|判定)"
    r"|(?:更好|更优|较好|较优|最好|最佳|胜出|获胜)的?(?:一个|回答|回复|答案|选项)?|胜者|赢家"
)
_KEYED = re.compile(
    rf"(?:^|[\n.。!！?？;；,，])[ \t#>*_`\-]{{0,8}}(?:{_KEYWORDS})[*_`]{{0,3}}"
    rf"{_S}(?:is|are|为|是)?{_S}(?::|：|=|[ \t]is[ \t]|(?<=is)[ \t]|(?<=[为是]))"
    rf"{_S}(?:{_MARKUP})(?:{_NOUN_WORDS}{_S})?({_ITEM}){_STOP}",
    re.I | re.M,
)
_DEGREE = r"(?:clearly|slightly|much|far|somewhat|overall|a[ \t]bit)"
_BETTER = re.compile(
    rf"(?<![\w'’-])(?:{_NOUN_WORDS}{_S})?(?-i:([A-Z])){_S}[*_`\"']{{0,3}}{_S}"
    rf"(?:(?:is|was)[ \t]{{1,4}}(?:the[ \t]{{1,4}})?(?:{_DEGREE}[ \t]{{1,4}})?"
    r"(?:better|best|superior|stronger|preferred|preferable|winner)|wins\b|"
    r"(?:明显|稍|略|整体|总体)?(?:更好|更优|更佳|较好|较优|胜出|获胜))",
    re.I,
)
# A sentence that doubts, denies or supposes is not a verdict, whatever it says of a label.
_UNSURE = re.compile(
    r"\b(?:not|cannot|neither|nor|or|whether|if|unless|would|could|might|may)\b|n['’]t\b|难以|无法|不|是否|如果|或",
    re.I,
)
_LONE = re.compile(
    rf"(?:^|[,，:：—–-]){_S}{_MARKUP}(?:{_NOUN_WORDS}{_S})?({_ITEM}){_MARKUP}"
    rf"{_S}[)）\]】.。!！]{{0,4}}{_S}$"
)
_DECLINED = (
    r"(?:help|assist|comply|provide|evaluate|compare|judge|rate|answer|respond|continue|do that|fulfill)"
)
REFUSAL = re.compile(
    r"\b(?:I['’]?m sorry, but|I apologi[sz]e, but|as an AI\b|I must decline|"
    rf"I(?: am|['’]m) (?:unable|not able) to {_DECLINED}|I (?:cannot|can['’]t|won['’]t) {_DECLINED})|"
    r"抱歉，|对不起，|我(?:无法|不能|拒绝)(?:评判|评价|评估|回答|比较|提供|协助|帮)|作为一个?(?:AI|人工智能)",
    re.I,
)


def marked(answer: str) -> list[Found]:
    start = max(0, len(answer) - TAIL_CHARS)
    found = [
        Found(match.group(1), match.start(), match.end(), match.start(1), form)
        for form, expression in _MARKED
        for match in expression.finditer(answer, start)
    ]
    return found + _json_verdicts(answer, start)


def _json_verdicts(answer: str, start: int) -> list[Found]:
    """Verdicts in whole JSON objects; failing any, in an object that was cut or badly quoted."""
    decoder = json.JSONDecoder()
    found: list[Found] = []
    position = start
    for _attempt in range(_MAX_JSON_STARTS):
        position = answer.find("{", position)
        if position < 0:
            break
        try:
            value, end = decoder.raw_decode(answer, position)
        except (ValueError, RecursionError):
            position += 1
            continue
        raw = _json_label(value)
        if raw is not None:
            label_start = max(answer.rfind(raw, position, end), 0)
            found.append(Found(raw, position, end, label_start, "json"))
        position = end
    if found:
        return found
    return [
        Found(match.group(1), match.start(), match.end(), match.start(1), "cut json")
        for match in _CUT_JSON.finditer(answer, start)
    ]


def _json_label(value: Any) -> str | None:
    """The verdict of a JSON object: the value of the first known key, when it is a short plain value."""
    if not isinstance(value, dict):
        return None
    lowered = {str(key).lower(): entry for key, entry in value.items()}
    for key in _JSON_KEYS:
        entry = lowered.get(key)
        if isinstance(entry, str | int | float) and not isinstance(entry, bool) and len(str(entry)) <= 40:
            return str(entry)
    return None


def keyed(answer: str) -> list[Found]:
    return _all(_KEYED, answer, "key word")


def last_line(answer: str, labels: Sequence[str]) -> list[Found]:
    """A bare label or a plain sentence on the last line that is not empty."""
    stripped = answer.rstrip()
    begin = stripped.rfind("\n") + 1
    line = stripped[begin:]
    if len(line) > 400:
        return []
    sure = not _UNSURE.search(line)
    better = [item for item in _all(_BETTER, line, "sentence") if sure and item.raw in labels]
    found = better or _lone_label(line, labels)
    return [
        Found(item.raw, item.start + begin, item.end + begin, item.label_start + begin, item.form)
        for item in found
    ]


def _lone_label(line: str, labels: Sequence[str]) -> list[Found]:
    """A label that ends the line, unless the line also names another label: then it may be a mention."""
    bare = re.sub(r"[*_`]", " ", line)
    match = _LONE.search(bare)
    if match is None:
        return []
    others = [label for label in labels if label != match.group(1)]
    rest = bare[: match.start(1)]
    if any(re.search(rf"(?<!\w){re.escape(label)}(?!\w)", rest) for label in others):
        return []
    return [Found(match.group(1), match.start(), match.end(), match.start(1), "last line")]


def _all(expression: re.Pattern[str], text: str, form: str) -> list[Found]:
    start = max(0, len(text) - TAIL_CHARS)
    return [
        Found(match.group(1), match.start(), match.end(), match.start(1), form)
        for match in expression.finditer(text, start)
    ]


def by_pattern(answer: str, pattern: str) -> list[Found]:
    tail_start = max(0, len(answer) - TAIL_CHARS)
    return [
        Found(
            match.group(1),
            match.start() + tail_start,
            match.end() + tail_start,
            match.start(1) + tail_start,
            "own",
        )
        for match in compile_pattern(pattern).finditer(answer[tail_start:])
        if match.group(1)
    ]


def compile_pattern(pattern: str) -> Any:
    """RE2 only: linear time whatever the pattern. Its options forbid the stderr chatter of a bad one."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise VerdictPatternError(_words(error)) from error
    if compiled.groups != 1:
        raise VerdictPatternError("the pattern needs exactly one group, around the label")
    return compiled


def _words(error: Exception) -> str:
    """RE2's binding raises with bytes."""
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
