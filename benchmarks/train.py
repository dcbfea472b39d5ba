"""Question: how many pairs a second are trained on on CPUs, beside sentence-transformers' trainer?

XQuAD-R's questions and their answer sentences, batches of 128 in one language, at most 128 tokens, through a fresh
encoder of XLM-R's shape (4 layers, 256 wide, 16k vocabulary, dropout 0.1). Ours is a whole training: Ray Data, Ray
Train and DeepSpeed with one worker, on all cores. The peer's trainer reads the same pairs with its sampler for several
data sets, from the same weights; its best of fp32 and bf16 counts. Both in turns; a turn is timed from its fourth step
on. With `--curve`, the losses of both over so many steps, of the same pairs in the same batches at the same rates; only
dropout's draws and rounding differ. False negatives are unmasked, as in the peer's loss.

    benchmarks/peers.sh FOLDER && FOLDER/bin/python benchmarks/train.py [--curve 150]
"""

import argparse
import itertools
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from side_by_side import line
from xquad_pairs import ENCODER, Pairs, pairs_by_language

from cluster.config import build_config
from cluster.ray_runtime import RayConfig, ray_cluster
from jobs.config import RunConfig
from jobs.run import train_arms
from jobs.stages import Stages
from trainer.feed.stream import BatchMaker
from trainer.schedule import ScheduleConfig, learning_rate
from trainer.telemetry import FILE
from trainer.worker import ENCODER_FOLDER

BATCH, RATE, WARM = 128, 5e-4, 3
OURS = {"mixlingual bf16": "bf16", "mixlingual fp32": "fp32"}
PEERS = {"sentence-transformers fp32": False, "sentence-transformers bf16": True}


def main() -> None:
    options = _options()
    logging.disable(logging.WARNING)
    pairs = pairs_by_language(options.data)
    rates: dict[str, list[float]] = {name: [] for name in (*OURS, *PEERS)}
    waits: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ray_cluster(RayConfig(object_store_mib=512), cpus_needed=4):
        trainings = _Trainings(Path(folder), pairs, options.micro_batches)
        for turn in range(options.rounds):
            for name, precision in OURS.items():
                steps = trainings.ours(precision, options.steps, turn)
                rates[name].append(_rate([step["step_seconds"] + step["data_wait_seconds"] for step in steps]))
                waits += [step["data_wait_seconds"] / step["step_seconds"] for step in steps[WARM:]]
            for name, bf16 in PEERS.items() if not options.no_peers else ():
                rates[name].append(_rate(_peer(trainings.start, pairs, bf16, options.steps, turn)[0]))
        curves = _curves(trainings, options.curve) if options.curve else {}
    middle = {name: statistics.median(found) for name, found in rates.items() if found}
    best = max((middle[name] for name in PEERS if name in middle), default=float("nan"))
    for name, rate in middle.items():
        print(f"{name:<28}{rate:8.1f} pairs/s  {rate / best:5.2f} of the peer's best")
    wait = statistics.median(waits) if waits else float("nan")
    print(f"waiting for data: {wait:.2%} of a step (median)")
    for name, losses in curves.items():
        cuts = [round(number * len(losses) / 5) for number in range(6)]
        fifths = [round(statistics.mean(losses[a:b]), 3) for a, b in itertools.pairwise(cuts)]
        print(f"{name:<28} mean loss in fifths of {len(losses)} steps: {fifths}")
    line("pairs a second in training", rates=middle, rounds=rates, data_wait=wait if waits else None, curves=curves)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/xquad-r"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="0: the comparison of losses alone")
    parser.add_argument("--curve", type=int, default=0, help="steps of the comparison of losses")
    parser.add_argument("--micro-batches", type=int)
    parser.add_argument("--no-peers", action="store_true")
    return parser.parse_args()


class _Trainings:
    """Runs of ours over one file of pairs, all from the same weights."""

    def __init__(self, folder: Path, pairs: dict[str, Pairs], micro_batches: int | None) -> None:
        self._folder, self._micro_batches = folder, micro_batches
        self._languages = tuple(pairs)
        with (folder / "pairs.jsonl").open("w", encoding="utf-8") as file:
            # Rows join what stands at the same place in each language. Batches are of one language, so that is all.
            for number, row in enumerate(zip(*pairs.values(), strict=True)):
                sides = {f"{side}_{code}": text for code, pair in zip(pairs, row, strict=True)
                         for side, text in zip("qp", pair, strict=True)}  # fmt: skip
                file.write(json.dumps({"id": number, **sides}, ensure_ascii=False) + "\n")
        self.start = self._stages("bf16", 1, 0).start.folder / ENCODER_FOLDER
        """Folder of the encoder that all start from."""

    def ours(self, precision: str, steps: int, seed: int) -> list[dict[str, Any]]:
        """Records of all steps of a training."""
        stages = self._stages(precision, steps, seed)
        (encoder,) = train_arms(stages, list(stages.config.all_arms))
        records = map(json.loads, encoder.path(FILE).read_text(encoding="utf-8").splitlines())
        return [record for record in records if record["event"] == "step"]

    def pairs(self, steps: int, seed: int) -> Iterator[tuple[str, str]]:
        """Those of all steps of such a training, in its order."""
        stages = self._stages("bf16", steps, seed)
        (arm,) = stages.config.all_arms
        spec = stages.train_spec(arm)
        maker = BatchMaker(spec.feed, 0, 1)
        for step in range(steps):
            for slot in maker.fetcher.texts(spec.feed.plan.batch(step)):
                (passage,) = slot.passages
                yield str(slot.query), str(passage)

    def _stages(self, precision: str, steps: int, seed: int) -> Stages:
        columns = {code: {"query": f"q_{code}", "passage": f"p_{code}"} for code in self._languages}
        fields = {
            "name": "training-speed",
            "seed": seed,
            "data": {"train": [{"dataset": "generic", "path": self._folder / "pairs.jsonl", "wide": columns}]},
            "encoder": ENCODER.model_dump(exclude_defaults=True),
            "mixing": {"mix": {"mono": 1}, "batch": BATCH},
            "training": {
                "steps": steps,
                "engine": {"learning_rate": RATE, "precision": precision, "micro_batches": self._micro_batches},
                "loss": {"mask_same_group": False, "mask_same_passage": False},
                "validation": {"every": 0},
                "checkpoint": {"every": steps},
            },
        }
        return Stages(build_config(RunConfig, fields, where="benchmark"), str(self._folder / "root"))


def _peer(
    folder: Path, data: Mapping[str, Pairs] | Pairs, bf16: bool, steps: int, seed: int
) -> tuple[list[float], list[float]]:
    """Seconds and losses of all steps of the peer's trainer.

    Args:
        data: pairs of each language, drawn by its sampler; or those of all steps in a row.
    """
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch.optim.lr_scheduler import LambdaLR
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback, TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    class Trainer(SentenceTransformerTrainer):
        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            """Our rates: its own are those of the step before, so that its first step does nothing."""
            rate = partial(learning_rate, steps=steps, peak=1.0, config=ScheduleConfig())
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, rate)
            return self.lr_scheduler

        def get_batch_sampler(self, dataset: Any, *arguments: Any, **named: Any) -> Any:
            sampler = super().get_batch_sampler(dataset, *arguments, **named)
            if not isinstance(data, Mapping):
                sampler.sampler = SequentialSampler(dataset)
            return sampler

    def columns(pairs: Pairs) -> Dataset:
        return Dataset.from_list([{"query": query, "passage": passage} for query, passage in pairs])

    model = SentenceTransformer(str(folder), device="cpu")
    with tempfile.TemporaryDirectory() as out:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=out,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=RATE,
            weight_decay=0.01,
            bf16=bf16,
            use_cpu=True,
            seed=seed,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=(
                {language: columns(those) for language, those in data.items()}
                if isinstance(data, Mapping)
                else columns(data)
            ),
            loss=MultipleNegativesRankingLoss(model, scale=20.0),
            callbacks=[Clock()],
        )
        trainer.remove_callback(PrinterCallback)  # the last line of a benchmark is JSON
        ends.append(time.perf_counter())
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return [after - before for before, after in itertools.pairwise(ends)], losses


def _curves(trainings: _Trainings, steps: int) -> dict[str, list[float]]:
    peer = _peer(trainings.start, [*trainings.pairs(steps, 0)], False, steps, 0)[1]
    ours = {name: [step["loss"] for step in trainings.ours(OURS[name], steps, 0)] for name in OURS}
    return {**ours, "sentence-transformers fp32": peer}


def _rate(step_seconds: list[float]) -> float:
    return BATCH / statistics.median(step_seconds[WARM:])


if __name__ == "__main__":
    main()
