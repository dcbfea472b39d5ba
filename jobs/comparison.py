"""Two runs -> paired tests of the arms they share: by collection, setting and measure, corrected for all of them."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cluster.errors import ConfigError, DataError
from cluster.storage import Store, open_result_set
from jobs.records import ArmRecord, NotCompared, RunRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from retrieval.measures.comparison import Comparison

RANK_DISTANCE = "rank_distance"
"""The one measure of bias that says by itself which of two values is better: the lower one."""
BIAS = "bias"
SMALLEST_P = 1e-4
"""Of a randomisation test with its 9,999 rounds."""
Tables = Callable[[str, str], "pa.Table"]


@dataclass(frozen=True)
class Compared:
    """A comparison, and of what."""

    arm: str
    collection: str
    result: "Comparison"


def check_measures(measures: Sequence[str], where: str) -> None:
    """Whether these can be compared.

    Raises:
        ConfigError: one cannot; the known ones are listed.
    """
    from retrieval.measures.ranking import MEASURES

    known = (*MEASURES, RANK_DISTANCE)
    for measure in measures:
        if measure not in known:
            raise ConfigError(f"{where}: unknown measure '{measure}'; known: {', '.join(known)}")


def compare_runs(
    store: Store, first: RunRecord, second: RunRecord, measures: Sequence[str], names: tuple[str, str], trained: bool
) -> tuple[list[Compared], list[NotCompared]]:
    """Test every arm of two runs in every collection, setting and measure, pairing queries.

    Args:
        measures: of `retrieval.measures.ranking`, or `rank_distance`.
        names: what the two are called in messages.
        trained: leave the baselines (BM25, untrained) out.

    Returns:
        Comparisons (first minus second) with Holm's correction over all of them; and what has no counterpart, or one on
        other data.
    """
    from retrieval.measures.statistics import holm

    tables = _table_reader(store)
    compared: list[Compared] = []
    left_out: list[NotCompared] = []
    for arm, other, collection, reason in _pairs(first, second, names, trained):
        if other is None:
            left_out.append(NotCompared(arm=arm.name, collection=collection, reason=reason))
            continue
        try:
            compared += _compare_arms(tables, arm, other, collection, measures, names)
        except DataError as error:
            left_out.append(NotCompared(arm=arm.name, collection=collection, reason=str(error)))
    adjusted = holm([one.result.p_value for one in compared])
    corrected = [
        replace(one, result=replace(one.result, p_holm=float(p))) for one, p in zip(compared, adjusted, strict=True)
    ]
    return corrected, left_out


def _pairs(
    first: RunRecord, second: RunRecord, names: tuple[str, str], trained: bool
) -> Iterator[tuple[ArmRecord, ArmRecord | None, str, str]]:
    """Each arm and collection of either run with the other run's arm, or with None and the reason why there is none."""
    for arm in (arm for arm in first.arms if arm.role == "trained" or not trained):
        other = second.arm(arm.name)
        for collection in arm.evaluations:
            if other is None or collection not in other.evaluations:
                yield arm, None, collection, f"{names[1]} has none"
            elif first.collections.get(collection) != second.collections.get(collection):
                yield arm, None, collection, f"{names[1]} searched another content under this name"
            else:
                yield arm, other, collection, ""
    for other in (arm for arm in second.arms if arm.role == "trained" or not trained):
        ours = first.arm(other.name)
        for collection in other.evaluations:
            if ours is None or collection not in ours.evaluations:
                yield other, None, collection, f"{names[0]} has none"


def _compare_arms(
    tables: Tables,
    first: ArmRecord,
    second: ArmRecord,
    collection: str,
    measures: Sequence[str],
    names: tuple[str, str],
) -> list[Compared]:
    from retrieval.measures.comparison import compare

    settings = [name for name in first.figures[collection] if name in second.figures[collection]]
    compared = []
    for measure in measures:
        for setting in settings:
            if (setting == BIAS) == (measure == RANK_DISTANCE):
                ours, theirs = (tables(arm.evaluations[collection], setting) for arm in (first, second))
                result = compare(ours, theirs, measure, setting, names=names)
                compared.append(Compared(first.name, collection, result))
    return compared


def _table_reader(store: Store) -> Tables:
    """Reads the per-query records of an evaluation; those of the two arms at hand are kept for the next measure."""

    @functools.lru_cache(maxsize=4)
    def table(evaluation: str, bias: bool) -> "pa.Table":
        from retrieval.evaluate import PER_QUERY, PER_QUERY_BIAS
        from retrieval.formats.parquet import read_table

        path = open_result_set(store, evaluation).path(PER_QUERY_BIAS if bias else PER_QUERY)
        return read_table(path, "evaluate again")

    return lambda evaluation, setting: table(evaluation, setting == BIAS)
