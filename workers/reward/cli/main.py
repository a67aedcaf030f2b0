"""Arguments in, exit code out. Results go to stdout, progress and complaints to stderr.

Exit codes: 0 done, 1 stopped, 2 a wrong argument, setting, file or model (one line says which).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import RewardError, Stopped
from ..strategies import STRATEGIES
from . import commands
from .console import Progress

MODEL_HELP = "a model folder, a scorer's file (.yaml, .json), or the word random or longest"


def _model(made: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        made.add_argument(name, help=MODEL_HELP)


def _layout(made: argparse.ArgumentParser) -> None:
    """How files of pairs differ from ours."""
    what = "what the files call one of our keys"
    made.add_argument("--key", action="append", default=[], metavar="OURS=THEIRS", help=what)
    made.add_argument("--margin-scale", type=float, default=1.0, help="the largest margin in the files (1)")


def _pairs(made: argparse.ArgumentParser) -> None:
    """Labeled pairs, and how they are resampled."""
    made.add_argument("data", nargs="+", help="files of pairs (.jsonl, .jsonl.gz, .json, .parquet)")
    _layout(made)
    made.add_argument(
        "--seen", action="store_true", help="with the pairs whose prompts a model was trained on"
    )
    made.add_argument("--split", choices=["train", "validation", "test"], help="only rows of this split")
    made.add_argument("--cluster-by", choices=["prompt", "group"], default="prompt", help="what is resampled")
    made.add_argument("--resamples", type=int, default=2000, help="draws of the bootstrap (2000)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers.reward", description="Reward models: train, evaluate, compare, score."
    )
    asked = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        made = asked.add_parser(name, help=what, description=what)
        made.add_argument("--json", action="store_true", help="print the result as JSON")
        made.add_argument("--quiet", action="store_true", help="no progress")
        made.set_defaults(run=getattr(commands, name))
        return made

    made = command("train", "train the model that a file describes, and evaluate it on its test split")
    made.add_argument("config", help="the run's file (.yaml)")
    made.add_argument(
        "--tensorboard", metavar="FOLDER", help="write live figures there as TensorBoard events"
    )
    made = command("evaluate", "accuracy, calibration and slices on labeled pairs, beside two baselines")
    _model(made, "model")
    _pairs(made)
    made = command("compare", "two models on the same pairs by paired bootstrap: is the first one better?")
    _model(made, "candidate", "champion")
    _pairs(made)
    made = command("score", "score a file of responses; a killed run goes on where it was")
    _model(made, "model")
    made.add_argument("data", help="file of responses (.jsonl, .jsonl.gz, .json, .parquet)")
    made.add_argument("target", metavar="out", help="file to write (.parquet, .jsonl, .jsonl.gz)")
    made.add_argument(
        "--on-error", choices=["stop", "skip"], default="stop", help="at a row that cannot be used"
    )
    made.add_argument(
        "--engine", default="transformers", help="transformers, vllm, or the address of a vLLM server"
    )
    made = command("preview", "the exact text and tokens that a model reads of the first pairs")
    made.add_argument("source", help="a run's file (.yaml) or a model folder")
    made.add_argument("data", nargs="*", help="files of pairs; the run's own where left out")
    _layout(made)
    made.add_argument("-n", type=int, default=1, help="how many pairs (1)")
    made = command("rewardbench", "the figure of RewardBench 1 or 2")
    _model(made, "model")
    made.add_argument(
        "data", nargs="+", help="files of the benchmark (.jsonl, .parquet), prior sets among them"
    )
    made = command("simulate", "what each order of labeling would have saved, on pairs that are labeled")
    made.add_argument("data", nargs="+", help="files of pairs (.jsonl, .jsonl.gz, .json, .parquet)")
    _layout(made)
    made.add_argument("--seeds", type=int, default=10, help="ways to hold out groups, from 0 on (10)")
    made.add_argument(
        "--strategy", action="append", choices=list(STRATEGIES), default=[], help="all if left out"
    )
    made.add_argument(
        "--labels",
        type=int,
        nargs="+",
        default=[],
        help="numbers of labels, the first at random, the last random's target (up to 0.6 of the pairs)",
    )
    made = command("plan", "how a run's pairs become batches, without training")
    made.add_argument("config", help="the run's file (.yaml)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. An interrupt ends it between two units of work."""
    asked = _parser().parse_args(arguments)
    told = Progress(quiet=asked.quiet)
    if asked.quiet:
        _hide_bars()
    before = signal.signal(signal.SIGINT, lambda *_: told.stop())
    try:
        result = asked.run(asked, told)
    except Stopped as error:
        return _complain(told, str(error), 1)
    except RewardError as error:
        return _complain(told, str(error), 2)
    except (OSError, MemoryError) as error:
        return _complain(told, str(error) or type(error).__name__, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    told.done()
    if commands.IS_FIRST:
        _print(result, as_json=asked.json)
    return 0


def _hide_bars() -> None:
    """No progress bars of transformers and its hub either. Neither is imported for it: both look at the environment
    when a command first needs them."""
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    if "transformers" in sys.modules:
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]


def _complain(told: Progress, text: str, code: int) -> int:
    told.done()
    sys.stderr.write(f"error: {' '.join(text.split())}\n")
    return code


def _print(result: commands.Result, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(
            json.dumps(_plain(result.values), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        )
    else:
        sys.stdout.write(result.text.rstrip("\n") + "\n")


def _plain(value: Any) -> Any:
    """JSON has no lone surrogates and no NaN."""
    if isinstance(value, dict):
        return {_plain(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return None if isinstance(value, float) and value != value else value
