"""The configuration of a study, and the trials it stands for. Light to import, as every configuration."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from cluster.config import Config, build_config, read_mapping, to_plain, with_overrides
from cluster.errors import ConfigError
from cluster.fingerprint import fingerprint
from jobs.ablation.mixes import MixSet
from jobs.ablation.settings import AnalysisConfig, PopulationConfig, Scheduler, SearchConfig
from jobs.config import NOT_IN_A_RESULT, Name, RunConfig, result_deciding, result_deciding_mix
from retrieval.datasets import plain_without_path
from trainer.mixing.ratios import KINDS, Kind, Mix, RunningTotals

# Raised when the same configuration would give another result.
VERSION = 1
MOST_TRIALS = 100_000
_PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_INITIAL_WEIGHTS = ("encoder.fresh.seed", "encoder.image.fresh.seed")
_NO_AXES = {
    "name": "it names the study",
    "seed": "use seeds",
    "arms": "use mixes",
    "mixing.mix": "use mixes",
    "data.evaluation": "trials are compared on the same queries",
    "root": "all trials share it",
    "storage": "all trials share it",
    "ray": "all trials share it",
} | dict.fromkeys(
    (f"training.{field}" for field in NOT_IN_A_RESULT["training"]), "it decides no result, and all trials share it"
)


class StudyConfig(Config):
    """A study: every mix, with every seed, under every combination of the axes."""

    name: Name
    """Title of the study and of its report."""
    run: RunConfig
    """What all trials share. Its mix and its arms are not used."""
    mixes: tuple[MixSet, ...] = Field(min_length=1)
    """Sets of mixes; a mix that is in several counts once."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    """Each trains every mix once: of data order, languages, dropout, and of a fresh encoder's initial weights. The same
    seed gives all mixes the same groups in the same order from the same weights, so they are compared pair by pair."""
    axes: dict[str, tuple[Any, ...]] = Field(default={})
    """Further settings and the values they take, crossed with each other: `training.loss.temperature: [0.05, 0.02]`."""
    scheduler: Scheduler | None = None
    """Who stops trials early, or changes their mix; None trains all of them to the end."""
    search: SearchConfig | None = None
    """More mixes, suggested from how those before them did."""
    analysis: AnalysisConfig = AnalysisConfig()
    """What is made of the figures."""
    concurrency: int | None = Field(default=None, ge=1)
    """Trials at once; None = as many as the cluster's CPUs and GPUs hold (`run.training.gpus_per_worker: 0.25` has
    four share a GPU)."""
    on_failure: Literal["stop", "leave_out"] = "stop"
    """What a trial that fails (its loss is not finite, say) means for the others."""
    log_to: tuple[Literal["mlflow", "wandb"], ...] = ()
    """Where else to log trials; both find their server in their own environment variables."""

    @field_validator("seeds")
    @classmethod
    def _each_seed_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if min(seeds) < 0 or len(set(seeds)) < len(seeds):
            raise ValueError(f"must be different numbers from 0 up; found {', '.join(map(str, seeds))}")
        return seeds

    @field_validator("axes")
    @classmethod
    def _axes_of_a_run(cls, axes: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        for path, values in axes.items():
            if not _PATH.fullmatch(path):
                raise ValueError(f"'{path}' is no path of a field; write it as training.loss.temperature")
            taken = next((field for field in _NO_AXES if _overlaps(path, field)), None)
            if path in _INITIAL_WEIGHTS:
                raise ValueError(f"'{path}' cannot be an axis: use seeds")
            if taken is not None:
                raise ValueError(f"'{path}' cannot be an axis: {_NO_AXES[taken]}")
            other = next((other for other in axes if other != path and _overlaps(path, other)), None)
            if other is not None:
                raise ValueError(f"'{path}' and '{other}' set the same field; keep one")
            if not values:
                raise ValueError(f"'{path}' has no values; give at least one")
        return axes

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        number = sum(len(of.members()) for of in self.mixes) * len(self.seeds) * prod(map(len, self.axes.values()))
        if number > MOST_TRIALS:
            raise ValueError(
                f"that makes {number:,} trials, more than {MOST_TRIALS:,}; take fewer mixes, seeds or axes"
            )
        return self

    @model_validator(mode="after")
    def _measures_while_training(self) -> Self:
        asking = "scheduler" if self.scheduler else "search" if self.search else None
        if asking and (self.run.data.validation is None or not self.run.training.validation.every):
            raise ValueError(
                f"{asking}: goes by validations; set run.data.validation and run.training.validation.every"
            )
        if self.scheduler and self.search and self.scheduler.scheduler == "population":
            raise ValueError("search: suggests mixes, and scheduler.population changes them; keep one of the two")
        if isinstance(self.scheduler, PopulationConfig):
            _check_population(self.scheduler, self.run)
        return self


def _check_population(scheduler: PopulationConfig, run: RunConfig) -> None:
    """Whether a mix that changes at each interval can be one plan: see docs/decisions/population-of-mixes.md."""
    every, validation = scheduler.interval, run.training.validation
    if every % validation.every:
        raise ValueError(
            f"scheduler.interval: {every} is not a multiple of training.validation.every, {validation.every}"
        )
    if validation.keep != "last" or validation.patience:
        raise ValueError("scheduler: a population needs training.validation.keep: last, and no patience")
    if run.mixing.granularity != "batch":
        raise ValueError("scheduler: a population needs mixing.granularity: batch")


def _overlaps(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def load_run_or_study(path: Path, overrides: Iterable[str]) -> RunConfig | StudyConfig:
    """A configuration file of either: that of a study has `mixes`.

    Raises:
        ConfigError: see `cluster.config.load_config`.
    """
    fields = with_overrides(read_mapping(path), overrides)
    where = str(path)
    return build_config(StudyConfig, fields, where) if "mixes" in fields else build_config(RunConfig, fields, where)


@dataclass(frozen=True)
class Trial:
    """One training of a study."""

    name: str
    """Fingerprint of what decides its result; the same in every study that has this trial."""
    mix: Mix
    seed: int
    overrides: dict[str, Any]
    """Path of an axis -> its value here."""
    config: RunConfig
    """The whole run: no arms, the mix in `mixing.mix`."""

    @property
    def shares(self) -> dict[Kind, Fraction]:
        """Share of each kind over the whole training, exact; for a mix that never changes, the mix."""
        totals = RunningTotals([(knot.step, tuple(knot.shares.values())) for knot in self.mix])
        steps = self.config.training.steps
        return {kind: Fraction(totals.at(n, steps), totals.denominator * steps) for n, kind in enumerate(KINDS)}

    @property
    def label(self) -> str:
        """For people: `mono 1/2 cross 1/2, seed 0`."""
        mix = " ".join(f"{kind} {share}" for kind, share in self.shares.items() if share)
        more = "".join(f", {path.rpartition('.')[2]} {value}" for path, value in self.overrides.items())
        return f"{mix}{' changing' if self.changes else ''}{more}, seed {self.seed}"

    @property
    def changes(self) -> bool:
        """Whether the mix changes over training."""
        return any(knot.shares != self.mix[0].shares for knot in self.mix)

    def row(self) -> dict[str, Any]:
        """The trial as a row of the table that `retrieval.analysis.observations` reads."""
        return (
            {"trial": self.name, "seed": self.seed, "schedule": json.dumps(_plain_mix(self)) if self.changes else ""}
            | {f"mix:{kind}": str(share) for kind, share in self.shares.items()}
            | {f"axis:{path}": json.dumps(value, sort_keys=True) for path, value in self.overrides.items()}
        )


def _plain_mix(trial: Trial) -> Any:
    return to_plain(trial.config.mixing)["mix"]


def trials(study: StudyConfig) -> list[Trial]:
    """The trials of a study, each once, in a fixed order: by seed, then by axes, then by mix.

    The first seed of everything comes first, so that a study that is cut short has seen every mix. Mixes, seeds or
    values added at the end leave the names of the trials there were as they are.

    Raises:
        ConfigError: a value of an axis does not fit its field, alone or together with the others.
    """
    return trials_of(study, list(dict.fromkeys(mix for of in study.mixes for mix in of.members())), study.seeds)


def trials_of(study: StudyConfig, mixes: Sequence[Mix], seeds: Sequence[int]) -> list[Trial]:
    """The trials of these mixes with these seeds, under every combination of the study's axes."""
    base = {**to_plain(study.run), "arms": {}}
    found: dict[str, Trial] = {}
    for seed, *values in product(seeds, *study.axes.values()):
        overrides = dict(zip(study.axes, values, strict=True))
        resolved = _resolved(study.name, base, seed, overrides)
        for mix in mixes:
            trial = _trial(resolved, mix, overrides)
            found.setdefault(trial.name, trial)
    return list(found.values())


def each_once(trials: Iterable[Trial]) -> list[Trial]:
    """The trials in order, without those that came before."""
    return list({trial.name: trial for trial in trials}.values())


def with_mix(trial: Trial, mix: Mix) -> Trial:
    """The trial that is like another but for its mix."""
    return _trial(trial.config, mix, trial.overrides)


def _trial(config: RunConfig, mix: Mix, overrides: dict[str, Any]) -> Trial:
    config = config.model_copy(update={"mixing": config.mixing.model_copy(update={"mix": mix})})
    return Trial(fingerprint(_identity(config)), mix, config.seed, overrides, config)


def _resolved(name: str, base: dict[str, Any], seed: int, overrides: dict[str, Any]) -> RunConfig:
    """The run of one seed under one combination of the axes."""
    # JSON is YAML, and its floats ("1e-05") are read as numbers by the fields.
    fields = with_overrides(base, (f"{path}={json.dumps(value)}" for path, value in overrides.items()))
    fields["seed"] = seed
    encoder = fields["encoder"]
    for part in (encoder, encoder.get("image") or {}):
        if part.get("fresh"):
            part["fresh"]["seed"] = seed
    said = ", ".join(f"{path}={json.dumps(value)}" for path, value in overrides.items())
    try:
        return build_config(RunConfig, fields, where=f"axes with {said}" if said else "run")
    except ConfigError as error:
        raise ConfigError(f"study {name}: {error}") from None


def _identity(config: RunConfig) -> dict[str, Any]:
    """What decides the result of a trial, as far as its configuration says.

    Where things are kept, how fast, and under which title is not part of it; neither are the bytes of the data, which
    the stages' own fingerprints name.
    """
    plain, data = to_plain(config), config.data
    return {
        "version": VERSION,
        "seed": config.seed,
        "revision": config.revision,
        "data": plain["data"]
        | {
            "train": [plain_without_path(one) for one in data.train],
            "validation": plain_without_path(data.validation) if data.validation else None,
            "evaluation": {name: plain_without_path(one) for name, one in data.evaluation.items()},
        },
        "encoder": plain["encoder"],
        "mixing": result_deciding_mix(config.mixing),
        "training": result_deciding(config.training),
        "evaluation": plain["evaluation"],
    } | ({"mining": plain["mining"]} if config.mining else {})
