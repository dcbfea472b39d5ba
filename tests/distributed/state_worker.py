"""One rank: training that stops and goes on, at another world size and ZeRO stage, and steps that cannot be made.

`state_worker.py write STORE` trains six steps at stage 2, saves after three, and checks skipped steps at every stage.
`state_worker.py read STORE` goes on from there at every stage. Both report the losses of the last three steps.
"""

import dataclasses
import sys

import numpy as np
import torch
from small_training import KINDS, PAD_ID, global_batch, report, share, small_encoder

from cluster.storage import open_store
from trainer.batch import LocalBatch
from trainer.checkpoint import Checkpoint, CheckpointConfig, CheckpointWriter, latest
from trainer.engine import Engine
from trainer.engine_config import EngineConfig
from trainer.loss import LossConfig
from trainer.ranks import process_group, rank, world_size
from trainer.state import FullState

POISON = 2


class Extended(torch.nn.Module):
    """An encoder with a weight that is frozen, one that no text uses, and a buffer; token 2 breaks it on purpose.

    `poison` is what token 2 does: "vector" makes the vector NaN, "gradient" leaves it and gives an infinite gradient.
    """

    def __init__(self, poison: str = "") -> None:
        super().__init__()
        self.encoder = small_encoder()
        self.frozen = torch.nn.Parameter(torch.full((3, 5), 0.5), requires_grad=False)
        self.unused = torch.nn.Linear(5, 3)
        self.spike = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("offset", torch.arange(7.0))
        self.poison = poison

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        # The spike takes part on every rank: ZeRO wants the same parameters to have gradients everywhere.
        vectors = self.encoder(input_ids, attention_mask) * self.frozen.mean() * 2 + self.spike
        bitten = bool((input_ids == POISON).any())
        if bitten and self.poison == "vector":
            vectors = vectors * float("nan")
        if bitten and self.poison == "gradient":
            vectors = vectors + (self.spike - self.spike.detach()).sqrt()
        return vectors


def engine(stage: int, state: FullState | None = None, poison: str = "") -> Engine:
    config = EngineConfig(
        zero_stage=stage,
        weight_decay=0.1,
        max_grad_norm=1.0,
        micro_batches=3,
        gradient_caching=True,
        on_nonfinite="skip",
    )
    return Engine(Extended(poison), PAD_ID, config, LossConfig(), seed=3, state=state)


def batch(step: int, poisoned: bool = False) -> LocalBatch:
    """This rank's share of a step; `poisoned` puts token 2 into a query of the last rank and nowhere else."""
    whole = global_batch(KINDS[step % 3], step)
    clean = dataclasses.replace(
        whole,
        query_ids=[np.maximum(ids, POISON + 1) for ids in whole.query_ids],
        passage_ids=[np.maximum(ids, POISON + 1) for ids in whole.passage_ids],
    )
    if poisoned:
        clean.query_ids[-1][0] = POISON
    return share(clean, rank(), world_size())


def train(trained: Engine, first: int, last: int) -> list[float]:
    return [trained.train_step(batch(step), learning_rate=1e-3).loss for step in range(first, last)]


def write(root: str) -> None:
    trained = engine(stage=2)
    train(trained, 0, 3)
    state = trained.full_state()
    if state is not None:
        writer = CheckpointWriter(open_store(root), "runs/one", CheckpointConfig())
        writer.save(Checkpoint(step=3, state=state, fingerprint="f", seed=3, progress={"best": [0.25]}))
    losses = train(trained, 3, 6)  # while the checkpoint is being written
    if state is not None:
        writer.wait()
        assert float(state.weights["frozen"][0, 0]) == 0.5 and state.weights["offset"].tolist() == list(range(7))
    trained.close()
    for stage in range(4):
        for poison in ("vector", "gradient"):
            check_poisoned_step_changes_nothing(stage, poison)
    report({"2": losses})


def check_poisoned_step_changes_nothing(stage: int, poison: str) -> None:
    tried = engine(stage, poison=poison)
    train(tried, 0, 1)
    before = tried.full_state()
    result = tried.train_step(batch(1, poisoned=True), learning_rate=1e-3)
    after = tried.full_state()
    assert not result.applied and tried.skipped_steps == 1, f"ZeRO {stage}, {poison}: {result}"
    assert np.isfinite(result.loss) == (poison == "gradient"), f"ZeRO {stage}, {poison}: {result}"
    assert_same(before, after, f"ZeRO {stage}, {poison}")
    assert tried.train_step(batch(2), learning_rate=1e-3).applied
    tried.close()


def read(root: str) -> None:
    losses = {}
    for stage in range(4):
        checkpoint = latest(open_store(root), "runs/one", "f")
        assert checkpoint is not None and checkpoint.step == 3 and checkpoint.progress == {"best": [0.25]}
        resumed = engine(stage, state=checkpoint.state)
        state = resumed.full_state()
        assert_same(checkpoint.state if state else None, state, f"ZeRO {stage}, as read")
        losses[str(stage)] = train(resumed, 3, 6)
        resumed.close()
    report(losses)


def assert_same(one: FullState | None, other: FullState | None, where: str) -> None:
    assert (one is None) == (other is None) == (rank() != 0)
    if one is None or other is None:
        return
    assert one.optimizer_steps == other.optimizer_steps > 0, f"{where}: {one.optimizer_steps}, {other.optimizer_steps}"
    for part in ("weights", "first_moments", "second_moments"):
        left, right = getattr(one, part), getattr(other, part)
        assert left.keys() == right.keys(), f"{where}: {part} {left.keys() ^ right.keys()}"
        for name in left:
            torch.testing.assert_close(left[name], right[name], rtol=0, atol=0, msg=f"{where}: {part} of {name}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with process_group():
        {"write": write, "read": read}[sys.argv[1]](sys.argv[2])
