"""The training loop: batches in, one optimiser step each, what happened out; whoever listens saves and validates."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from trainer.config import TrainingConfig
from trainer.engine import Engine, StepResult
from trainer.feed.in_process import LocalBatches
from trainer.feed.stream import Batches
from trainer.loss.gather import gather_rows, row_counts
from trainer.mixing.ledger import Ledger
from trainer.mixing.plan import GlobalBatch
from trainer.ranks import default_device
from trainer.schedule import learning_rate


@dataclass(frozen=True)
class Step:
    """One optimiser step, done."""

    number: int
    """Steps done, this one included."""
    batch: GlobalBatch
    """The global batch as it reached the loss, all ranks together."""
    result: StepResult
    learning_rate: float
    step_seconds: float
    """From one batch at hand to the next being asked for."""
    data_wait_seconds: float
    """Waiting for the batch before that."""


def train(engine: Engine, batches: Batches | LocalBatches, ledger: Ledger, config: TrainingConfig) -> Iterator[Step]:
    """Train on every batch of a stream, in order. Collective."""
    for batch in batches:
        started = time.perf_counter()
        rate = learning_rate(batch.slots.step, config.steps, config.engine.learning_rate, config.schedule)
        result = engine.train_step(batch.local, rate)
        whole = gather_slots(batch.slots)
        ledger.record(whole)
        yield Step(
            number=batch.slots.step + 1,
            batch=whole,
            result=result,
            learning_rate=rate,
            step_seconds=time.perf_counter() - started,
            data_wait_seconds=batches.waited_seconds,
        )


def gather_slots(share: GlobalBatch) -> GlobalBatch:
    """The slots of all ranks, in rank order, on every rank: what was trained on, for the ledger to count."""
    width = share.passage_language.shape[1]
    columns = np.column_stack([share.kind, share.row, share.query_language, share.passage_language]).astype(np.int64)
    device = default_device()  # NCCL takes nothing from elsewhere
    counts = row_counts(len(columns), device)
    table = gather_rows(torch.from_numpy(columns).to(device), counts).cpu().numpy()
    return replace(
        share,
        kind=table[:, 0].astype(np.int8),
        row=table[:, 1],
        query_language=table[:, 2].astype(np.int16),
        passage_language=table[:, 3 : 3 + width].astype(np.int16),
    )
