"""Both towers get the gradients of one process in float64, on any number of workers, with caching and without."""

import pytest


@pytest.mark.distributed
@pytest.mark.parametrize("world", [1, 2])
def test_gradients_of_both_towers_equal_a_float64_reference(run_workers, world: int) -> None:
    for found in run_workers("image_gradient_worker.py", world):
        assert len(found["gradients"]) == 7 * 4
        for case, errors in found["gradients"].items():
            assert max(errors) < 1e-5, f"{world} workers, {case}: {errors}"
        assert found["vectors"] < 1e-6
