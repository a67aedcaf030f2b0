"""How good the models are on prompts they never saw, beside TRL's RewardTrainer and two baselines
(`make bench-accuracy`).

Usage: python -m benchmarks.reward_accuracy [--quick] [--seeds N] [--first-seed N] [--folds N] [--parts trl,data]

1. ``trl``: one untrained Qwen2 for each seed, trained on the same argument pairs for the same number of steps by us and
   by TRL: same head, token ids, AdamW, rate, schedule, decay, clipping and centring; TRL's batches hold as many pairs
   as ours do on average. Each seed holds out another third of the debates, so three of them score every pair once.
2. ``data``: starter, small transformer, longest and a coin on PandaLM (split by instruction) and oasst-zh (by prompt),
   each prompt scored by a model that never saw it (five folds).

Intervals are 95 % percentile intervals of a bootstrap over prompts; differences are paired. Rows go to ``$BENCH_OUT``
(default var/bench/reward_accuracy.json).
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.reward.cases import ranked  # noqa: E402
from benchmarks.reward_starter import DATA, debates_in_order, make_pairs  # noqa: E402
from workers.reward import (  # noqa: E402
    Config,
    Message,
    Pair,
    StarterConfig,
    TransformerConfig,
    Vote,
    cross_validate,
    pool_votes,
    train,
)
from workers.reward.bootstrap import Interval, Resampler  # noqa: E402
from workers.reward.metrics import credit  # noqa: E402

THIRDS = 3
BATCH = 8  # TRL's own; what a step holds is reached by accumulation
SHARED = TransformerConfig(
    epochs=1, dropout=0.0, centering=0.01, evaluate_every=0, checkpoint_every=100_000, device="cpu"
)
SMALL = TransformerConfig(device="cpu")


def untrained(folder: Path, pairs: list[Pair], seed: int) -> None:
    """Write the small Qwen2 of this seed, its head drawn, and a tokenizer made of the training pairs."""
    from workers.reward.transformer.build import build_model, build_tokenizer

    config = dataclasses.replace(SHARED, seed=seed)
    tokenizer = build_tokenizer(config, config.base, pairs)
    build_model(config, config.base, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train_ours(base: Path, out: Path, pairs: list[Pair], seed: int) -> tuple[int, float]:
    """Steps and seconds of the library's own ``train``."""
    began = time.monotonic()
    result = train("transformer", pairs, dataclasses.replace(SHARED, base=str(base), seed=seed), out)
    return int(result.metrics["steps"]), time.monotonic() - began


def train_trl(base: Path, out: Path, pairs: list[Pair], seed: int, steps: int) -> float:
    """Seconds that RewardTrainer takes for ``steps`` steps over as many pairs."""
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    from workers.reward.transformer.batches import encode_pairs

    encoder = encoder_of(base)
    rows, _ = encode_pairs([p for p in pairs if p.split == "train"], encoder, 0.0)
    config = RewardConfig(
        output_dir=str(out),
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=max(1, round(len(rows) / steps / BATCH)),
        max_steps=steps,
        learning_rate=SHARED.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(SHARED.warmup_share * steps)),
        weight_decay=SHARED.weight_decay,
        adam_beta2=0.98,
        max_grad_norm=SHARED.clip_norm,
        center_rewards_coefficient=SHARED.centering,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        max_length=None,
        logging_steps=1_000_000,
        seed=seed,
    )
    began = time.monotonic()
    trainer = RewardTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=1),
        args=config,
        train_dataset=Dataset.from_list(
            [{"chosen_ids": row.chosen.ids, "rejected_ids": row.rejected.ids} for row in rows]
        ),
        processing_class=encoder.tokenizer,
    )
    trainer.train()
    trainer.save_model(str(out))
    return time.monotonic() - began


def encoder_of(base: Path) -> Any:
    """How text becomes token ids on both sides."""
    from transformers import AutoTokenizer

    from workers.reward.transformer.template import ConversationEncoder

    return ConversationEncoder(AutoTokenizer.from_pretrained(str(base)), SHARED.max_length)


def differences(model: Path, base: Path, pairs: list[Pair]) -> np.ndarray:
    """Score differences (N,) of a model's folder: the same reader for both trainers' weights."""
    from transformers import AutoModelForSequenceClassification

    from workers.reward.transformer.batches import encode_pairs
    from workers.reward.transformer.inference import score_rows

    encoder = encoder_of(base)
    rows, _ = encode_pairs(pairs, encoder, 0.0)
    loaded = AutoModelForSequenceClassification.from_pretrained(str(model))
    texts = [row.chosen for row in rows] + [row.rejected for row in rows]
    value = score_rows(loaded, texts, encoder.tokenizer.pad_token_id, SHARED.score_tokens)
    return np.asarray(value[: len(rows)] - value[len(rows) :], dtype=np.float64)


def written(found: Interval) -> str:
    """``0.801 [0.780, 0.820]``."""
    return f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"


def beside_trl(seeds: range, most: int) -> list[dict[str, Any]]:
    """Train with both trainers on each seed; print and return the rows."""
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    debates = debates_in_order(rows)
    scored: list[Pair] = []
    deltas: dict[str, list[np.ndarray]] = {"ours": [], "TRL": []}
    each: dict[str, list[float]] = {"ours": [], "TRL": []}
    for seed in seeds:
        pairs = make_pairs(rows, set(debates[seed % THIRDS :: THIRDS]), set())
        if most:
            pairs = pairs[:: max(1, len(pairs) // most)]
        test = [p for p in pairs if p.split == "test"]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            untrained(folder / "base", [p for p in pairs if p.split == "train"], seed)
            steps, ours_s = train_ours(folder / "base", folder / "ours", pairs, seed)
            trl_s = train_trl(folder / "base", folder / "TRL", pairs, seed, steps)
            for who in deltas:
                delta = differences(folder / who, folder / "base", test)
                deltas[who].append(delta)
                each[who].append(float(credit(delta, np.ones(len(test))).mean()))
        scored += test
        print(
            f"seed {seed}: {len(pairs) - len(test)} pairs, {steps} steps, {len(test)} held out: "
            f"ours {each['ours'][-1]:.4f} in {ours_s:.0f} s, TRL {each['TRL'][-1]:.4f} in {trl_s:.0f} s",
            flush=True,
        )
    return compared(scored, {who: np.concatenate(parts) for who, parts in deltas.items()}, each)


def compared(
    scored: list[Pair], deltas: dict[str, np.ndarray], each: dict[str, list[float]]
) -> list[dict[str, Any]]:
    """Pooled accuracies, and their difference on the same resamples of prompts."""
    certain = np.ones(len(scored))
    length = np.array([len(p.chosen) - len(p.rejected) for p in scored], dtype=np.float64)
    right = [credit(deltas["ours"], certain), credit(deltas["TRL"], certain), credit(length, certain)]
    columns = np.column_stack([*right, right[0] - right[1]])
    ours, rival, longest, gain = Resampler([p.prompt_key for p in scored]).intervals(columns, certain)
    spread = {who: statistics.stdev(values) if len(values) > 1 else 0.0 for who, values in each.items()}
    print(
        f"arguments, unseen debates: ours {written(ours)}, TRL {written(rival)}, longest {written(longest)}"
    )
    print(f"ours less TRL {written(gain)}; over seeds ±{spread['ours']:.4f} and ±{spread['TRL']:.4f}")
    row = {"case": "transformer, unseen debates", "metric": "accuracy", "ours": ours.value, "rival": rival.value,
           "rival_name": "TRL RewardTrainer", "ratio": (ours.value or 0.0) / (rival.value or 1.0),
           "difference": gain.as_dict(), "ours_by_seed": each["ours"], "rival_by_seed": each["TRL"]}  # fmt: skip
    return [row, {**row, "rival": longest.value, "rival_name": "longest-wins",
                  "ratio": (ours.value or 0.0) / (longest.value or 1.0), "difference": None}]  # fmt: skip


def pandalm() -> list[Pair]:
    """Three annotators' votes as soft labels; an instruction is a group, whatever its inputs."""
    rows = json.loads((DATA.parents[1] / "pandalm" / "testset-v1.json").read_text(encoding="utf-8"))
    names = {0: "tie", 1: "chosen", 2: "rejected"}
    out = []
    for row in rows:
        said = pool_votes(Vote(names[int(row[f"annotator{i}"])]) for i in (1, 2, 3))  # type: ignore[arg-type]
        asked = "\n".join(part for part in (row["instruction"], row["input"]) if part)
        out.append(Pair(
            f"pandalm-{row['idx']}", (Message("user", asked),), str(row["response1"]), str(row["response2"]),
            p_chosen=said.p_chosen, p_tie=said.p_tie, group=row["instruction"],
        ))  # fmt: skip
    return out


def on_other_data(folds: int, most: int) -> list[dict[str, Any]]:
    """Starter and transformer on both data sets; print and return the rows."""
    out = []
    for name, pairs in (("pandalm", pandalm()), ("oasst-zh", ranked())):
        pairs = pairs[:: max(1, len(pairs) // most)] if most else pairs
        kinds: tuple[tuple[str, Config], ...] = (("starter", StarterConfig()), ("transformer", SMALL))
        for kind, config in kinds:
            began = time.monotonic()
            found = cross_validate(kind, pairs, config, folds=folds)
            print(
                f"{name:9} {kind:11} {found.n} pairs, {found.ties} ties: {written(found.accuracy)}, longest "
                f"{written(found.longest)}, coin {written(found.random)}, log-loss {found.log_loss:.3f}, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            for rival, interval in (("longest-wins", found.longest), ("random", found.random)):
                ours, theirs = found.accuracy, interval
                out.append({
                    "case": f"{kind}, {name}", "metric": "accuracy", "ours": ours.value, "rival": theirs.value,
                    "rival_name": rival, "ratio": (ours.value or 0.0) / (theirs.value or 1.0),
                    "ours_interval": ours.as_dict(), "rival_interval": theirs.as_dict(),
                })  # fmt: skip
    return out


def main() -> None:
    """Run the parts asked for, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a sample of the pairs, one seed, in two minutes"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--parts", default="trl,data")
    options = parser.parse_args()
    most = 800 if options.quick else 0
    seeds = range(options.first_seed, options.first_seed + (1 if options.quick else options.seeds))
    folds = 3 if options.quick else options.folds
    rows: list[dict[str, Any]] = []
    if "trl" in options.parts.split(","):
        rows += beside_trl(seeds, most)
    if "data" in options.parts.split(","):
        rows += on_other_data(folds, most)
    target = Path(os.environ.get("BENCH_OUT", ROOT / "var" / "bench" / "reward_accuracy.json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"rows: {target}")


if __name__ == "__main__":
    main()
