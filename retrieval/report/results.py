"""What the files of an arm hold, checked: evaluations, telemetry, ledgers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from retrieval.report.arms import Arm


def _finite_or_none(value: Any) -> Any:
    """A mean over nothing is written as null or NaN; both mean that there is no value."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Value = Annotated[float | None, BeforeValidator(_finite_or_none)]


class _Read(BaseModel):
    """Base of what is read: fields that a later version adds are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=False)


class Estimate(_Read):
    """A measure over queries with its 95 % interval."""

    mean: Value = None
    low: Value = None
    high: Value = None

    @model_validator(mode="after")
    def _ends_in_order(self) -> "Estimate":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"an interval from {self.low:g} to {self.high:g} has its ends the wrong way round")
        return self


class PairResult(_Read):
    """The measures of one query language against one pool."""

    setting: str
    query_language: str
    pool_language: str
    num_queries: int
    values: dict[str, Value]

    @model_validator(mode="before")
    @classmethod
    def _gather_measures(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "values" in fields:
            return fields
        known = ("setting", "query_language", "pool_language", "num_queries")
        return {name: fields[name] for name in known if name in fields} | {
            "values": {name: value for name, value in fields.items() if name not in known}
        }


class WorstPair(_Read):
    """One of the pairs with the lowest value."""

    query_language: str
    pool_language: str
    value: Value


class Robustness(_Read):
    """How evenly a measure is spread over pairs of languages."""

    std_over_pairs: Value = None
    lowest_decile: Value = None
    worst_pairs: list[WorstPair] = []


class LanguageShares(_Read):
    """Share of each language among the first ten of the pool of all languages."""

    in_pool: dict[str, float]
    by_query_language: dict[str, dict[str, float]]


class Summary(_Read):
    """`summary.json` of an evaluation."""

    collection: str
    num_queries: int
    num_passages: int
    languages: list[str]
    settings: dict[str, dict[str, Estimate]]
    pairs: list[PairResult]
    bias: dict[str, Any] = {}
    language_shares: LanguageShares | None = Field(default=None, alias="language_share@10")
    robustness: dict[str, Robustness] = {}

    def estimate(self, setting: str, measure: str) -> Estimate | None:
        """A measure of a setting, or of the language bias when `setting` is "bias"; None where there is no value."""
        if setting == "bias":
            found = self.bias.get(measure)
            estimate = Estimate.model_validate(found) if isinstance(found, Mapping) and "mean" in found else None
        else:
            estimate = self.settings.get(setting, {}).get(measure)
        return estimate if estimate is not None and estimate.mean is not None else None

    def pair_values(self, measure: str) -> dict[tuple[str, str], float]:
        """(query language, pool language or "*") -> value, for the pairs that have one."""
        found = {(pair.query_language, pair.pool_language): pair.values.get(measure) for pair in self.pairs}
        return {pair: value for pair, value in found.items() if value is not None}


class Drop(_Read):
    """What a perturbation of the queries costs in one setting: a row of `robustness.parquet`."""

    setting: str
    query_language: str
    """"*": macro mean over all."""
    measure: str
    num_queries: int
    num_changed: int
    clean: Value = None
    """Of the changed queries, as they were."""
    perturbed: Value = None
    relative_drop: Value = None
    low: Value = None
    high: Value = None


class Throughput(_Read):
    """`throughput.json`: how fast an encoder was."""

    queries_per_second: float
    passages_per_second: float
    latency_ms: dict[str, dict[str, float]]
    """Part of the work (encode, search, both) -> percentile -> milliseconds."""
    queries: int
    passages: int
    passages_searched: int
    machine: dict[str, Any] = {}


class KindCount(_Read):
    """Share of a kind or source, and the steps it really got."""

    share: str
    count: float
    """A fraction where batches are mixed within."""


class Ledger(_Read):
    """`ledger.json`: what a training run drew."""

    steps: int
    batch: int
    kinds: dict[str, KindCount]
    sources: dict[str, KindCount] = {}
    languages: dict[str, dict[str, int]] = {}
    pairs: dict[str, list[tuple[str, str, int]]] = {}
    largest_prefix_deviation: Value = None


class StepEvent(_Read):
    """One training step."""

    step: int
    loss: Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
    kind: str
    data_wait_seconds: Value = None
    step_seconds: Value = None


class ValidationEvent(_Read):
    """One evaluation during training."""

    step: int
    settings: dict[str, dict[str, Value]]
    rank_distance: Value = None

    @model_validator(mode="before")
    @classmethod
    def _gather_settings(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "settings" in fields:
            return fields
        return {**fields, "settings": {name: value for name, value in fields.items() if isinstance(value, dict)}}


@dataclass(frozen=True)
class Telemetry:
    """Steps and validations of a training run, each step once, in order."""

    steps: Sequence[StepEvent]
    validations: Sequence[ValidationEvent]


@dataclass(frozen=True)
class ArmResults:
    """All that was read about one arm."""

    arm: Arm
    summaries: Mapping[str, Summary]
    """Collection -> summary."""
    bias_by_language: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Collection -> query language -> measure -> mean over its queries."""
    drops: Mapping[str, Mapping[str, Sequence[Drop]]]
    """Collection -> perturbation -> what it costs."""
    throughput: Mapping[str, Throughput]
    """Collection -> speed on its texts."""
    telemetry: Telemetry | None
    ledger: Ledger | None
    gaps: tuple[str, ...]
    """Why something that could be there is not, in sentences."""

    @property
    def name(self) -> str:
        """The arm's name as given; not yet fit to be shown."""
        return self.arm.name
