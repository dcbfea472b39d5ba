"""Starts training under Ray Train and waits for it, with a progress bar; workers that are lost are replaced."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from cluster.errors import MixlingualError, WorkError
from cluster.logs import get_logger
from cluster.storage import ResultSet, open_result_set, open_store, result_set_exists
from trainer.feed.stream import STREAM, make_data_config
from trainer.worker import TrainSpec, next_step, run_worker

_POLL_SECONDS = 0.5
_logger = get_logger("train")


class ProgressBoard:
    """A small actor that rank 0 tells of every step, and that the driver asks for its progress bar."""

    def __init__(self) -> None:
        self._steps, self._values = 0, dict[str, Any]()

    def update(self, steps: int, values: Mapping[str, Any]) -> None:
        """Note the steps done and the newest figures."""
        self._steps = steps
        self._values |= values

    def read(self) -> tuple[int, dict[str, Any]]:
        """Steps done and the newest figures."""
        return self._steps, dict(self._values)


def train_encoder(spec: TrainSpec, what: str = "training") -> ResultSet:
    """Train, or return what an earlier call with the same specification trained. Needs a connected Ray.

    Raises:
        WorkError: training failed; the line says why. What was checkpointed stays, and the next call goes on from it.
    """
    store = open_store(spec.root)
    if not result_set_exists(store, spec.name):
        with _progress_bar(spec, what) as board:
            _fit(replace(spec, progress=board))
        _drop_checkpoints(spec)
    return open_result_set(store, spec.name)


def _fit(spec: TrainSpec) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    training = spec.training
    gpu = training.gpus_per_worker > 0
    workers: Any = (training.min_workers, training.workers) if training.min_workers else training.workers
    resources = {"CPU": training.cpus_per_worker} | ({"GPU": training.gpus_per_worker} if gpu else {})
    # Ray's own bookkeeping of a run; all that must last is in our store.
    scratch = tempfile.mkdtemp(prefix="mixlingual-train-")
    try:
        TorchTrainer(
            run_worker,
            train_loop_config={"spec": spec},
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=resources),
            datasets={STREAM: cast(Any, _no_data)},
            dataset_config=make_data_config(spec.feed, lambda: next_step(spec)),
            run_config=RunConfig(
                name=spec.fingerprint,
                storage_path=scratch,
                failure_config=FailureConfig(max_failures=training.max_failures),
            ),
        ).fit()
    except TrainingFailedError as error:
        raise _explained(error, spec) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _no_data() -> None:
    """Ray Train asks its data configuration for streams only if it is given a data set; ours come from the plan."""


def _explained(error: BaseException, spec: TrainSpec) -> MixlingualError:
    """The error behind Ray's, in one line: ours as it is, others with their type."""
    for cause in _causes(error):
        if isinstance(cause, MixlingualError):
            return type(cause)(str(cause))
    causes = list(_causes(error))
    last = str(causes[-1]).strip().splitlines() or [type(causes[-1]).__name__]
    return WorkError(f"training {spec.name} failed: {type(causes[-1]).__name__}: {last[0]}; the log above has the rest")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        failures = getattr(current, "worker_failures", None) or {}
        inner = [failure for failure in failures.values() if isinstance(failure, BaseException)]
        pending += [current.__cause__, current.__context__, getattr(current, "cause", None), *inner]


@contextlib.contextmanager
def _progress_bar(spec: TrainSpec, what: str) -> Iterator[Any]:
    """A bar on stderr that follows rank 0; lines now and then where nobody watches."""
    import sys

    import ray
    from tqdm import tqdm

    board: Any = ray.remote(num_cpus=0)(ProgressBoard).remote()
    stop = threading.Event()
    first = next_step(spec)
    bar = tqdm(total=spec.training.steps, initial=first, desc=what, unit="step", disable=not sys.stderr.isatty())

    def follow() -> None:
        while not stop.wait(_POLL_SECONDS):
            with contextlib.suppress(Exception):  # the board goes with the cluster; the bar must not outlive a failure
                steps, values = ray.get(board.read.remote(), timeout=5)
                bar.n = max(bar.n, steps)
                bar.set_postfix({name: _short(value) for name, value in values.items()})

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield board
    finally:
        stop.set()
        thread.join()
        bar.close()
        ray.kill(board)


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _drop_checkpoints(spec: TrainSpec) -> None:
    """Checkpoints of a finished run are of no more use: its encoder and records stand in one result set."""
    store = open_store(spec.root)
    if store.exists(spec.prefix):
        store.delete(spec.prefix)
