"""Clusters of several nodes on this machine, whose nodes come and go while a training runs."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import psutil
import ray
from ray.cluster_utils import Cluster

from cluster.auth import ensure_local_token
from cluster.storage import ResultSet, open_store
from trainer.checkpoint import latest
from trainer.launch import train_encoder
from trainer.worker import TrainSpec

OBJECT_STORE = 100 << 20


@contextlib.contextmanager
def nodes() -> Iterator[Cluster]:
    """A head without room for a training worker of two CPUs or more."""
    ensure_local_token()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": OBJECT_STORE})
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


class Training:
    """A training in a thread of its own, for the time of a block; what is not over by then is broken off."""

    def __init__(self, spec: TrainSpec) -> None:
        self._spec, self._store = spec, open_store(spec.root)
        self.steps_saved = {0}
        """Steps of all checkpoints that were seen."""
        self._outcome: ResultSet | Exception | None = None
        self._thread = threading.Thread(target=self._train, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill its controller until it gives up: a driver that is left at work would connect to Ray again."""
        deadline = time.monotonic() + 90
        while self._thread.is_alive():
            assert time.monotonic() < deadline, "goes on whatever is killed"
            for process in [*_named("TrainController"), *training_workers()]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._thread.join(0.5)

    def _train(self) -> None:
        try:
            self._outcome = train_encoder(self._spec)
        except Exception as error:
            self._outcome = error

    def saved(self) -> int:
        """The step of the newest checkpoint."""
        newest = latest(self._store, self._spec.prefix)
        self.steps_saved |= {newest.step} if newest else set()
        return newest.step if newest else 0

    def wait_until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Watch it until something holds; that must come while it trains, and within so many seconds."""
        over = threading.Event()
        for _ in range(int(seconds / 0.2)):
            if holds():
                return
            assert self._outcome is None, self._outcome
            over.wait(0.2)
        raise AssertionError(f"not within {seconds} s; the newest checkpoint is that of step {self.saved()}")

    def result(self, seconds: float) -> ResultSet:
        """What came of it."""
        self._thread.join(seconds)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None, f"not over after {seconds} s, at step {self.saved()}"
        return self._outcome


def training_workers() -> list[psutil.Process]:
    """Ray Train's workers below this process: no other cluster's."""
    return _named("RayTrainWorker")


def _named(name: str) -> list[psutil.Process]:
    found: list[Any] = []
    for process in psutil.Process().children(recursive=True):
        try:
            if name in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found
