"""A whole run: every stage that is not done yet, then the report. Started again, it goes on where it was."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import ConfigError
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import ResultSet, open_result_set, result_set_exists, write_result_set
from jobs.config import RunConfig, plain_config
from jobs.stages import BM25, UNTRAINED, VERSION, Stages

if TYPE_CHECKING:
    from retrieval.report.arms import Arm

_logger = get_logger("run")


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    result_set: ResultSet
    report: Path
    """The HTML page."""
    table: str
    """The one table, for a terminal."""
    evaluations: dict[str, dict[str, Any]]
    """Retriever -> collection -> {setting: {measure: mean}, rank_distance}."""
    seconds: float


def check(config: RunConfig) -> list[str]:
    """Everything that can be known to be wrong before data is prepared and Ray starts.

    Returns:
        What was looked at, a line each.

    Raises:
        ConfigError, DataError: one line on the first thing that cannot work.
    """
    from retrieval.datasets import describe_dataset, require_inputs

    data = config.data
    for dataset in (*data.train, *([data.validation] if data.validation else []), *data.evaluation.values()):
        require_inputs(dataset)
    for mixing in config.all_arms.values():
        config.training.check_batch(mixing.batch)
    judged = ", ".join(f"{name} = {describe_dataset(dataset)}" for name, dataset in data.evaluation.items())
    return [
        f"configuration {config.name}: valid",
        f"train on {', '.join(map(describe_dataset, data.train))}",
        f"evaluate on {judged or 'nothing'}",
        f"arms: {', '.join(config.all_arms)}",
        f"batch {config.mixing.batch} over {config.training.workers} worker(s), {config.training.steps} steps",
    ]


def train_arms(stages: Stages, arms: Sequence[str]) -> list[ResultSet]:
    """Train the arms that are not trained yet; Ray starts only if there are any."""
    missing = [arm for arm in arms if arm in stages.untrained_arms()]
    specs = {arm: stages.train_spec(arm) for arm in missing}
    if specs:
        from cluster.ray_runtime import ray_cluster
        from trainer.launch import train_encoder

        with ray_cluster(stages.config.ray, stages.config.training.cpus_needed):
            for arm, spec in specs.items():
                started = time.monotonic()
                train_encoder(spec, what=f"training {arm}")
                _logger.info("trained %s in %.0f s", arm, time.monotonic() - started)
    return [stages.encoder(arm) for arm in arms]


def run(config: RunConfig, root: str | None = None) -> RunResult:
    """Prepare, train every arm, evaluate everything, write the report."""
    started = time.monotonic()
    check(config)
    stages = Stages(config, root)
    _logger.info("groups: %s", stages.groups.folder)
    train_arms(stages, list(config.all_arms))
    for retriever in stages.retrievers():
        for name in config.data.evaluation:
            stages.evaluation(retriever, name)
    result = report(stages)
    return RunResult(
        result_set=result,
        report=result.path("index.html"),
        table=_table(stages),
        evaluations=_means(stages),
        seconds=time.monotonic() - started,
    )


def report(stages: Stages) -> ResultSet:
    """The report of a run whose stages are done, as the result set `runs/<fingerprint>`.

    Raises:
        ConfigError: there is nothing to evaluate on.
        DataError: a stage is not done.
    """
    config = stages.config
    if not config.data.evaluation:
        raise ConfigError("data.evaluation: empty; name at least one data set to evaluate on")
    evaluated = {arm: [stages.evaluation(arm, c).name for c in config.data.evaluation] for arm in stages.retrievers()}
    trained = {arm: stages.trained_name(arm) for arm in config.all_arms}
    identity = {"version": VERSION, "config": plain_config(config), "evaluations": evaluated, "encoders": trained}
    name = f"runs/{fingerprint(identity)}"
    if not result_set_exists(stages.store, name):
        from retrieval.report import write_report

        with write_result_set(stages.store, name, identity) as folder:
            write_report(folder, config.name, plain_config(config), report_arms(stages))
    return open_result_set(stages.store, name)


def report_arms(stages: Stages) -> "list[Arm]":
    """The retrievers of a run as the report reads them."""
    return [_report_arm(stages, retriever) for retriever in stages.retrievers()]


def _report_arm(stages: Stages, retriever: str) -> "Arm":
    from retrieval.report.arms import Arm

    evaluations = {name: stages.evaluation(retriever, name).folder for name in stages.config.data.evaluation}
    if retriever in (BM25, UNTRAINED):
        return Arm(name=retriever, role="baseline", evaluations=evaluations)
    encoder = stages.encoder(retriever)
    mix = stages.mixing(retriever).mix
    shares = {str(kind): str(share) for kind, share in mix[0].shares.items() if share} if len(mix) == 1 else None
    return Arm(
        name=retriever,
        role="trained",
        mix=shares,
        evaluations=evaluations,
        telemetry=encoder.path("telemetry.jsonl"),
        ledger=encoder.path("ledger.json"),
        facts=_facts(encoder),
    )


def _facts(encoder: ResultSet) -> dict[str, str]:
    about: Any = encoder.about
    return {
        "encoder": encoder.name,
        "steps": str(about["steps"]),
        "weights of step": str(about["chosen_step"]),
        "groups": str(about["groups"]),
        "seed": str(about["seed"]),
    }


def _means(stages: Stages) -> dict[str, dict[str, Any]]:
    from trainer.telemetry import brief

    return {
        retriever: {
            name: brief(json.loads(stages.evaluation(retriever, name).path("summary.json").read_text(encoding="utf-8")))
            for name in stages.config.data.evaluation
        }
        for retriever in stages.retrievers()
    }


def _table(stages: Stages) -> str:
    from retrieval.report import console_table

    arms = report_arms(stages)
    tables = [f"{name}\n{console_table(arms, name)}" for name in stages.config.data.evaluation]
    return "\n\n".join(tables)
