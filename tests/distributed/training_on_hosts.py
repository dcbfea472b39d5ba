"""The driver of a training run over several hosts, started on the head: trains, and writes down what came of it."""

import json
import sys
from pathlib import Path

from distributed.small_run import small_spec

from cluster.ray_runtime import RayConfig, ray_cluster
from retrieval.encoder.folder import load_encoder
from trainer.engine import Engine
from trainer.feed.stream import BatchMaker
from trainer.launch import train_encoder
from trainer.ranks import process_group
from trainer.schedule import learning_rate
from trainer.worker import TrainSpec

STEPS = 60
# A worker and its feed fill a host of 4 CPUs but for Ray's own reading task, so two workers need two hosts.
TRAINING = {
    "workers": 2,
    "min_workers": 1,
    "cpus_per_worker": 2.5,
    "max_failures": 2,
    "checkpoint": {"every": 5},
    "validation": {"every": 0},
}


def spec_of(root: Path) -> TrainSpec:
    """The run below a root that all hosts see; without dropout, whose masks depend on the number of workers."""
    return small_spec(root, STEPS, dropout=0.0, **TRAINING)


def plain_losses(spec: TrainSpec) -> list[float]:
    """The same run in plain steps: one process, no Ray, every batch made on the spot."""
    encoder, tokens = load_encoder(spec.encoder_folder)
    maker, training = BatchMaker(spec.feed, rank=0, world_size=1), spec.training
    with process_group():
        engine = Engine(encoder, tokens.pad_id, training.engine, training.loss, seed=spec.seed)
        rates = [learning_rate(n, STEPS, training.engine.learning_rate, training.schedule) for n in range(STEPS)]
        return [engine.train_step(maker.make(step).local, rate).loss for step, rate in enumerate(rates)]


def main(address: str, root: str, report: str) -> None:
    spec = spec_of(Path(root))
    with ray_cluster(RayConfig(address=address, worker_logs=True), spec.training.cpus_needed):
        trained = train_encoder(spec)
    lines = [json.loads(line) for line in trained.path("telemetry.jsonl").read_text().splitlines()]
    ledger = json.loads(trained.path("ledger.json").read_text())
    Path(report).write_text(json.dumps({"steps": lines, "ledger": ledger, "plain_losses": plain_losses(spec)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
