"""The trials of a study that are not over, done: one cluster, its benches, and Ray Tune between them and the study."""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster import errors
from cluster.errors import ConfigError, WorkError
from cluster.logs import get_logger
from cluster.storage import Store
from jobs.ablation.ledger import Entry, Ledger
from jobs.ablation.settings import AshaConfig, MedianStoppingConfig, PopulationConfig
from jobs.ablation.sharing import share
from jobs.ablation.study import StudyConfig, Trial, each_once
from jobs.ablation.work import ARM, Task, baseline_tasks, perform
from jobs.stages import Shared, Stages
from trainer.config import TrainingConfig

_MOST_WAITING = 10_000
"""Calls that wait at the desk at once: a few for each trial that runs."""
_logger = get_logger("study")


def run_session(
    study: StudyConfig, store: Store, ledger: Ledger, planned: Sequence[Trial], tensorboard: Path | None
) -> list[Entry]:
    """Do all trials; those that are over then.

    Raises:
        WorkError: a trial failed and the study does not leave it out, or the workers could not be kept up.
    """
    from cluster.ray_runtime import ray_cluster

    shared = Shared()
    share(planned, store.uri, shared)
    training = study.run.training
    wanted = study.concurrency or max(int((os.cpu_count() or 1) / _cpus(training)), 1)
    resources = _cpus(training) * wanted, training.gpus_needed * wanted
    with ray_cluster(study.run.ray, *resources, least_share=training.least_share / wanted):
        concurrency = _concurrency(study)
        folder = _tensorboard_folder(store, tensorboard)
        with _desk(training) as desk:
            session = Session(study, store, ledger, desk, shared, concurrency, folder)
            return session.run(planned)


def _cpus(training: TrainingConfig) -> float:
    """CPUs of one trial: its workers make their batches themselves."""
    return training.workers * training.cpus_per_worker


def _concurrency(study: StudyConfig) -> int:
    """How many trials the cluster holds at once, or as many as the study asks for.

    Raises:
        ConfigError: it asks for more than there can be: they would wait for each other's CPUs.
    """
    import ray

    training, there = study.run.training, ray.cluster_resources()
    # A hair more: fractions such as 0.1 do not add up exactly.
    fit = math.floor(there.get("CPU", 0) / _cpus(training) + 1e-6)
    if training.gpus_needed:
        fit = min(fit, math.floor(there.get("GPU", 0) / training.gpus_needed + 1e-6))
    if study.concurrency is not None and study.concurrency > fit:
        raise ConfigError(
            f"concurrency: the cluster holds {fit} trials at once, not {study.concurrency}; lower it, "
            "run.training.cpus_per_worker or run.training.gpus_per_worker, or leave it out"
        )
    return study.concurrency or max(fit, 1)


def _with_threads(training: TrainingConfig, concurrency: int) -> TrainingConfig:
    """The cores of a machine shared out among the workers that run on it."""
    import ray

    nodes = sum(node["Alive"] for node in ray.nodes())
    threads = (os.cpu_count() or 1) * nodes // (training.workers * concurrency)
    return training.model_copy(update={"threads_per_worker": training.threads_per_worker or max(threads, 1)})


@contextlib.contextmanager
def _desk(training: TrainingConfig) -> Iterator[Any]:
    """The desk, on this machine: no other must be lost with it."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from trainer.desk import Desk

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    desk_class: Any = ray.remote(Desk)
    desk = desk_class.options(
        num_cpus=0, enable_task_events=False, scheduling_strategy=here, max_concurrency=_MOST_WAITING
    ).remote(training.max_failures)
    try:
        yield desk
    finally:
        ray.kill(desk)


def _tensorboard_folder(store: Store, wanted: Path | None) -> Path | None:
    """Where TensorBoard's files go: where they are wanted, or out of sight in a root that is a folder."""
    if wanted is None and not store.uri.startswith("s3:"):
        return Path(store.uri) / ".tensorboard"
    return wanted.absolute() if wanted else None


class Session:
    """A study at work on a cluster."""

    def __init__(
        self,
        study: StudyConfig,
        store: Store,
        ledger: Ledger,
        desk: Any,
        shared: Shared,
        concurrency: int,
        folder: Path | None,
    ) -> None:
        import ray

        self.study, self.store, self.ledger, self.desk = study, store, ledger, desk
        self.concurrency, self.folder = concurrency, folder
        """Trials at once; where TensorBoard's files go, if anywhere."""
        self.trials: dict[str, Trial] = {}
        """By name: all that the desk was given."""
        self.failed: dict[str, tuple[str, str]] = {}
        """Name of a trial -> type and message of its error."""
        self._shared, self._shared_ref = shared, ray.put(shared)

    @property
    def stopping(self) -> AshaConfig | MedianStoppingConfig | None:
        """What may stop trials, if anything does."""
        config = self.study.scheduler
        return None if isinstance(config, PopulationConfig) else config

    def run(self, planned: Sequence[Trial]) -> list[Entry]:
        """Do everything; what is over then."""
        import ray

        from jobs.ablation.progress import following
        from trainer.bench import benches

        training = _with_threads(self.study.run.training, self.concurrency)
        _logger.info("%d trials at once, %d threads each", self.concurrency, training.threads_per_worker)
        with following(self), benches(self.concurrency, self.desk, training, perform, self.store.uri):
            baselines = baseline_tasks(planned[0], self.store.uri, self._shared_ref)
            waiting = [self._baseline(name, task) for name, task in baselines]
            if isinstance(self.study.scheduler, PopulationConfig):
                from jobs.ablation.population import run_population

                done = run_population(self, self.study.scheduler, planned)
            else:
                done = self.do(planned, "trials")
            if self.study.search is not None and not self.breaking_off:
                from jobs.ablation.searching import run_search

                done += run_search(self, self.study.search)
            ray.get(waiting)
        self._raise_failure()
        lost = [trial for trial in done if trial.name not in self.failed and self.ledger.entry(trial) is None]
        if lost:
            raise WorkError(f"trial {lost[0].label}: did not come to an end; start the study again to go on")
        self._drop_checkpoints()
        return [entry for trial in each_once(done) if (entry := self.ledger.entry(trial))]

    def _baseline(self, name: str, task: Task) -> Any:
        import ray

        ray.get(self.desk.add.remote(name, task))
        return self.desk.advance.remote(name)

    def do(self, trials: Sequence[Trial], part: str) -> list[Trial]:
        """Do some trials, under the study's scheduler if it stops any; the same trials."""
        from jobs.ablation.tuning import run_trials, stopping_scheduler

        if self.stopping is None:
            names = [self.give(trial) for trial in trials if self.ledger.entry(trial) is None]
        else:
            # With those that are over, for the scheduler compares; by name, which is no order of mixes or seeds.
            names = sorted(self.give(trial) for trial in trials)
        if names:
            run_trials(self, part, stopping_scheduler(self.stopping, self.study.run.training.steps), names=names)
        return [*trials]

    def give(self, trial: Trial, known_up_to: int = 0) -> str:
        """Have the desk know a trial: to be done, or with all that it reported when it was done. Its name."""
        import ray

        entry = self.ledger.entry(trial)
        self.trials[trial.name] = trial
        told = [(step, dict(record)) for step, record in entry.validations] if entry else None
        task = Task(trial, self.store.uri, self._shared_ref)
        ray.get(self.desk.add.remote(trial.name, task, known_up_to, told, entry.status if entry else None))
        return trial.name

    def adopt(self, child: Trial, parent: Trial, step: int) -> None:
        """Have the desk know a trial that goes on from where another stands."""
        from jobs.ablation.adoption import adopt_checkpoint

        adopt_checkpoint(child, parent, step, self.store.uri, self._shared)
        self.give(child, known_up_to=step)

    def _drop_checkpoints(self) -> None:
        """What stopped trials and those that a population left have stored is of no more use."""
        for trial in self.trials.values():
            name = Stages(trial.config, self.store.uri, self._shared).trained_name(ARM)
            prefix = f"training/{name.rpartition('/')[2]}"
            if self.store.exists(prefix):
                self.store.delete(prefix)

    @property
    def breaking_off(self) -> bool:
        """Whether no further trial is to begin."""
        return bool(self.failed) and self.study.on_failure == "stop"

    def over(self, name: str, finished: bool) -> None:
        """Told by Tune: a trial is over, or its scheduler has stopped it."""
        import ray

        trial = self.trials[name]
        if not finished and self.study.scheduler is not None and not self.breaking_off and not self.ledger.entry(trial):
            reports: list[tuple[int, dict[str, Any]]] = ray.get(self.desk.reports.remote(name))
            self.ledger.write_stopped(trial, reports[-1][0], reports)
            _logger.info("%s: stopped at step %d", trial.label, reports[-1][0])

    def failure(self, name: str) -> None:
        """Told by Tune: a trial has failed."""
        import ray

        ray.get(self.desk.give_up.remote(name))
        self.failed[name] = ray.get(self.desk.failure.remote(name))
        _logger.warning("%s: failed: %s", self.trials[name].label, self.failed[name][1])

    def _raise_failure(self) -> None:
        if self.breaking_off:
            name, (kind, message) = next(iter(self.failed.items()))
            error = getattr(errors, kind, WorkError)
            raise error(f"trial {self.trials[name].label}: {message}")
