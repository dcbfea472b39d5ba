"""Gradients of any number of workers equal those of one process in float64."""

import pytest


@pytest.mark.distributed
@pytest.mark.parametrize("world", [1, 2])
def test_gradients_equal_a_float64_reference_for_every_stage_kind_and_way(run_workers, world: int) -> None:
    for found in run_workers("gradient_worker.py", world):
        assert len(found) == 3 * 4 * 3
        for case, errors in found.items():
            assert max(errors) < 1e-5, f"{world} workers, {case}: {errors}"
