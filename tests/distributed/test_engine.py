"""Optimiser steps, encoding, dropout, bf16 and errors of the engine, in one and in two real workers."""

import pytest


@pytest.mark.distributed
@pytest.mark.parametrize(("world", "checks"), [(1, 4), (2, 3)])
def test_the_engine_keeps_its_promises(run_workers, world: int, checks: int) -> None:
    for done in run_workers("engine_worker.py", world):
        assert len(done) == checks
