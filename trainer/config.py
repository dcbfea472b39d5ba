"""What can be set of training; apart from the code that trains, to import fast."""

from math import lcm
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cluster.config import Config
from cluster.errors import ConfigError
from trainer.checkpoint import CheckpointConfig
from trainer.engine_config import EngineConfig
from trainer.feed.config import FeedConfig
from trainer.loss import LossConfig
from trainer.schedule import ScheduleConfig

Setting = Literal["mono", "cross", "multi"]


class ValidationConfig(Config):
    """Retrieval measured while training, on a small collection, in all three settings."""

    every: int = Field(default=100, ge=0)
    """Steps between validations; 0 = never."""
    measure: str = "multi.mAP"
    """What is maximised: setting (mono, cross, multi) and measure, or `mean.mAP` for the mean over the settings."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many validations without a new best; 0 = train all steps."""
    keep: Literal["best", "last"] = "best"
    """Which weights become the encoder: those of the best validation, or the last ones."""
    max_groups: int = Field(default=200, ge=1)
    """Groups of the validation data to use; few keep validation cheap."""

    @field_validator("measure")
    @classmethod
    def _known_setting(cls, measure: str) -> str:
        setting, dot, name = measure.partition(".")
        if setting not in ("mono", "cross", "multi", "mean") or not dot or not name:
            raise ValueError("must be a setting and a measure, such as multi.mAP, mono.nDCG@10 or mean.R@1")
        return measure


class TrainingConfig(Config):
    """How an encoder is trained."""

    steps: int = Field(default=600, ge=1)
    """Optimiser steps, one global batch each."""
    workers: int = Field(default=1, ge=1)
    """Training processes; they share each global batch, so they must divide it."""
    min_workers: int | None = Field(default=None, ge=1)
    """Go on with as few workers as this when nodes are lost, and with more again when they are back."""
    resize_seconds: float = Field(default=60, gt=0)
    """With `min_workers`: so often training looks whether it can go on with more workers."""
    cpus_per_worker: float = Field(default=1, gt=0)
    """Logical CPUs that a worker asks of Ray."""
    gpus_per_worker: float = Field(default=0, ge=0)
    """GPUs that a worker asks of Ray; 0 trains on the CPU."""
    threads_per_worker: int | None = Field(default=None, ge=1)
    """Threads of one worker's matrix products; None shares the machine's cores out among its workers."""
    max_failures: int = Field(default=3, ge=0)
    """How often a lost worker is replaced, training going on from the newest checkpoint."""
    engine: EngineConfig = EngineConfig()
    loss: LossConfig = LossConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    validation: ValidationConfig = ValidationConfig()
    feed: FeedConfig = FeedConfig()

    @model_validator(mode="after")
    def _fewest_below_most(self) -> Self:
        if self.min_workers is not None and self.min_workers > self.workers:
            raise ValueError(f"min_workers {self.min_workers} exceeds workers {self.workers}; they are least and most")
        return self

    def check_batch(self, batch: int) -> None:
        """Whether every number of workers that can occur divides the global batch.

        Raises:
            ConfigError: one does not.
        """
        fewest = self.min_workers or self.workers
        possible = range(fewest, self.workers + 1)
        odd = next((workers for workers in possible if batch % workers), None)
        if odd is not None:
            every = lcm(*possible)
            near = [size for size in (batch - batch % every, batch + every - batch % every) if size]
            reason = "training.workers"
            if len(possible) > 1:
                reason = (
                    f"training.min_workers is {fewest} and training.workers {self.workers}: any number between occurs"
                )
            raise ConfigError(
                f"mixing.batch: {batch} is not divisible by {odd} workers ({reason}); use {' or '.join(map(str, near))}"
            )

    @property
    def least_share(self) -> float:
        """Part of its workers that training makes do with."""
        return (self.min_workers or self.workers) / self.workers

    @property
    def gpus_needed(self) -> float:
        """GPUs of the workers."""
        return self.workers * self.gpus_per_worker

    @property
    def cpus_needed(self) -> float:
        """Logical CPUs of workers, their feeds, and Ray's own tasks that feed the feeds."""
        return self.workers * (self.cpus_per_worker + self.feed.cpus) + 1
