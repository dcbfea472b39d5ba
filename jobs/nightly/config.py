"""The configuration of a nightly: a run, and when its results count as worse. Light to import."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from cluster.config import Config, build_config, read_mapping, with_overrides
from cluster.errors import ConfigError
from jobs.config import RunConfig

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ThresholdsConfig(Config):
    """When a macro mean counts as worse: its change is significant, and it is larger than what one cares about."""

    min_drop: dict[str, Annotated[float, Field(ge=0)]] = {"mAP": 0.01}
    """Measure -> change for the worse that has to be exceeded. These measures are judged, in every setting."""
    level: float = Field(default=0.05, gt=0, le=0.5)
    """Significance level, for all tests of a night together (Holm's correction)."""

    @field_validator("min_drop")
    @classmethod
    def _not_empty(cls, min_drop: dict[str, float]) -> dict[str, float]:
        if not min_drop:
            raise ValueError("names no measure; judge at least one, such as mAP: 0.01")
        return min_drop


class NightlyConfig(Config):
    """A run, done once a night and compared with the last good night."""

    run: RunConfig
    """The configuration of a run, or the file that holds it, relative to this one."""
    time_zone: str = "UTC"
    """In which it is decided what date a night has."""
    repeat: Literal["changed", "always"] = "changed"
    """`changed`: what nothing has changed for is found done. `always`: the date is part of every night's revision."""
    thresholds: ThresholdsConfig = ThresholdsConfig()
    baseline: date | None = None
    """Compare with this night instead of the last good one: a mark that does not move with slow losses."""
    accepted: tuple[date, ...] = ()
    """Nights whose regressions are wanted: they count as good."""
    webhook_variable: str | None = None
    """Environment variable with a URL that every verdict is posted to, as JSON."""
    history: int = Field(default=60, ge=2, le=1000)
    """Nights shown on the page over all nights."""
    resume_hours: float = Field(default=20.0, gt=0)
    """A start within so many hours of an unfinished night's goes on with that night, whatever the date is by then."""
    lease_seconds: float = Field(default=60.0, ge=1)
    """Without a sign of life for so long, a process at work counts as dead."""

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            raise ValueError(
                "is no time zone known here; use a name such as Europe/Berlin, or install tzdata"
            ) from None
        return name

    @model_validator(mode="after")
    def _names_a_variable(self) -> "NightlyConfig":
        # Here rather than at the field, whose errors show the value: a URL put here by mistake is a secret.
        if self.webhook_variable is not None and not _VARIABLE.fullmatch(self.webhook_variable):
            raise ValueError(
                "webhook_variable: names an environment variable; the URL itself does not belong in a file"
            )
        return self


def load_nightly(path: Path, overrides: Iterable[str] = ()) -> NightlyConfig:
    """Read a nightly's configuration; overrides reach into the run (`run.training.steps=10`).

    Raises:
        ConfigError: one line that names the file and the field, what was found and what would do.
    """
    fields = with_overrides(_with_run(read_mapping(path), path), overrides)
    return build_config(NightlyConfig, _with_run(fields, path), where=str(path))


def _with_run(fields: dict[str, Any], path: Path) -> dict[str, Any]:
    """The fields with the file that `run` may name read in its place."""
    run = fields.get("run")
    return fields | {"run": read_mapping(path.parent / run)} if isinstance(run, str) else fields


def check_nightly(config: NightlyConfig) -> None:
    """What can be known to be wrong with the thresholds before anything is done.

    Raises:
        ConfigError: an unknown measure, or so many tests at once that none could be significant.
    """
    from jobs.comparison import RANK_DISTANCE, SMALLEST_P, check_measures

    limits, run = config.thresholds, config.run
    check_measures(list(limits.min_drop), "thresholds.min_drop")
    means = sum(1 if measure == RANK_DISTANCE else 3 for measure in limits.min_drop)
    tests = means * len(run.all_arms) * len(run.data.evaluation)
    if tests * SMALLEST_P >= limits.level:
        raise ConfigError(
            f"thresholds: {tests} tests a night ({len(run.all_arms)} arms, {len(run.data.evaluation)} collections); "
            f"p-values end at {SMALLEST_P:g}, so none could be significant at {limits.level:g} after Holm's "
            f"correction; judge fewer measures, arms or collections"
        )
