"""Memory that does not suffice on one worker of two: named with what would do, and nobody waits for the other for ever."""

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from distributed.nodes import OBJECT_STORE, training_workers
from distributed.small_run import small_spec
from ray.exceptions import RayError

from cluster.auth import ensure_local_token
from cluster.errors import EXIT_FAILED, WorkError
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import open_store
from trainer.memory import remedy_for
from trainer.worker import TrainSpec, next_step

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.faults]
# Each step takes and gives back a quarter of a gigabyte, in one piece a layer.
LARGE = {"intermediate": 8192, "layers": 1}


def test_a_worker_that_ray_ends_for_want_of_memory_has_a_remedy() -> None:
    class Worker:
        def work(self) -> None:
            time.sleep(60)

    ensure_local_token()
    # The machine is full from the first byte on: the monitor ends whatever there is.
    ray.init(
        address="local",
        num_cpus=1,
        object_store_memory=OBJECT_STORE,
        log_to_driver=False,
        _system_config={"memory_usage_threshold": 0.001},
    )
    try:
        worker: Any = ray.remote(Worker).remote()
        with pytest.raises(RayError) as caught:
            ray.get(worker.work.remote(), timeout=60)
    finally:
        ray.shutdown()
    assert "mixing.batch" in str(remedy_for(caught.value)), caught.value
    assert remedy_for(WorkError("step 3: the loss is nan")) is None


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with ray_cluster(RayConfig(), cpus_needed=5):
        yield


def starve_one_worker(spec: TrainSpec) -> bool:
    """Leave one worker too little address space for a step, once training is under way."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        if next_step(spec) >= 2 and len(workers := training_workers()) == 2:
            sizes = []
            for _ in range(40):
                sizes.append(workers[0].memory_info().vms)
                time.sleep(0.05)
            limit = min(sizes) + (48 << 20)
            resource.prlimit(workers[0].pid, resource.RLIMIT_AS, (limit, limit))
            return True
        time.sleep(0.05)
    return False


def test_memory_exhausted_on_one_worker_ends_the_run_with_what_would_do(cluster: None, tmp_path: Path) -> None:
    from trainer.launch import train_encoder

    spec = small_spec(
        tmp_path, 5000, workers=2, batch=96, fresh=LARGE, checkpoint={"every": 2}, validation={"every": 0}
    )
    with ThreadPoolExecutor(1) as pool:
        starved = pool.submit(starve_one_worker, spec)
        with pytest.raises(WorkError) as caught:
            train_encoder(spec)
        assert starved.result(), "no worker was starved"
    told = str(caught.value)
    assert "memory does not suffice" in told and "\n" not in told, told
    for setting in ("training.engine.gradient_caching", "training.engine.micro_batches", "mixing.batch"):
        assert setting in told
    assert told.startswith("step ") and caught.value.exit_code == EXIT_FAILED
    assert not psutil.wait_procs(training_workers(), timeout=60)[1], "a worker is left waiting"
    assert next_step(spec) > 0 and not open_store(spec.root).exists(spec.name)
