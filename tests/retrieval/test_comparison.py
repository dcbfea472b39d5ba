"""Two systems on the same queries: what is different is found, what is not is not."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from cluster.errors import DataError
from retrieval.measures.comparison import compare, compare_all

LANGUAGES = ("en", "th")


@dataclass(frozen=True)
class System:
    per_query: pa.Table
    per_query_bias: pa.Table


def system(value_QL: np.ndarray, distance_QL: np.ndarray | None = None) -> System:
    """Parallel queries in two languages, monolingual only; a column of values per language."""
    number = len(value_QL)
    keys = {"query_language": np.repeat(LANGUAGES, number), "query_id": [f"q{n}" for n in range(number)] * 2}
    per_query = {"setting": ["mono"] * (2 * number), "pool_language": keys["query_language"], **keys}
    distances = value_QL if distance_QL is None else distance_QL
    return System(
        pa.table(per_query | {"mAP": value_QL.T.reshape(-1)}),
        pa.table(keys | {"rank_distance": distances.T.reshape(-1)}),
    )


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(0)
    first = rng.random((200, 2))
    second = first - 0.05 + rng.normal(0, 0.1, (200, 2))
    result = compare(system(first), system(second), "mAP", "mono", names=("ours", "theirs"))
    per_id = (first - second).mean(axis=1)
    assert result.difference == pytest.approx(per_id.mean())
    assert result.difference == pytest.approx(result.mean_first - result.mean_second)
    assert result.low < result.difference < result.high
    assert result.low > 0
    assert result.p_value == pytest.approx(1 / 10_000)
    assert result.effect_size == pytest.approx(per_id.mean() / per_id.std(ddof=1))
    assert (result.first, result.second, result.num_ids) == ("ours", "theirs", 200)


def test_p_value_is_that_of_a_test_over_ids_not_over_rows() -> None:
    """The same noise in both languages: rows are twice as many as ids, evidence is not."""
    noise = np.random.default_rng(0).normal(0.1, 1, (60, 1))
    result = compare(system(np.repeat(noise, 2, axis=1)), system(np.zeros((60, 2))), "mAP", "mono")
    assert result.p_value == pytest.approx(stats.ttest_1samp(noise[:, 0], 0).pvalue, abs=0.03)
    assert result.num_ids == 60


def test_equal_systems_do_not_differ() -> None:
    same = system(np.random.default_rng(0).random((50, 2)))
    result = compare(same, same, "mAP", "mono")
    assert (result.difference, result.low, result.high, result.p_value, result.effect_size) == (0, 0, 0, 1, 0)


def test_bias_is_compared_over_the_queries_it_speaks_of() -> None:
    values = np.full((20, 2), 0.5)
    near, far = np.full((20, 2), 10.0), np.full((20, 2), 30.0)
    near[0], far[0] = np.nan, np.nan
    result = compare(system(values, near), system(values, far), "rank_distance", "bias")
    assert (result.difference, result.num_ids) == (-20, 19)
    by_table = compare(system(values, near).per_query_bias, system(values, far).per_query_bias, "rank_distance", "bias")
    assert by_table == result


def test_all_comparisons_are_corrected_together() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((100, 2))
    systems = {
        "a": system(values),
        "b": system(values + rng.normal(0.02, 0.1, (100, 2))),
        "c": system(values + rng.normal(0.04, 0.1, (100, 2))),
    }
    results = compare_all(systems, ["mAP"], ["mono"])
    assert [(result.first, result.second) for result in results] == [("a", "b"), ("a", "c"), ("b", "c")]
    in_order = sorted(results, key=lambda result: result.p_value)
    for place, result in enumerate(in_order):  # Holm: the smallest times 3, the next times 2, never falling
        bound = max(min(1.0, earlier.p_value * (3 - rank)) for rank, earlier in enumerate(in_order[: place + 1]))
        assert result.p_holm == pytest.approx(bound)


def test_what_cannot_be_compared_is_refused() -> None:
    values = np.random.default_rng(0).random((10, 2))
    with pytest.raises(DataError, match="different queries in setting 'mono'"):
        compare(system(values), system(values[:9]), "mAP", "mono")
    with pytest.raises(DataError, match="no measure 'MAP' in setting 'mono'; it has mAP"):
        compare(system(values), system(values), "MAP", "mono")
    with pytest.raises(DataError, match="no values of mAP in setting 'cross'"):
        compare(system(values), system(values), "mAP", "cross")
