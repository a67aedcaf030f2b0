"""What the people of the demo do beside voting. We wrote it ourselves, like the sample; the people are imaginary.

Prompts are named by their ids in the sample and responses by their models, people by their account's name or, where
they are simulated, by the name of `simulate.LABELERS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from labeling.demo.data import load_sample, load_truth
from labeling.demo.simulate import SimulatedLabeler

# Accounts that simulated labelers speak for, so that their own pages have something to tell; the reviewer labels in
# batches alone.
REVIEWER = SimulatedLabeler("Rui 审核", ("en", "zh"), error_rate=0.04, tie_width=0.3, speed_s=50)
MEMBERS = {
    "labeler": SimulatedLabeler("Lee Labeler", ("en",), error_rate=0.08, tie_width=0.4, speed_s=44),
    "biaozhu": SimulatedLabeler("标注员小周", ("zh",), error_rate=0.10, length_bias=-0.3, speed_s=36),
}
# Of each topic and language, the prompts by which people qualify, and those whose outcome everybody is checked on.
QUALIFICATION, GOLD = "07", "05"
# Responses closer than this in quality are ranked as a tie.
TIE_WITHIN = 0.5


@dataclass(frozen=True)
class Said:
    """`better` is better than `worse`, `strength` 1 to 4; `reasons` are keys of `scheme.REASONS`. `quote` is a passage
    of the worse response, as it is read."""

    who: str
    prompt: str
    better: str
    worse: str
    strength: int
    rationale: str
    reasons: tuple[str, ...]
    quote: str = ""


@dataclass(frozen=True)
class Rewrite:
    """`who` makes `text` of the response by `model`, on the pair of this prompt that they have answered (`SAID`)."""

    who: str
    prompt: str
    model: str
    text: str


TASTE = ("math-en-04", "ginkgo-13b", "pocket-1b")
SETTLED = ("help-zh-03", "larch-7b-v2", "larch-7b")
OVERLOOKED = ("help-en-09", "ginkgo-13b", "pocket-1b")

SAID = (
    # Two careful people, and a question of taste.
    Said("labeler", TASTE[0], TASTE[2], TASTE[1], 1, "Both are right. This one says it in a line.", ("concise",)),
    Said(
        "Ada (simulated)", TASTE[0], TASTE[1], TASTE[2], 2,
        "Both are right, but only this one can be followed by somebody who could not do it alone.", ("complete",),
    ),
    Said("biaozhu", SETTLED[0], SETTLED[2], SETTLED[1], 2, "短的够用了，长的像在写方案。", ("concise",)),
    Said(
        "林晓（模拟）", SETTLED[0], SETTLED[1], SETTLED[2], 2,
        "时间表能照着做，还想到了上飞机前先在家睡一觉。", ("complete",),
    ),
    Said("labeler", OVERLOOKED[0], OVERLOOKED[2], OVERLOOKED[1], 2, "Short and to the point.", ("concise",)),
    Said(
        "Ada (simulated)", OVERLOOKED[0], OVERLOOKED[1], OVERLOOKED[2], 3,
        "It names both causes, the water and the dark window. The other one misses the second.", ("complete",),
    ),
    # Answers of people who then write a better response.
    Said(
        "labeler", "help-en-06", "pocket-1b", "larch-7b-v2", 1,
        "The long one has the fuse box in its third paragraph, and that is what to do first.", ("answers", "concise"),
        quote="You may wish to observe the drip for a while, and to note down the times at which it gets stronger.",
    ),
    Said(
        "biaozhu", "help-zh-08", "pocket-1b", "ginkgo-13b", 2,
        "问的是要不要抱，长的那个最后也没说。", ("answers", "concise"),
        quote="关于要不要把猫咪抱出来这一问题，可以说是仁者见仁，智者见智。",
    ),
)  # fmt: skip

REWRITES = (
    Rewrite(
        "labeler", "help-en-06", "larch-7b-v2",
        "Treat it as an electrical danger first:\n\n"
        "1. **Don't touch the light or its switch.** Switch off the lighting circuit at the fuse box, unless you "
        "would stand in water to reach it.\n"
        "2. **Put a bucket underneath**, and turn off the water if anything above is leaking. Ask the neighbour.\n"
        "3. **Call a plumber today**, and don't use the light until an electrician has looked at it.\n\n"
        "Then tell your landlord or your insurer. When it drips most is a help to the plumber: all the time, it is a "
        "pipe; when somebody showers, a seal; when it rains, the roof.",
    ),
    Rewrite(
        "biaozhu", "help-zh-08", "pocket-1b",
        "不用抱，也别伸手去掏。成年猫刚到家躲上三天到两周都正常，夜里肯出来吃就是好兆头。\n\n"
        "把水、粮、猫砂放在离床不远的地方，每天在房间里安静地坐一会儿，等它自己出来。\n\n"
        "要是整整一天一口不吃，或者一天多没有尿，就带去看医生。",
    ),
)  # fmt: skip

# (account, words) on the question of taste, in their order.
COMMENTS = (
    (
        "manager",
        "@reviewer Both get 0.4 m. One shows the working, the other is a single line, and our two people chose "
        "differently. The guidelines don't say what we want in maths.",
    ),
    (
        "reviewer",
        "@manager 先别退回给他们。建议在指南里补一句：“除非只问结果，数学题要写步骤。” "
        "Once that line is in, I'll settle this one.",
    ),
)
SETTLED_REASON = "两个都能用。长的那个安排了上飞机前在家先睡一觉，也提醒了下午会垮，多出来的不是套话。"
SENT_BACK_NOTE = (
    "The soil is “always wet”, and the plant stands at a north window. Which of the two says anything about the light? "
    "Please read both once more."
)
# (name, who shares it with the reviewer, language)
BATCHES = (("Maths, pencil in hand", "labeler", "en"), ("数学题，请动笔验算", "biaozhu", "zh"))
FILTER_NAME = "Safety: people disagree · 安全：意见不一"


def known_rows(number: str) -> list[dict[str, Any]]:
    """Of each topic and language, the clearest pair of the prompt with this number, with its outcome, as import reads
    them."""
    truth, rows = load_truth(), []
    for prompt in load_sample():
        if not prompt.id.endswith(f"-{number}"):
            continue
        quality = [planted.quality for planted in truth[prompt.id]]
        a, b = max(
            combinations(range(len(quality)), 2), key=lambda pair: abs(quality[pair[0]] - quality[pair[1]])
        )
        rows.append(
            {
                "messages": [{"role": role, "content": content} for role, content in prompt.messages],
                "response_a": prompt.responses[a].text,
                "response_b": prompt.responses[b].text,
                "gold": "a" if quality[a] > quality[b] else "b",
                "language": prompt.language,
                "topic": prompt.topic,
                "group": prompt.group,
            }
        )
    return rows


def text_of(prompt_id: str, model: str) -> str:
    """What this model answers to this prompt of the sample."""
    prompt = next(prompt for prompt in load_sample() if prompt.id == prompt_id)
    return next(response.text for response in prompt.responses if response.model == model)
