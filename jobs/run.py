"""A whole run: every stage that is not done yet, then the report. Started again, it goes on where it was."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.documents import parse_json
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import ResultSet, Store, open_result_set, result_set_exists, write_result_set
from jobs.check import check, require_evaluation, require_whole_rankings
from jobs.config import RunConfig, plain_config
from jobs.run_record import run_record
from jobs.stages import BM25, UNTRAINED, VERSION, Stages

if TYPE_CHECKING:
    from retrieval.report.arms import Arm

PAGE = "index.html"
_logger = get_logger("run")


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    result_set: ResultSet
    report: str
    """Where the HTML page stands: a file, or an object of the bucket."""
    table: str
    """The one table, for a terminal."""
    evaluations: dict[str, dict[str, Any]]
    """Retriever -> collection -> {setting: {measure: mean}, rank_distance}."""
    seconds: float


def train_arms(stages: Stages, arms: Sequence[str]) -> list[ResultSet]:
    """Train the arms that are not trained yet; Ray starts only if there are any."""
    untrained = stages.untrained_arms()
    specs = {arm: stages.train_spec(arm) for arm in arms if arm in untrained}
    if specs:
        from cluster.ray_runtime import ray_cluster
        from trainer.launch import train_encoder

        training = stages.config.training
        with ray_cluster(stages.config.ray, training.cpus_needed, training.gpus_needed, training.least_share):
            for arm, spec in specs.items():
                started = time.monotonic()
                train_encoder(spec, what=f"training {arm}")
                _logger.info("trained %s in %.0f s", arm, time.monotonic() - started)
    for name in map(stages.trained_name, arms):
        # Left where a run was killed between its encoder and this: Ray's workers outlive it by seconds.
        checkpoints = f"training/{name.rpartition('/')[2]}"
        if stages.store.exists(checkpoints):
            stages.store.delete(checkpoints)
    return [stages.encoder(arm) for arm in arms]


def run(config: RunConfig, root: str | None = None) -> RunResult:
    """Prepare, train every arm, evaluate everything, write the report."""
    started = time.monotonic()
    check(config, root)
    require_evaluation(config.data)
    require_whole_rankings(config.evaluation)
    stages = Stages(config, root)
    _logger.info("groups: %s", stages.store.where(stages.groups.name))
    train_arms(stages, list(config.all_arms))
    for retriever in stages.retrievers():
        for name in config.data.evaluation:
            stages.judging.judged(retriever, name)
    result = report(stages)
    return RunResult(
        result_set=result,
        report=report_place(stages.store, result),
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
    require_evaluation(config.data)
    require_whole_rankings(config.evaluation)
    evaluated = {arm: [stages.evaluation(arm, c).name for c in config.data.evaluation] for arm in stages.retrievers()}
    trained = {arm: stages.trained_name(arm) for arm in config.all_arms}
    identity = {"version": VERSION, "config": plain_config(config), "evaluations": evaluated, "encoders": trained}
    if config.evaluation.perturbations:
        identity["perturbed"] = {
            arm: [one.name for c in config.data.evaluation for one in stages.judging.perturbed(arm, c).values()]
            for arm in stages.retrievers()
        }
    name = f"runs/{fingerprint(identity)}"
    if not result_set_exists(stages.store, name):
        from retrieval.report import write_report

        with write_result_set(stages.store, name, identity | {"record": run_record(stages)}) as folder:
            write_report(folder, config.name, plain_config(config), report_arms(stages))
    return open_result_set(stages.store, name)


def report_place(store: Store, result: ResultSet) -> str:
    """Where the page of a report stands in its store: a file, or an object as the bucket knows it."""
    return store.where(store.link(f"{result.name}/{PAGE}"))


def report_arms(stages: Stages) -> "list[Arm]":
    """The retrievers of a run as the report reads them."""
    return [_report_arm(stages, retriever) for retriever in stages.retrievers()]


def _report_arm(stages: Stages, retriever: str) -> "Arm":
    from retrieval.report.arms import Arm

    names = list(stages.config.data.evaluation)
    evaluations = {name: stages.evaluation(retriever, name).folder for name in names}
    perturbed: dict[str, dict[str, Path]] = {
        name: {perturbation: one.folder for perturbation, one in stages.judging.perturbed(retriever, name).items()}
        for name in names
    }
    if retriever in (BM25, UNTRAINED):
        return Arm(name=retriever, role="baseline", evaluations=evaluations, perturbed=perturbed)
    encoder = stages.encoder(retriever)
    mix = stages.mixing(retriever).mix
    shares = {str(kind): str(share) for kind, share in mix[0].shares.items() if share} if len(mix) == 1 else None
    return Arm(
        name=retriever,
        role="trained",
        mix=shares,
        evaluations=evaluations,
        perturbed=perturbed,
        throughput={name: one.folder for name in names if (one := stages.judging.throughput(retriever, name))},
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
            name: brief(parse_json(stages.evaluation(retriever, name).path("summary.json").read_text(encoding="utf-8")))
            for name in stages.config.data.evaluation
        }
        for retriever in stages.retrievers()
    }


def _table(stages: Stages) -> str:
    from retrieval.report import console_table

    arms = report_arms(stages)
    tables = [f"{name}\n{console_table(arms, name)}" for name in stages.config.data.evaluation]
    return "\n\n".join(tables)
