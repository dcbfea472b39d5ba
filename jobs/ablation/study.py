"""The configuration of a study, and the trials it stands for. Light to import, as every configuration."""

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from cluster.config import Config, build_config, to_plain, with_overrides
from cluster.errors import ConfigError
from cluster.fingerprint import fingerprint
from jobs.ablation.mixes import MixSet
from jobs.config import Name, RunConfig, result_deciding, result_deciding_mix
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
}


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


def _overlaps(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


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
    base = {**to_plain(study.run), "arms": {}}
    mixes = list(dict.fromkeys(mix for of in study.mixes for mix in of.members()))
    found: dict[str, Trial] = {}
    for seed, *values in product(study.seeds, *study.axes.values()):
        overrides = dict(zip(study.axes, values, strict=True))
        resolved = _resolved(study.name, base, seed, overrides)
        for mix in mixes:
            config = resolved.model_copy(update={"mixing": resolved.mixing.model_copy(update={"mix": mix})})
            name = fingerprint(_identity(config))
            found.setdefault(name, Trial(name, mix, seed, overrides, config))
    return list(found.values())


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
    }
