"""A run saved by two workers goes on at any number of workers and ZeRO stage as if it had never stopped."""

from pathlib import Path

import pytest


@pytest.mark.distributed
def test_losses_go_on_at_another_world_size_and_stage(run_workers, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    uninterrupted = run_workers("state_worker.py", 2, "write", store)[0]["2"]
    for world in (1, 2):
        for stage, losses in run_workers("state_worker.py", world, "read", store)[0].items():
            assert losses == pytest.approx(uninterrupted, rel=1e-6), f"{world} workers, ZeRO {stage}"
