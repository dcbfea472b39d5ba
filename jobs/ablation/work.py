"""What a bench does for one trial: train, evaluate, note it in the ledger."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.storage import open_result_set, result_set_exists
from jobs.ablation.ledger import telemetry, write_finished
from jobs.ablation.study import Trial
from jobs.stages import Shared, Stages

if TYPE_CHECKING:
    from ray import ObjectRef

    from trainer.bench import DeskListener

ARM = "mix"
"""What `RunConfig` calls the one arm of a run without arms."""


@dataclass(frozen=True)
class Task:
    """One trial, as it is handed to a bench."""

    trial: Trial
    root: str
    shared: "ObjectRef"
    """A `Shared` that has all that is not in the store."""
    baseline: str | None = None
    """A baseline to evaluate instead of training: it is the same for all trials."""


def baseline_tasks(trial: Trial, root: str, shared: "ObjectRef") -> list[tuple[str, Task]]:
    """Name and task of the evaluation of each baseline; the untrained encoder is that of the trial."""
    stages = Stages(trial.config, root)
    return [(name, Task(trial, root, shared, baseline=name)) for name in stages.retrievers() if name != ARM]


_shared: dict[Any, Shared] = {}
"""What this process was given; it stays, with what was opened by it."""


def perform(name: str, task: Task, listener: "DeskListener") -> tuple[str, dict[str, Any]]:
    """Train and judge one trial; outcome, and the last validation's record. Collective: called on every rank."""
    import ray

    from trainer.bench import train_here
    from trainer.ranks import rank

    if task.shared not in _shared:
        _shared[task.shared] = ray.get(task.shared)
    stages = Stages(task.trial.config, task.root, _shared[task.shared])
    if task.baseline is not None:
        if rank() == 0:
            for collection in stages.config.data.evaluation:
                stages.judging.evaluation(task.baseline, collection)
        return "finished", {}
    encoder = stages.trained_name(ARM)
    if result_set_exists(stages.store, encoder):
        # By a run with this mix, or by this study before it was interrupted.
        told = all(listener.goes_on(step, record) for step, record in _earlier(stages, encoder))
        if not told:
            return "stopped", {}
    else:
        if not train_here(stages.train_spec(ARM), listener):
            return "stopped", {}
    return "finished", _judge(task.trial, stages) if rank() == 0 else {}


def _earlier(stages: Stages, encoder: str) -> list[tuple[int, dict[str, Any]]]:
    """Step and record of an encoder's validations before the last step."""
    last = stages.config.training.steps
    events = telemetry(open_result_set(stages.store, encoder))
    return [(one["step"], one) for one in events if one["event"] == "validation" and one["step"] < last]


def _judge(trial: Trial, stages: Stages) -> dict[str, Any]:
    """Evaluate, and note the trial as finished; the last validation."""
    from retrieval.throughput import read_throughput

    started = time.perf_counter()
    results = {name: stages.judging.judged(ARM, name) for name in stages.config.data.evaluation}
    seconds = time.perf_counter() - started
    encoder = stages.encoder(ARM)
    events = list(telemetry(encoder))
    steps = [event for event in events if event["event"] == "step"]
    speeds = [one for of in results.values() for one in of if one.name.startswith("throughput/")]
    costs = {
        "train_seconds": round(sum(step["step_seconds"] + step["data_wait_seconds"] for step in steps), 3),
        "evaluate_seconds": round(seconds, 3),
        "queries_per_second": read_throughput(speeds[0].folder)["queries_per_second"] if speeds else None,
    }
    evaluations = {
        name: [result.name for result in of if result.name.startswith("evaluations/")] for name, of in results.items()
    }
    write_finished(stages.store, trial, encoder, evaluations, costs)
    if stages.store.exists(f"training/{encoder.name.rpartition('/')[2]}"):
        stages.store.delete(f"training/{encoder.name.rpartition('/')[2]}")
    return next((event for event in reversed(events) if event["event"] == "validation"), {})
