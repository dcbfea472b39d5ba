"""Ray Tune's part in a study: which trial begins when, which is stopped, which mix comes next.

A Tune trial holds no CPU and trains nothing. It asks the desk for its training's next report and waits; benches do the
work. So Tune decides at the very validation it decides about, and no trial runs on meanwhile.
"""

import logging
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune import Trainable
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from jobs.ablation.settings import AshaConfig, MedianStoppingConfig, mode_of

if TYPE_CHECKING:
    from ray.tune.experiment import Trial as TuneTrial

    from jobs.ablation.session import Session

TRIAL, STEPS = "trial", "steps"
OVER = "over"
"""Whether a trial has come to its end; Tune says "done" also of one that it stops."""
_STATE = "trial.txt"
# No CPU, which the benches have; Tune insists on some resource, and every node has memory.
_NEXT_TO_NOTHING: dict[str, float] = {"CPU": 0, "memory": 1}
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class TrialOfStudy(Trainable):
    """One trial as Tune sees it: an iteration goes from one report to the next."""

    def setup(self, config: dict[str, Any], desk: Any = None) -> None:
        """Nothing begins before the first `step`."""
        assert desk is not None, "to be given by `tune.with_parameters`"
        self._desk = desk
        self._take(config)

    def _take(self, config: dict[str, Any]) -> None:
        self._name, self._over = config[TRIAL], False
        # Tune may make an actor for a trial, give the trial to another actor that is free first, and end this one.
        self._as = uuid.uuid4().hex

    def step(self) -> dict[str, Any]:
        """Have the training go on; its next report."""
        report: dict[str, Any] = ray.get(self._desk.advance.remote(self._name, self._as))
        self._over = "outcome" in report
        if report.get("outcome") == "failed":
            raise RuntimeError(report["record"]["message"])
        return figures(report["record"]) | {STEPS: report["step"], OVER: self._over, "done": self._over}

    def cleanup(self) -> None:
        """Tune stops or pauses the trial, or has its actor take another one."""
        if not self._over:
            ray.get(self._desk.leave.remote(self._name, self._as))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial."""
        self.cleanup()
        self._take(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Checkpoints are the trainer's; Tune is given a name to hold on to."""
        (Path(checkpoint_dir) / _STATE).write_text(self._name, encoding="utf-8")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Where a training goes on from stands in the store."""


def figures(record: Mapping[str, Any]) -> dict[str, float]:
    """A validation record as Tune's metrics: `multi.mAP`, `mean.mAP`, `rank_distance`."""
    flat: dict[str, float] = {}
    of_settings = {setting: record[setting] for setting in ("mono", "cross", "multi") if setting in record}
    for setting, measures in of_settings.items():
        flat |= {f"{setting}.{name}": value for name, value in measures.items()}
    for name in next(iter(of_settings.values()), {}):
        flat[f"mean.{name}"] = sum(measures[name] for measures in of_settings.values()) / len(of_settings)
    return flat | ({"rank_distance": record["rank_distance"]} if "rank_distance" in record else {})


def stopping_scheduler(config: AshaConfig | MedianStoppingConfig | None, steps: int) -> TrialScheduler:
    """Tune's scheduler; none stops none."""
    if config is None:
        return FIFOScheduler()
    goal: dict[str, Any] = {"time_attr": STEPS, "metric": config.measure, "mode": mode_of(config.measure)}
    if isinstance(config, AshaConfig):
        # The last report comes when all is done: nothing is left to stop.
        return AsyncHyperBandScheduler(
            **goal,
            max_t=max(steps, config.grace_steps),
            grace_period=config.grace_steps,
            reduction_factor=config.reduction,
            stop_last_trials=False,
        )
    return MedianStoppingRule(**goal, grace_period=config.grace_steps, min_samples_required=config.least_trials)


class _OfSession:
    """Knows the session here, and not in what Tune pickles of an experiment: we never restore one."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Told(_OfSession, tune.Callback):
    """Tells the session of trials that are over."""

    def __init__(self, session: "Session") -> None:
        super().__init__(session)
        self.names: list[str] = []
        """Of those that did not fail."""

    def on_trial_complete(self, iteration: int, trials: list["TuneTrial"], trial: "TuneTrial", **info: Any) -> None:
        self.names.append(trial.config[TRIAL])
        self._session.over(trial.config[TRIAL], finished=bool(trial.last_result.get(OVER)))

    def on_trial_error(self, iteration: int, trials: list["TuneTrial"], trial: "TuneTrial", **info: Any) -> None:
        self._session.failure(trial.config[TRIAL])


class _BreakOff(_OfSession, tune.Stopper):
    """Ends everything where a failure is to."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._session.breaking_off


def run_trials(
    session: "Session",
    part: str,
    scheduler: TrialScheduler,
    names: Sequence[str] = (),
    search: Any = None,
    samples: int = 1,
) -> list[str]:
    """Have Tune run trials by their names, or those that a search comes up with, until all are over.

    Args:
        part: of the study, as Tune is to call it.
        samples: how many trials a search suggests.

    Returns:
        Names of the trials that came to an end, under which they did; those of a population have changed.
    """
    # Results of one trial are few, and Tune's own CSV and JSON of them repeat what stands in the store.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_RESULT_BUFFER_LENGTH", "1")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # it would end the trials, and the study would go on
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # a box on standard output, with verbosity 0 too

    # It warns of what it does not find: results in files of its own, which nobody reads.
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    told = _Told(session)
    with session.store.staging_folder() as scratch:  # our ledger is what lasts
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(TrialOfStudy, desk=session.desk), _NEXT_TO_NOTHING),
            param_space={} if search is not None else {TRIAL: tune.grid_search(list(names))},
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                search_alg=search,
                num_samples=samples,
                max_concurrent_trials=None if search is not None else session.concurrency,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name=f"{session.study.name}-{part}",
                storage_path=str(scratch),
                callbacks=[told, *_loggers(session)],
                verbose=0,
                stop=_BreakOff(session),
            ),
        )
        tuner.fit()
    return sorted(told.names)


class _TensorBoard(_OfSession, tune.Callback):
    """Writes every report for TensorBoard, into a folder for each trial, as it comes."""

    def __init__(self, session: "Session", folder: Path) -> None:
        super().__init__(session)
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def on_trial_result(
        self, iteration: int, trials: list["TuneTrial"], trial: "TuneTrial", result: dict[str, Any], **info: Any
    ) -> None:
        from tensorboardX import SummaryWriter

        name = trial.config[TRIAL]
        if name not in self._writers:
            folder = self._folder / self._session.study.name / _folder_name(self._session, trial)
            self._writers[name] = SummaryWriter(str(folder))
        for figure, value in result.items():
            if "." in figure or figure == "rank_distance":
                self._writers[name].add_scalar(figure.replace(".", "/"), value, result[STEPS])
        self._writers[name].flush()

    def on_experiment_end(self, trials: list["TuneTrial"], **info: Any) -> None:
        for writer in self._writers.values():
            writer.close()


def _folder_name(session: "Session", trial: "TuneTrial") -> str:
    one = session.trials[trial.config[TRIAL]]
    return f"{_NO_NAME.sub('-', one.label.replace('/', '_'))}-{one.name[:8]}"


def _loggers(session: "Session") -> list[tune.Callback]:
    """TensorBoard's files, and the services that the study names."""
    found: list[tune.Callback] = [_TensorBoard(session, session.folder)] if session.folder else []
    if "mlflow" in session.study.log_to:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        found.append(MLflowLoggerCallback(experiment_name=session.study.name))
    if "wandb" in session.study.log_to:
        from ray.air.integrations.wandb import WandbLoggerCallback

        found.append(WandbLoggerCallback(project=session.study.name))
    return found
