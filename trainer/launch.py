"""Starts training under Ray Train and waits for it, with a progress bar; workers that are lost are replaced."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from cluster import errors
from cluster.errors import WorkError
from cluster.logs import get_logger
from cluster.storage import ResultSet, open_result_set, open_store, result_set_exists
from trainer.feed.stream import STREAM, make_data_config
from trainer.memory import remedy_for
from trainer.ray_train import torch_trainer
from trainer.worker import TrainSpec, innermost, next_step, run_worker

_POLL_SECONDS = 0.5
_LINE_SECONDS = 30.0
_logger = get_logger("train")


class ProgressBoard:
    """A small actor that rank 0 tells of every step, and that the driver asks for its progress bar."""

    def __init__(self) -> None:
        self._steps, self._values = 0, dict[str, Any]()
        self._failure: tuple[str, str] | None = None

    def update(self, steps: int, values: Mapping[str, Any]) -> None:
        """Note the steps done and the newest figures."""
        self._steps = steps
        self._values |= values

    def fail(self, name: str, message: str) -> None:
        """Note an error that would come again; the first one counts."""
        self._failure = self._failure or (name, message)

    def failure(self) -> tuple[str, str] | None:
        """Type and message of that error, if there was one."""
        return self._failure

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
            _fit(replace(spec, board=board))
        _drop_checkpoints(spec)
    return open_result_set(store, spec.name)


def _fit(spec: TrainSpec) -> None:
    from ray.exceptions import RayActorError
    from ray.train.v2.api.exceptions import TrainingFailedError

    training = spec.training
    try:
        # Ray's own bookkeeping of a run; all that must last is in our store.
        with open_store(spec.root).staging_folder() as scratch:
            torch_trainer(
                run_worker,
                {"spec": spec},
                training,
                name=spec.fingerprint,
                scratch=scratch,
                max_failures=training.max_failures,
                datasets={STREAM: cast(Any, _no_data)},
                dataset_config=make_data_config(spec.feed, lambda: next_step(spec), spec.board),
            ).fit()
    except TrainingFailedError as error:
        _raise_reported(spec.board, spec)
        cause = innermost(error)
        line = (str(cause).strip().splitlines() or [type(error).__name__])[-1]
        remedy = remedy_for(error)
        again = "start it again to go on from the newest checkpoint"
        raise WorkError(
            f"training {spec.name} failed after {training.max_failures} replacement(s) of lost workers: "
            + (f"memory ran out; {remedy}, and {again}" if remedy else f"{line}; {again}")
        ) from error
    except RayActorError as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WorkError(
            f"training {spec.name}: the process that watches over its workers was lost ({line}); start it again to go "
            "on from the newest checkpoint"
        ) from error
    else:
        _raise_reported(spec.board, spec)


def _no_data() -> None:
    """Ray Train asks its data configuration for streams only if it is given a data set; ours come from the plan."""


def _raise_reported(board: Any, spec: TrainSpec) -> None:
    """Raise what a worker reported: our own errors as they are, others with their type."""
    import ray

    failure = ray.get(board.failure.remote())
    if failure is not None:
        name, message = failure
        if name in ("ConfigError", "DataError", "WorkError"):
            raise getattr(errors, name)(message)
        line = (message.strip().splitlines() or ["no message"])[0]
        raise WorkError(f"training {spec.name} failed: {name}: {line}")


@contextlib.contextmanager
def _progress_bar(spec: TrainSpec, what: str) -> Iterator[Any]:
    """A bar on stderr that follows rank 0; lines now and then where nobody watches."""
    import sys

    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    from tqdm import tqdm

    # On the driver's node, as Ray Train's controller: no other node must be lost with it.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # A call each step: as events they would fill the head's memory, where it keeps a hundred thousand.
    board_class: Any = ray.remote(ProgressBoard)
    board = board_class.options(num_cpus=0, enable_task_events=False, scheduling_strategy=here).remote()
    stop = threading.Event()
    first = next_step(spec)
    bar = tqdm(total=spec.training.steps, initial=first, desc=what, unit="step", disable=not sys.stderr.isatty())

    def follow() -> None:
        said = time.monotonic()
        while not stop.wait(_POLL_SECONDS):
            with contextlib.suppress(Exception):  # the board goes with the cluster; the bar must not outlive a failure
                steps, values = ray.get(board.read.remote(), timeout=5)
                bar.n = max(bar.n, steps)
                bar.set_postfix({name: _short(value) for name, value in values.items()})
                if bar.disable and bar.n > first and time.monotonic() - said >= _LINE_SECONDS:
                    said = time.monotonic()
                    figures = ", ".join(f"{name} {_short(value)}" for name, value in values.items())
                    _logger.info("%s: step %d of %d, %s", what, bar.n, spec.training.steps, figures)

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
