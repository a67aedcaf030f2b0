"""What simulated labelers write when they give a reason: by the flaw of the response that lost."""

from __future__ import annotations

# Flaw → language → sentences. "The other one" is the losing response, whichever side it stood on.
RATIONALES: dict[str, dict[str, tuple[str, ...]]] = {
    "wrong_fact": {
        "en": ("The other one states something that is simply not true.", "Wrong facts in the other one."),
        "zh": ("另一个说的事实不对。", "另一个有常识性错误。"),
    },
    "wrong_arithmetic": {
        "en": ("I redid the sum; the other one miscalculates.", "The other one slips in the arithmetic."),
        "zh": ("我重新算了一遍，另一个算错了。", "另一个中间一步算错，结果就不对了。"),
    },
    "wrong_reasoning": {
        "en": ("The other one's method is wrong, so its result is too.", "That step does not follow."),
        "zh": ("另一个思路就错了，结果自然不对。", "另一个的推理站不住。"),
    },
    "hallucinated": {
        "en": ("The other one makes things up.", "Nothing in the prompt supports what the other one claims."),
        "zh": ("另一个在编。", "另一个说的内容题目里根本没有。"),
    },
    "buggy_code": {
        "en": ("The other one's code fails on the very example.", "I traced the other code: it has a bug."),
        "zh": ("另一个的代码跑不出想要的结果。", "顺着另一个的代码走了一遍，有错。"),
    },
    "ignores_constraint": {
        "en": ("The other one ignores what was asked for.", "The other one breaks the limit in the prompt."),
        "zh": ("另一个没有按要求来。", "题目里的限制，另一个没管。"),
    },
    "misses_question": {
        "en": ("The other one answers a different question.", "The other one is beside the point."),
        "zh": ("另一个答非所问。", "另一个没有回答问的事。"),
    },
    "incomplete": {
        "en": ("The other one stops halfway.", "Not wrong, but the other one leaves out half of it."),
        "zh": ("另一个只答了一半。", "另一个没错，但缺了关键的部分。"),
    },
    "vague": {
        "en": ("The other one says nothing that I could act on.", "Too general, the other one."),
        "zh": ("另一个太笼统，没法照着做。", "另一个说了等于没说。"),
    },
    "padded": {
        "en": ("The other one takes a page to say very little.", "Too much padding in the other one."),
        "zh": ("另一个太啰嗦，有用的没几句。", "另一个套话太多。"),
    },
    "over_refusal": {
        "en": ("No reason to refuse this.", "The other one refuses a harmless question."),
        "zh": ("这种问题没必要拒答。", "另一个什么都没帮上。"),
    },
    "forgets_context": {
        "en": ("The other one forgot what was said before.", "It ignores the earlier messages."),
        "zh": ("另一个把前面说的话忘了。", "前文交代过的，另一个没有用上。"),
    },
    "rude": {
        "en": ("Nobody should be spoken to like that.", "The other one's tone is not acceptable."),
        "zh": ("另一个说话太冲。", "另一个的语气让人没法接受。"),
    },
    "sycophantic": {
        "en": ("The other one agrees with a mistake to please.", "Flattery instead of a correction."),
        "zh": ("另一个一味顺着说，错了也不纠正。", "另一个光顾着夸人。"),
    },
    "unsafe_advice": {
        "en": ("The other one's advice can hurt somebody.", "Dangerous advice in the other one."),
        "zh": ("照另一个做会出事。", "另一个的建议很危险。"),
    },
}

TIE_RATIONALES = {
    "en": ("Both say the same.", "I could live with either."),
    "zh": ("两个差不多。", "哪个都可以。"),
}
BOTH_BAD_RATIONALES = {
    "en": ("I would send neither.", "Both wrong, each in its own way."),
    "zh": ("两个都不能用。", "各有各的错。"),
}
