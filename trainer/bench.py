"""Several trainings one after another on the same workers of one Ray Train run.

Starting workers takes longer than a short training does: processes, imports, Ray Train's own actors. A bench is started
once and takes tasks from a desk until there are none.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import MixlingualError, WorkError
from cluster.logs import get_logger
from trainer.config import TrainingConfig
from trainer.ray_train import limit_threads, torch_trainer

if TYPE_CHECKING:
    from trainer.worker import TrainSpec

_logger = get_logger("bench")
Perform = Callable[[str, Any, "DeskListener"], tuple[str, dict[str, Any]]]
"""Name of a training, its task, whom to tell -> outcome and what came of it. Called on every rank."""


@dataclass(frozen=True)
class BenchSpec:
    """What the workers of one bench are told."""

    number: int
    desk: Any
    training: TrainingConfig
    """Workers, CPUs, GPUs and threads; the same for all its trainings."""
    perform: Perform


class DeskListener:
    """Tells the desk how one training goes, and asks it whether to go on."""

    def __init__(self, desk: Any, name: str) -> None:
        self._desk, self._name = desk, name

    def step(self, number: int, values: Mapping[str, Any]) -> None:
        """Rank 0 tells the desk."""
        from trainer.ranks import rank

        if rank() == 0:
            self._desk.update.remote(self._name, number, values)

    def goes_on(self, number: int, record: Mapping[str, Any]) -> bool:
        """Ask the desk; waits for its answer."""
        import ray

        goes_on: bool = ray.get(self._desk.goes_on.remote(self._name, number, record))
        return goes_on


def train_here(spec: "TrainSpec", listener: DeskListener) -> bool:
    """Train, or go on with, one encoder in this process; False where the listener ended it before. Collective."""
    from trainer.feed.in_process import LocalBatches
    from trainer.ranks import rank, world_size
    from trainer.worker import Run

    with contextlib.ExitStack() as stack:

        def batches(first_step: int) -> LocalBatches:
            return stack.enter_context(contextlib.closing(LocalBatches(spec.feed, first_step, rank(), world_size())))

        run = Run(spec, batches, listener)
        stack.callback(run.close)
        return run.finish()


def run_bench(config: Mapping[str, Any]) -> None:
    """Ray Train's entry point on each worker of a bench."""
    import ray
    import ray.train

    from trainer.ranks import rank

    bench: BenchSpec = config["bench"]
    limit_threads(bench.training)
    turn: int = ray.get(bench.desk.first_turn.remote(bench.number))
    while (given := ray.get(bench.desk.task.remote(bench.number, turn))) is not None:
        name, task = given
        turn += 1
        if rank() == 0 and not ray.get(bench.desk.begin.remote(name)):
            raise WorkError(f"{name} has failed too often")  # to have all ranks start again, after this task
        _perform(bench, name, task)
    ray.train.report({"done": True})


def _perform(bench: BenchSpec, name: str, task: Any) -> None:
    """Do one task and tell the desk what came of it."""
    import ray

    from trainer.ranks import rank, world_size

    try:
        outcome, record = bench.perform(name, task, DeskListener(bench.desk, name))
    except MixlingualError as error:  # which would come again
        said = {"error": type(error).__name__, "message": str(error)}
        ray.get(bench.desk.end.remote(name, "failed", said))
        if world_size() > 1:
            raise  # the other ranks wait for this one in the middle of something
    except Exception as error:
        ray.get(bench.desk.note.remote(name, f"{type(error).__name__}: {error}"))
        raise
    else:
        if rank() == 0:
            ray.get(bench.desk.end.remote(name, outcome, record))


@contextlib.contextmanager
def benches(number: int, desk: Any, training: TrainingConfig, perform: Perform, root: str) -> Iterator[None]:
    """Keep so many benches at work. Needs a connected Ray.

    Raises:
        WorkError: a bench could not be kept up, for another reason than one of its trainings.
    """
    import ray

    from cluster.storage import open_store

    failures: list[BaseException] = []
    with open_store(root).staging_folder() as scratch:

        def keep(trainer: Any) -> None:
            try:
                trainer.fit()
            except BaseException as error:
                _logger.warning("a bench went down: %s", _line(error))
                failures.append(error)
                with contextlib.suppress(Exception):
                    ray.get(desk.break_off.remote(f"a bench went down: {_line(error)}"))

        # Made here: threads that import Ray Train at the same time meet half of it.
        trainers = [_trainer(BenchSpec(place, desk, training, perform), scratch) for place in range(number)]
        threads = [threading.Thread(target=keep, args=(trainer,), daemon=True) for trainer in trainers]
        for thread in threads:
            thread.start()
        yield
        ray.get(desk.close.remote())
        for thread in threads:
            thread.join()
        if failures:
            raise WorkError(f"a bench went down: {_line(failures[0])}") from failures[0]


def _trainer(spec: BenchSpec, scratch: Path) -> Any:
    # Failures without end: the desk counts them, for each training.
    return torch_trainer(
        run_bench, {"bench": spec}, spec.training, name=f"bench-{spec.number}", scratch=scratch, max_failures=-1
    )


def _line(error: BaseException) -> str:
    from trainer.worker import innermost

    return (str(innermost(error)).strip().splitlines() or [type(error).__name__])[-1]
