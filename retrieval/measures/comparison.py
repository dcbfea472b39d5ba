"""Two evaluations of the same queries, compared pair by pair: difference, interval, p-value, effect size."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import DataError
from retrieval.measures.statistics import (
    LEVEL,
    RESAMPLES,
    Design,
    bootstrap_intervals,
    cohens_d,
    contributions,
    design_of,
    holm,
    macro_mean,
    randomisation_p_value,
)

BIAS = "bias"
KEYS = ("query_language", "pool_language", "query_id")


class Evaluated(Protocol):
    """Anything that keeps per-query values, such as `retrieval.evaluate.Evaluation`."""

    @property
    def per_query(self) -> pa.Table: ...

    @property
    def per_query_bias(self) -> pa.Table: ...


@dataclass(frozen=True)
class Comparison:
    """A macro mean of one system against that of another, over the same queries."""

    measure: str
    setting: str
    first: str
    second: str
    mean_first: float
    mean_second: float
    difference: float
    """First minus second."""
    low: float
    high: float
    """Bootstrap interval (95 %) of the difference; query ids are resampled."""
    p_value: float
    """Two-sided paired randomisation test over query ids."""
    p_holm: float
    """The same, corrected for all comparisons made at once (equal to `p_value` for a single one)."""
    effect_size: float
    """Cohen's d of the paired differences."""
    num_ids: int
    """Distinct query ids: the sample size that counts."""


def compare(
    first: Evaluated | pa.Table,
    second: Evaluated | pa.Table,
    measure: str,
    setting: str,
    *,
    names: tuple[str, str] = ("first", "second"),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two systems by the macro mean of a measure ("mAP") in a setting ("mono", "cross", "multi").

    The setting "bias" compares by a measure of language bias ("rank_distance"). Instead of an evaluation its per-query
    table will do.

    Raises:
        DataError: unknown measure or setting, or the two evaluations do not hold the same queries in the same order.
    """
    values_first, keys_first = keyed_values(first, measure, setting, names[0])
    values_second, keys_second = keyed_values(second, measure, setting, names[1])
    if not keys_first.equals(keys_second):
        raise DataError(
            f"{names[0]} and {names[1]} were evaluated on different queries in setting '{setting}' "
            f"({keys_first.num_rows} and {keys_second.num_rows} rows); compare evaluations of one collection"
        )
    design = strata_and_ids(keys_first)
    difference = values_first - values_second
    low, high = bootstrap_intervals(difference[:, None], design, resamples, LEVEL, seed)[0]
    per_id = contributions(difference, design)
    p_value = randomisation_p_value(per_id, seed=seed)
    return Comparison(
        measure=measure,
        setting=setting,
        first=names[0],
        second=names[1],
        mean_first=macro_mean(values_first, design),
        mean_second=macro_mean(values_second, design),
        difference=macro_mean(difference, design),
        low=float(low),
        high=float(high),
        p_value=p_value,
        p_holm=p_value,
        effect_size=cohens_d(per_id),
        num_ids=design.num_ids,
    )


def compare_all(
    systems: Mapping[str, Evaluated | pa.Table],
    measures: Iterable[str],
    settings: Iterable[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """Compare every two systems in every measure and setting, with Holm's correction over all of these tests."""
    compared = [
        compare(
            systems[first], systems[second], measure, setting, names=(first, second), resamples=resamples, seed=seed
        )
        for measure, setting in itertools.product(measures, list(settings))
        for first, second in itertools.combinations(systems, 2)
    ]
    adjusted = holm([comparison.p_value for comparison in compared])
    return [replace(comparison, p_holm=float(p)) for comparison, p in zip(compared, adjusted, strict=True)]


def keyed_values(system: Evaluated | pa.Table, measure: str, setting: str, name: str) -> tuple[np.ndarray, pa.Table]:
    """Values of a measure and the keys of their rows, without the rows the measure says nothing about."""
    table = system
    if not isinstance(table, pa.Table):
        table = table.per_query_bias if setting == BIAS else table.per_query
    if measure not in table.column_names:
        known = [column for column in table.column_names if column not in (*KEYS, "setting", "num_relevant")]
        raise DataError(f"{name}: no measure '{measure}' in setting '{setting}'; it has {', '.join(known)}")
    if "setting" in table.column_names:
        table = table.filter(pc.equal(table["setting"], setting))
    rows = table.filter(pc.invert(pc.is_nan(table[measure])))
    if not rows.num_rows:
        raise DataError(f"{name}: no values of {measure} in setting '{setting}'")
    return rows[measure].to_numpy(), rows.select([key for key in KEYS if key in rows.column_names])


def strata_and_ids(keys: pa.Table) -> Design:
    """Strata are (query language, pool), or query languages where there is one pool; clusters are query ids."""
    stratum = np.zeros(keys.num_rows, np.int64)
    for key in KEYS[:-1]:
        if key in keys.column_names:
            code = keys[key].combine_chunks().dictionary_encode()
            stratum = stratum * len(code.dictionary) + code.indices.to_numpy()
    return design_of(stratum, keys["query_id"].combine_chunks().dictionary_encode().indices.to_numpy())
