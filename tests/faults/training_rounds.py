"""The driver of trainings on a cluster, started on its head: one after the other, until it is told that it is enough.

    training_rounds.py ADDRESS FOLDER STEPS

Trains FOLDER/0, FOLDER/1, ...; once FOLDER/enough exists it does one more, and ends.
"""

import sys
from pathlib import Path

from distributed.small_run import small_spec

from cluster.ray_runtime import RayConfig, ray_cluster
from trainer.launch import train_encoder
from trainer.worker import TrainSpec

# Two workers do not fit a host of 5 CPUs; beside one of them its feed does, and a reading task of Ray's.
TRAINING = {
    "workers": 2,
    "min_workers": 1,
    "cpus_per_worker": 3,
    "max_failures": 10_000,
    "checkpoint": {"every": 5},
    "validation": {"every": 0},
}


def spec_of(folder: Path, steps: int) -> TrainSpec:
    """A run below a folder that all hosts see; without dropout, whose masks depend on the number of workers."""
    folder.mkdir(exist_ok=True)
    return small_spec(folder, steps, dropout=0.0, **TRAINING)


def main(address: str, folder: str, steps: str) -> None:
    number, last = 0, False
    with ray_cluster(RayConfig(address=address), cpus_needed=8, least_share=0.5):
        while not last:
            last = Path(folder, "enough").exists()
            train_encoder(spec_of(Path(folder, str(number)), int(steps)))
            number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
