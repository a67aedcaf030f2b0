"""What the sample's truth calls right is right: sums are computed here, code is run here."""

import itertools
import json
import math
import re
import shutil
import sqlite3
import subprocess
from fractions import Fraction

import pytest

from labeling.demo.data import NO_FLAW, load_sample, load_truth

SAMPLE = {prompt.id: prompt for prompt in load_sample()}
TRUTH = load_truth()


def answers(prompt_id, *flaws):
    """Texts of the prompt's responses that have one of these flaws."""
    truths = TRUTH[prompt_id]
    responses = SAMPLE[prompt_id].responses
    return [r.text for r, truth in zip(responses, truths, strict=True) if truth.flaw in flaws]


def code_blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def birthday_percent(people):
    return 100 * (1 - math.prod(Fraction(365 - taken, 365) for taken in range(people)))


def sums_of_two_dice(total):
    return sum(a + b == total for a, b in itertools.product(range(1, 7), repeat=2))


def fence(out):
    return 2 * out + 24 / out


LADDER_DROP = math.sqrt(6.5**2 - 2.5**2) - math.sqrt(6.5**2 - 3.3**2)
REMAINDERS = next(n for n in itertools.count(1) if (n % 3, n % 5, n % 7) == (2, 3, 2))
RABBITS = next(n for n in range(36) if 4 * n + 2 * (35 - n) == 94)
PRIMES = [n for n in range(2, 46) if all(n % d for d in range(2, n))]

MATHS = {
    "math-en-01": f"{6 * 3 + 2 * 0.90:.2f}",
    "math-en-02": f"0.8 \\times 1.25 = {0.8 * 1.25:.0f}",
    "math-en-03": f"x = {max(x for x in range(-20, 20) if x * x - 5 * x - 14 == 0)}",
    "math-en-04": f"{LADDER_DROP:.1f}",
    "math-en-05": f"{fence(math.sqrt(12)):.2f}",
    "math-en-06": f"{99 / (99 + 998):.3f}",
    "math-en-07": "(2x - 1)|(2x-1)",
    "math-en-08": "diverges",
    "math-en-09": f"**{pow(7, 2026, 10)}**",
    "math-zh-01": f"**{(15 * 24 - 3 * 5) / 23:.0f} 斤**",
    "math-zh-02": f"**{RABBITS}**",
    "math-zh-03": f"={5**3 - 3 * 3 * 5}",
    "math-zh-04": f"{(1.1**2 - 1) * 100:.0f}%",
    "math-zh-05": f"{float(birthday_percent(30)):.1f}%",
    "math-zh-06": f"\\frac{{{sums_of_two_dice(7)}}}{{36}}",
    "math-zh-07": "\\frac12",
    "math-zh-08": f"**{REMAINDERS}**",
    "math-zh-09": "2027 **是**质数|2027**：用不大于",
}


def test_every_maths_prompt_is_checked():
    assert set(MATHS) == {prompt.id for prompt in SAMPLE.values() if prompt.topic == "maths"}


@pytest.mark.parametrize("prompt_id", MATHS)
def test_right_maths_answers_have_the_computed_result(prompt_id):
    right = answers(prompt_id, NO_FLAW)
    assert right
    for text in right:
        assert any(form in text for form in MATHS[prompt_id].split("|")), text


@pytest.mark.parametrize("prompt_id", MATHS)
def test_miscalculated_answers_do_not_have_it(prompt_id):
    for text in answers(prompt_id, "wrong_arithmetic"):
        assert not any(form in text for form in MATHS[prompt_id].split("|")), text


def test_side_remarks_of_right_maths_answers_hold():
    assert f"{sum(1 / n for n in range(1, 10**6 + 1)):.1f}" == "14.4"
    assert [f"{float(birthday_percent(n)):.1f}" for n in (10, 23, 50)] == ["11.7", "50.7", "97.0"]
    assert (fence(3), fence(4), round(3 * math.sqrt(24), 2)) == (14, 14, 14.70)
    assert len(PRIMES) == 14
    assert all(2027 % prime for prime in PRIMES)
    x, step = 0.7, 1e-6
    integral = lambda t: (2 * t - 1) * math.exp(2 * t) / 4  # noqa: E731
    assert (integral(x + step) - integral(x - step)) / (2 * step) == pytest.approx(x * math.exp(2 * x))
    assert (1 - math.cos(1e-4)) / 1e-8 == pytest.approx(0.5, rel=1e-6)


PYTHON = {
    "code-en-01": [("dedupe", ([3, 1, 3, 2, 1],), [3, 1, 2]), ("dedupe", ([],), [])],
    "code-en-03": [
        ("slug", ("  Hello,  World! -- 2nd try ",), "hello-world-2nd-try"),
        ("slug", ("A--b",), "a-b"),
    ],
    "code-en-09": [
        ("find", ([], 1), -1),
        ("find", ([7], 7), 0),
        ("find", ([1, 3, 5], 5), 2),
        ("find", ([1, 3], 2), -1),
    ],
    "code-zh-01": [
        ("chunks", ([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]]),
        ("chunks", ([], 3), []),
    ],
    "code-zh-02": [("top_chars", ("天天 sky，好，天。好a",), [("天", 3), ("好", 2)])],
    "code-zh-08": [
        ("balanced", ("f(a[0]){}",), True),
        ("balanced", ("([)]",), False),
        ("balanced", ("((",), False),
        ("balanced", (")",), False),
    ],
    "code-zh-09": [("climb", (1,), 1), ("climb", (5,), 8), ("climb", (20,), 10946)],
}


def passes(code, cases):
    """Whether the code does what the cases ask; a missing third-party package is a failure like any other."""
    scope = {}
    try:
        exec(code, scope)
        return all(scope[name](*arguments) == expected for name, arguments, expected in cases)
    except Exception:
        return False


@pytest.mark.parametrize("prompt_id", PYTHON)
def test_right_python_runs(prompt_id):
    right = answers(prompt_id, NO_FLAW)
    assert right
    for text in right:
        assert passes(code_blocks(text, "python")[0], PYTHON[prompt_id]), text


@pytest.mark.parametrize("prompt_id", sorted(set(PYTHON) - {"code-zh-09"}))
def test_buggy_python_fails(prompt_id):
    for text in answers(prompt_id, "buggy_code"):
        assert not passes(code_blocks(text, "python")[0], PYTHON[prompt_id]), text


def test_the_slow_staircase_is_right_but_would_never_end():
    (text,) = answers("code-zh-09", "buggy_code")
    scope = {}
    exec(code_blocks(text, "python")[0], scope)
    assert scope["climb"](20) == 10946
    # It calls itself twice, down to n - 2: more than φ^n calls.
    assert text.count("climb(n - ") == 2


def test_the_default_argument_behaves_as_told(capsys):
    question = SAMPLE["code-en-02"].messages[-1][1]
    exec(code_blocks(question, "python")[0], {})
    printed = capsys.readouterr().out
    for text in answers("code-en-02", NO_FLAW, "padded"):
        assert code_blocks(text, "text") == [printed]
        assert passes(
            code_blocks(text, "python")[0], [("add", ("pear",), ["pear"]), ("add", ("fig",), ["fig"])]
        )


def test_the_regular_expressions_behave_as_told():
    line = "订单号：A1023，金额：88.50 元"
    (right,) = answers("code-zh-03", NO_FLAW)
    (pattern,) = re.findall(r're\.search\(r"(.+?)", s\)', right)
    assert re.search(pattern, line).group(1) == "88.50"
    assert re.search(r"(\d.*\d)", line).group(1) == "1023，金额：88.50"
    assert re.search(r"(\d.*?\d)", line).group(1) == "10"


@pytest.fixture
def database():
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        """CREATE TABLE customers(id, name); CREATE TABLE orders(id, customer_id, total);
        INSERT INTO customers VALUES (1, 'Ada'), (2, 'Ben'); INSERT INTO orders VALUES (1, 1, 5), (2, 1, 7);
        CREATE TABLE scores(student, subject, score);
        INSERT INTO scores VALUES ('a', 'x', 9), ('b', 'x', 9), ('c', 'x', 3), ('a', 'y', 4);"""
    )
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("prompt_id", "rows"),
    [
        ("code-en-04", [("Ada", 2, 12), ("Ben", 0, 0)]),
        ("code-zh-04", [("x", "a", 9), ("x", "b", 9), ("y", "a", 4)]),
    ],
)
def test_right_sql_gives_the_rows_and_buggy_sql_does_not(database, prompt_id, rows):
    (right,) = answers(prompt_id, NO_FLAW)
    (wrong,) = answers(prompt_id, "buggy_code")
    assert database.execute(code_blocks(right, "sql")[0]).fetchall() == rows
    assert database.execute(code_blocks(wrong, "sql")[0]).fetchall() != rows


def test_the_largest_files_are_found(tmp_path):
    if not shutil.which("numfmt"):
        pytest.skip("this machine has no GNU numfmt")
    for number in range(1, 8):
        (tmp_path / f"a file {number}.bin").write_bytes(b"x" * number * 3000)
    (right,) = answers("code-en-08", NO_FLAW)
    command = ["bash", "-c", code_blocks(right, "bash")[0]]
    lines = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        f"./a file {number}.bin" for number in (7, 6, 5, 4, 3)
    ]


def test_the_csv_reader_takes_both_encodings(tmp_path):
    (right,) = answers("turn-zh-05", NO_FLAW)
    scope = {}
    exec(code_blocks(right, "python")[0], scope)
    for encoding in ("utf-8-sig", "utf-8", "gb18030"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes("姓名,城市\n李雷,苏州\n".encode(encoding))
        assert scope["read_rows"](path) == [{"姓名": "李雷", "城市": "苏州"}]


def test_right_javascript_runs():
    node = shutil.which("node")
    if not node:
        pytest.skip("this machine has no Node.js")
    (sort,) = answers("code-en-06", NO_FLAW)
    (cents,) = answers("code-zh-06", NO_FLAW)
    sort_call = code_blocks(sort, "javascript")[0].split(";")[0]
    script = f"const sorted = {sort_call};{code_blocks(cents, 'javascript')[0]}"
    script += ";console.log(JSON.stringify([sorted, text]))"
    out = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == [[1, 9, 10], "25.00"]


@pytest.mark.parametrize(("prompt_id", "limit"), [("help-en-04", 60), ("turn-en-02", 60)])
def test_right_english_answers_keep_the_word_limit(prompt_id, limit):
    for text in answers(prompt_id, NO_FLAW):
        assert len(text.split()) <= limit


def test_right_chinese_answers_keep_the_character_limit():
    for text in answers("help-zh-04", NO_FLAW):
        assert len(text) <= 80
