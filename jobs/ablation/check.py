"""What can be known to be wrong with a study before data are prepared and Ray starts."""

from importlib.util import find_spec

from cluster.config import to_plain
from cluster.errors import ConfigError
from jobs.ablation.found import populations
from jobs.ablation.settings import RANK_DISTANCE, PopulationConfig
from jobs.ablation.study import StudyConfig, Trial, trials
from jobs.check import check, require_evaluation
from jobs.config import NOT_IN_A_RESULT
from trainer.config import TrainingConfig


def check_study(study: StudyConfig, root: str | None = None) -> list[str]:
    """Look at everything that is cheap to look at, for every trial.

    Returns:
        What was looked at, a line each.

    Raises:
        ConfigError, DataError: one line on the first thing that cannot work.
    """
    run = study.run
    require_evaluation(run.data)
    if run.mining is not None and run.mining.arm != "untrained":
        raise ConfigError(f"run.mining.arm: {run.mining.arm}; the trials of a study mine with `untrained`")
    if study.search is not None and study.axes:
        raise ConfigError("search: suggests mixes for one setting of everything else; leave the axes out")
    found = trials(study)
    _check_analysis(study)
    _check_installed(study)
    if isinstance(study.scheduler, PopulationConfig):
        _check_population(study.scheduler, found)
    lines: list[str] = []
    seen: set[str] = set()
    for trial in found:
        _check_shape(trial, run.training)
        # Seeds change nothing that could be wrong.
        key = repr((trial.mix, trial.overrides))
        if key not in seen:
            seen.add(key)
            lines = _checked(trial, root)
    more = f", and up to {study.search.suggestions} that are searched for" if study.search else ""
    return [
        f"study {study.name}: valid, {len(found)} trials{more}",
        *(line for line in lines if not line.startswith(("configuration", "arms"))),
    ]


def _checked(trial: Trial, root: str | None) -> list[str]:
    try:
        return check(trial.config, root)
    except ConfigError as error:
        raise ConfigError(f"trial {trial.label}: {error}") from None


def _check_shape(trial: Trial, training: TrainingConfig) -> None:
    """Whether a trial has the workers of the study, which are started once for all trials."""
    mine, all_ = to_plain(trial.config.training), to_plain(training)
    other = next((name for name in NOT_IN_A_RESULT["training"] if mine[name] != all_[name]), None)
    if other is not None:
        raise ConfigError(
            f"axes: training.{other} is {mine[other]} in one trial and {all_[other]} in run; all trials share their "
            "workers, so it cannot be an axis"
        )


def _check_analysis(study: StudyConfig) -> None:
    """Whether all measures that are named are ones that are measured."""
    from retrieval.measures.ranking import MEASURES

    wanted = [("analysis.measures", name) for name in study.analysis.measures]
    if study.scheduler is not None:
        wanted.append(("scheduler.measure", study.scheduler.measure))
    if study.search is not None:
        wanted += [("search.objectives", name) for name in study.search.objectives]
    for field, name in wanted:
        measure = name.partition(".")[2]
        known = (RANK_DISTANCE,) if name.startswith("bias.") else (*MEASURES,)
        if name != RANK_DISTANCE and measure not in known:
            raise ConfigError(f"{field}: unknown measure '{name}'; known: {', '.join(known)}")
    if "queries_per_second" in study.analysis.costs and not study.run.evaluation.throughput:
        raise ConfigError("analysis.costs.queries_per_second: not measured; set run.evaluation.throughput")


def _check_population(config: PopulationConfig, planned: list[Trial]) -> None:
    """Whether every exchange falls where all members' mixes have been kept exactly.

    Raises:
        ConfigError: one does not.
    """
    for trial in planned:
        if trial.changes:
            raise ConfigError(f"mixes: {trial.label}: a population changes mixes itself; list constant ones")
        for share in (*trial.shares.values(), config.shift):
            if config.interval % share.denominator:
                raise ConfigError(
                    f"scheduler.interval: {config.interval} is not a multiple of {share.denominator}, as a share of "
                    f"{share} needs; change one of them"
                )
    if config.interval < 2:
        raise ConfigError("scheduler.interval: must be 2 or more")
    if any(len(members) < 2 for members in populations(planned)):
        raise ConfigError("scheduler: a population needs two mixes or more")


def _check_installed(study: StudyConfig) -> None:
    """Whether what is optional and asked for is there."""
    wanted: list[tuple[str, str, str]] = [("log_to", name, name) for name in study.log_to]
    if study.search is not None:
        wanted.append(("search", "optuna", "mixlingual[tune]"))
    for field, module, package in wanted:
        if find_spec(module) is None:
            raise ConfigError(f"{field}: {module} is not installed; pip install {package}, or leave it out")
