"""Optimiser steps, encoding, dropout, bf16 and errors of the engine, in one and in two real workers."""

from pathlib import Path

import pytest
from distributed.small_run import plain_losses, small_spec


@pytest.mark.distributed
@pytest.mark.parametrize(("world", "checks"), [(1, 4), (2, 3)])
def test_the_engine_keeps_its_promises(run_workers, world: int, checks: int) -> None:
    for done in run_workers("engine_worker.py", world):
        assert len(done) == checks


@pytest.mark.distributed
def test_a_process_may_train_again(tmp_path: Path) -> None:
    """Once its process group has ended, and DeepSpeed's copy of it."""
    spec = small_spec(tmp_path, 3)
    assert plain_losses(spec) == plain_losses(spec)
