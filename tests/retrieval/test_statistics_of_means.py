"""Intervals and tests against scipy's, by hand, and by whether they keep their promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from retrieval.measures.statistics import (
    Design,
    _resample_weights,
    bootstrap_intervals,
    cohens_d,
    contributions,
    design_of,
    holm,
    macro_mean,
    randomisation_p_value,
    stratum_means,
)


def one_stratum(number: int) -> Design:
    return Design(np.zeros(number, np.int64), np.arange(number))


def test_macro_mean_by_hand() -> None:
    design = design_of(np.array([5, 5, 9]), np.array([100, 7, 7]))
    np.testing.assert_array_equal(stratum_means(np.array([0.0, 1.0, 0.2]), design), [0.5, 0.2])
    assert macro_mean(np.array([0.0, 1.0, 0.2]), design) == pytest.approx(0.35)
    np.testing.assert_array_equal(design.id_n, [1, 0, 0])


def test_interval_agrees_with_scipy() -> None:
    value_n = np.random.default_rng(0).gamma(2.0, size=80)
    ours = bootstrap_intervals(value_n[:, None], one_stratum(80), resamples=100_000)[0]
    theirs = stats.bootstrap((value_n,), np.mean, method="percentile", n_resamples=100_000, batch=10_000, rng=1)
    standard_error = value_n.std() / np.sqrt(80)
    np.testing.assert_allclose(ours, theirs.confidence_interval, atol=0.05 * standard_error)


def test_parallel_copies_of_queries_do_not_narrow_the_interval() -> None:
    """The same values in seven languages are no more evidence than in one."""
    value_n = np.random.default_rng(0).random(50)
    alone = bootstrap_intervals(value_n[:, None], one_stratum(50))
    copies = Design(np.repeat(np.arange(7), 50), np.tile(np.arange(50), 7))
    np.testing.assert_allclose(bootstrap_intervals(np.tile(value_n, 7)[:, None], copies), alone, rtol=1e-12)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Strata of different sizes, values that share a part within an id: the macro mean's 95 % interval."""
    rng = np.random.default_rng(0)
    id_n = np.concatenate([np.arange(60), np.arange(60), np.arange(30)])
    stratum_n = np.repeat([0, 1, 2], [60, 60, 30])
    covered = 0
    for trial in range(300):
        value_n = rng.normal(size=60)[id_n] + rng.normal(size=150) + stratum_n  # true macro mean: 1
        low, high = bootstrap_intervals(value_n[:, None], Design(stratum_n, id_n), resamples=300, seed=trial)[0]
        covered += low <= 1 <= high
    assert 0.90 <= covered / 300 <= 0.98


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(1, 30), num_strata=st.integers(1, 5))
def test_weighing_equals_copying(seed: int, number: int, num_strata: int) -> None:
    """Strata with any ids, an id several times in one, strata that a resample misses: as if values were copied."""
    rng = np.random.default_rng(seed)
    design = design_of(rng.integers(0, num_strata, number), rng.integers(0, 6, number))
    value_n = rng.normal(size=number)
    means = []
    for weight_I in _resample_weights(design.num_ids, 40, seed=0).astype(int):
        drawn = np.repeat(np.arange(number), weight_I[design.id_n])
        means.append(macro_mean(value_n[drawn], design_of(design.stratum_n[drawn], design.id_n[drawn])))
    expected = np.quantile(means, [0.025, 0.975])
    np.testing.assert_allclose(bootstrap_intervals(value_n[:, None], design, resamples=40)[0], expected, rtol=1e-9)


def test_every_measure_gets_the_interval_it_gets_alone_and_seeds_repeat() -> None:
    rng = np.random.default_rng(1)
    value_nM, design = rng.random((40, 3)), Design(rng.permutation(40) % 3, rng.permutation(40) % 15)
    together = bootstrap_intervals(value_nM, design, seed=4)
    for measure in range(3):
        np.testing.assert_array_equal(bootstrap_intervals(value_nM[:, [measure]], design, seed=4)[0], together[measure])
    assert np.any(bootstrap_intervals(value_nM, design, seed=5) != together)


def test_a_single_query_has_no_spread() -> None:
    np.testing.assert_array_equal(bootstrap_intervals(np.array([[0.3]]), one_stratum(1)), [[0.3, 0.3]])


@given(seed=st.integers(0, 2**32 - 1), number=st.integers(1, 40))
def test_contributions_average_to_the_macro_mean(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    design = design_of(rng.integers(0, 4, number), rng.integers(0, 9, number))
    value_n = rng.normal(size=number)
    assert contributions(value_n, design).mean() == pytest.approx(macro_mean(value_n, design))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(2, 13))
def test_randomisation_is_exact_for_few_queries(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    difference_I = rng.integers(-2, 3, number) / 8  # many equal sums, exact in binary
    expected = stats.permutation_test(
        (difference_I, np.zeros(number)),
        lambda first, second, axis: np.mean(first - second, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    assert randomisation_p_value(difference_I) == pytest.approx(expected, abs=1e-12)


def test_randomisation_agrees_with_scipy_for_many_queries() -> None:
    difference_I = np.random.default_rng(0).normal(0.1, 1, 300)
    expected = stats.permutation_test(
        (difference_I, np.zeros(300)),
        lambda first, second, axis: np.mean(first - second, axis=axis),
        permutation_type="samples",
        n_resamples=9999,
        vectorized=True,
        batch=500,
        rng=0,
    ).pvalue
    p_value = randomisation_p_value(difference_I)
    assert p_value == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 9999))
    assert p_value == randomisation_p_value(difference_I)


def test_p_values_of_equal_systems_are_uniform() -> None:
    rng = np.random.default_rng(0)
    p_values = [randomisation_p_value(rng.normal(size=60), resamples=199) for _ in range(300)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_no_difference_at_all() -> None:
    assert randomisation_p_value(np.zeros(200)) == 1.0
    assert cohens_d(np.zeros(200)) == 0.0


def test_effect_size_by_hand() -> None:
    assert cohens_d(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert cohens_d(np.array([-0.5, -0.5])) == -np.inf


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    assert len(holm([])) == 0
