"""Question: how many pairs a second are trained on on CPUs, beside sentence-transformers' trainer?

XQuAD-R's questions and their answer sentences, batches of 128 in one language, at most 128 tokens, through a fresh
encoder of XLM-R's shape (4 layers, 256 wide, 16k vocabulary, dropout 0.1). Ours is a whole training: Ray Data, Ray
Train and DeepSpeed with one worker, on all cores. The peer's trainer reads the same pairs with its sampler for several
data sets, from the same weights; its best of fp32 and bf16 counts. Both in turns; a turn is timed from its fourth step
on. With `--curve`, the losses of both over so many steps, false negatives unmasked as in the peer's loss.

    benchmarks/peers.sh FOLDER && FOLDER/bin/python benchmarks/train.py [--curve 150]
"""

import argparse
import itertools
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from feed_peers import pairs_by_languages
from side_by_side import line

from cluster.config import build_config
from cluster.ray_runtime import RayConfig, ray_cluster
from jobs.config import RunConfig
from jobs.run import train_arms
from jobs.stages import Stages
from retrieval.groups import open_groups
from trainer.telemetry import FILE
from trainer.worker import ENCODER_FOLDER

BATCH, RATE, WARM = 128, 5e-4, 3
OURS = {"mixlingual bf16": "bf16", "mixlingual fp32": "fp32"}
PEERS = {"sentence-transformers fp32": False, "sentence-transformers bf16": True}


def main() -> None:
    options = _options()
    logging.disable(logging.WARNING)
    peers = {} if options.no_peers else PEERS
    rates: dict[str, list[float]] = {name: [] for name in (*OURS, *peers)}
    waits: list[float] = []
    with tempfile.TemporaryDirectory() as root, ray_cluster(RayConfig(), cpus_needed=4):
        stages = Stages(_config(options, "bf16", 1, 0), root)
        start = stages.start.folder / ENCODER_FOLDER
        pairs = {} if options.no_peers else _pairs(stages)
        for turn in range(options.rounds):
            for name, precision in OURS.items():
                steps = _ours(_config(options, precision, options.steps, turn), root)
                rates[name].append(_rate([step["step_seconds"] + step["data_wait_seconds"] for step in steps]))
                waits += [step["data_wait_seconds"] / step["step_seconds"] for step in steps[WARM:]]
            for name, bf16 in peers.items():
                rates[name].append(_rate(_peer(start, pairs, bf16, options.steps, turn)[0]))
        curves = _curves(options, root, start, pairs) if options.curve else {}
    middle = {name: statistics.median(found) for name, found in rates.items()}
    best = max((middle[name] for name in peers), default=float("nan"))
    for name, rate in middle.items():
        print(f"{name:<28}{rate:8.1f} pairs/s  {rate / best:5.2f} of the peer's best")
    wait = statistics.median(waits)
    print(f"waiting for data: {wait:.2%} of a step (median)")
    for name, losses in curves.items():
        fifths = [
            round(statistics.mean(losses[i * len(losses) // 5 : (i + 1) * len(losses) // 5]), 3) for i in range(5)
        ]
        print(f"{name:<28} mean loss in fifths of {len(losses)} steps: {fifths}")
    line("pairs a second in training", rates=middle, rounds=rates, data_wait=wait, curves=curves)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/xquad-r")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--curve", type=int, default=0, help="steps of the comparison of losses")
    parser.add_argument("--micro-batches", type=int, default=1)
    parser.add_argument("--no-peers", action="store_true")
    return parser.parse_args()


def _config(options: argparse.Namespace, precision: str, steps: int, seed: int) -> RunConfig:
    fields = {
        "name": "training speed",
        "seed": seed,
        "data": {"train": [{"dataset": "xquad_r", "path": options.data}]},
        "encoder": {
            "fresh": {"layers": 4, "hidden": 256, "heads": 4, "intermediate": 1024, "vocabulary": 16000},
            "max_query_tokens": 128,
            "max_passage_tokens": 128,
            "query_prefix": "",
            "passage_prefix": "",
        },
        "mixing": {"mix": {"mono": 1}, "batch": BATCH},
        "training": {
            "steps": steps,
            "engine": {"learning_rate": RATE, "precision": precision, "micro_batches": options.micro_batches},
            "loss": {"mask_same_group": False, "mask_same_passage": False},
            "validation": {"every": 0},
            "checkpoint": {"every": steps},
        },
    }
    return build_config(RunConfig, fields, where="benchmark")


def _ours(config: RunConfig, root: str) -> list[dict[str, Any]]:
    """Records of all steps of a training."""
    (encoder,) = train_arms(Stages(config, root), list(config.all_arms))
    records = map(json.loads, encoder.path(FILE).read_text(encoding="utf-8").splitlines())
    return [record for record in records if record["event"] == "step"]


def _pairs(stages: Stages) -> dict[str, Any]:
    """A data set of the peer for each language."""
    from datasets import Dataset

    (source,) = open_groups(stages.groups).sources
    monolingual = pairs_by_languages(source)[: len(source.languages)]
    return {
        language: Dataset.from_list([of[row] for row in range(len(of))])
        for language, of in zip(source.languages, monolingual, strict=True)
    }


def _peer(folder: Path, pairs: dict[str, Any], bf16: bool, steps: int, seed: int) -> tuple[list[float], list[float]]:
    """Seconds and losses of all steps of the peer's trainer."""
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    model = SentenceTransformer(str(folder), device="cpu")
    with tempfile.TemporaryDirectory() as out:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=out,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=RATE,
            warmup_steps=round(0.1 * steps),
            weight_decay=0.01,
            bf16=bf16,
            use_cpu=True,
            seed=seed,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
        )
        trainer = SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=pairs,
            loss=MultipleNegativesRankingLoss(model, scale=20.0),
            callbacks=[Clock()],
        )
        ends.append(time.perf_counter())
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return [after - before for before, after in itertools.pairwise(ends)], losses


def _curves(options: argparse.Namespace, root: str, start: Path, pairs: dict[str, Any]) -> dict[str, list[float]]:
    ours = _ours(_config(options, "bf16", options.curve, 0), root)
    peer = _peer(start, pairs, False, options.curve, 0)[1]
    return {"mixlingual bf16": [step["loss"] for step in ours], "sentence-transformers fp32": peer}


def _rate(step_seconds: list[float]) -> float:
    return BATCH / statistics.median(step_seconds[WARM:])


if __name__ == "__main__":
    main()
