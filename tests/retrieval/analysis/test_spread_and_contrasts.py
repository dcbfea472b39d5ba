"""Intervals and tests by simulation of planted studies, by hand, and against scipy and statsmodels."""

from dataclasses import replace

import numpy as np
import pytest
from planted_panels.panels import alphas, planted
from scipy import stats
from statsmodels.stats.power import TTestPower

from retrieval.analysis.contrasts import compare_with, corrected, difference, references_of, smallest_effect
from retrieval.analysis.flat_region import difference_errors, flat_region
from retrieval.analysis.observations import Panel
from retrieval.analysis.spread import arm_means, components, joint_draws
from retrieval.measures.statistics import randomisation_p_value

STUDIES = 200


def test_components_of_planted_effects() -> None:
    rng = np.random.default_rng(0)
    effects = {"seed": 0.05, "arm_seed": 0.03, "unit": 0.3, "arm_unit": 0.1, "noise": 0.2}
    found = [components(planted(rng, alphas(5), np.zeros(5), seeds=4, units=60, **effects)) for _ in range(100)]
    arm_seed = [one.arm_seed - one.arm_seed_noise for one in found]
    seed = [one.seed - one.seed_noise for one in found]
    assert np.mean(arm_seed) == pytest.approx(0.03**2, rel=0.15)
    assert np.mean(seed) == pytest.approx(0.05**2 + 0.03**2 / 5, rel=0.3)
    assert (found[0].seed_degrees, found[0].arm_seed_degrees) == (3, 12)


@pytest.mark.parametrize("effects", [{"seed": 0.02}, {"seed": 0.0, "arm_seed": 0.0}, {"seeds": 2, "arm_seed": 0.02}])
def test_intervals_cover_and_corrected_tests_keep_their_level(effects: dict[str, float]) -> None:
    """No arm differs: levels are covered, differences covered, the family rejects in at most one study of twenty."""
    rng = np.random.default_rng(1)
    arms, covered, covered_differences, families, whole = alphas(4), 0.0, 0.0, 0, 0.0
    for number in range(STUDIES):
        panel = planted(rng, arms, np.full(4, 0.3), **effects)  # type: ignore[arg-type]
        draw_MB = joint_draws(panel, 400, number)
        covered += np.mean([one.low <= 0.3 <= one.high for one in arm_means(panel, draw_MB)])
        compared = compare_with(panel, {"X-X": 0, "X-Y": 3})
        covered_differences += np.mean([one.result.low <= 0 <= one.result.high for one in compared])
        # Holm's correction rejects something where its first step, Bonferroni's, does (statsmodels' takes 0.1 s a call).
        families += min(one.result.p_value for one in compared) * len(compared) <= 0.05
        whole += 0 in flat_region(panel, draw_MB)
    assert 0.92 <= covered / STUDIES <= 0.98
    assert 0.925 <= covered_differences / STUDIES <= 0.99
    assert families / STUDIES <= 0.08  # 5 % and two standard errors
    assert whole / STUDIES >= 0.92


def test_with_two_arms_and_no_units_to_speak_of_it_is_the_paired_t_test() -> None:
    """Units that all agree leave seeds alone: scipy's paired t test over seeds."""
    rng = np.random.default_rng(2)
    values = np.repeat(rng.normal(size=(2, 6, 1)), 50, axis=2)
    panel = replace(planted(rng, alphas(2), np.zeros(2), seeds=6, units=50), values=values)
    found = difference(panel, 0, 1)
    expected = stats.ttest_rel(values[0, :, 0], values[1, :, 0])
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.degrees == pytest.approx(5)
    low, high = expected.confidence_interval()
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_with_one_seed_it_is_the_comparison_of_two_runs() -> None:
    panel = planted(np.random.default_rng(3), alphas(3), np.array([0.0, 0.02, 0.0]), seeds=1)
    found = difference(panel, 1, 0)
    difference_I = panel.values[1, 0] - panel.values[0, 0]
    assert found.p_value == randomisation_p_value(difference_I)
    assert found.standard_error == pytest.approx(stats.sem(difference_I))
    assert arm_means(panel, joint_draws(panel))[0].seed_deviation is None


def test_standard_errors_of_all_pairs_are_those_of_the_contrasts() -> None:
    panel = planted(np.random.default_rng(4), alphas(4), np.zeros(4))
    error_MM = difference_errors(panel)
    for first, second in [(0, 1), (2, 0), (3, 1)]:
        assert error_MM[first, second] == pytest.approx(difference(panel, first, second).standard_error)
    spread = (joint_draws(panel, 20_000)[0] - joint_draws(panel, 20_000)[1]).std()
    # The draws' seeds have Student's t, whose variance is larger than 1.
    assert error_MM[0, 1] * 0.97 < spread < error_MM[0, 1] * 1.25


def test_holm_over_a_family_by_hand() -> None:
    panel = planted(np.random.default_rng(5), alphas(3), np.array([0.3, 0.33, 0.36]))
    family = corrected(compare_with(panel, references_of(panel)))
    order = sorted(family, key=lambda one: one.result.p_value)
    running = 0.0
    for place, one in enumerate(order):
        running = max(running, min((len(order) - place) * one.result.p_value, 1.0))
        assert one.p_holm == pytest.approx(running)
    assert {one.role for one in family} == {"X-X", "X-Y", "best"} and len(family) == 6


@pytest.mark.parametrize("number", [3, 6, 30, 400])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_smallest_effect_agrees_with_statsmodels(number: int, level: float) -> None:
    effect = smallest_effect(1 / np.sqrt(number), number - 1, level)
    assert TTestPower().power(effect, nobs=number, alpha=level) == pytest.approx(0.8, abs=1e-4)


def test_smallest_effect_is_found_as_often_as_it_says() -> None:
    """By hand for known errors: (1.960 + 0.8416) standard errors; and by drawing studies with that very effect."""
    assert smallest_effect(1.0, np.inf) == pytest.approx(2.8016, abs=1e-4)
    rng = np.random.default_rng(6)
    effect = smallest_effect(1 / np.sqrt(8), 7)
    p_values = stats.ttest_1samp(rng.normal(effect, 1, (20_000, 8)), 0, axis=1).pvalue
    assert np.mean(p_values < 0.05) == pytest.approx(0.8, abs=0.01)


def test_the_best_is_in_the_flat_region_and_what_is_far_behind_is_not() -> None:
    truth_M, rng, inside, far = np.array([0.30, 0.34, 0.345, 0.34, 0.2]), np.random.default_rng(7), 0, 0
    for number in range(60):
        panel = planted(rng, alphas(5), truth_M)
        region = flat_region(panel, joint_draws(panel, 500, number))
        assert panel.best in region
        inside += 2 in region
        far += 4 in region
    assert inside >= 54 and far == 0


def test_for_rank_distance_less_is_better() -> None:
    panel = planted(np.random.default_rng(8), alphas(3), np.array([0.5, 0.1, 0.5]))
    lower = replace(panel, measure="rank_distance")
    assert lower.best == 1 and flat_region(lower, joint_draws(lower)) == [1]
    assert 1 not in flat_region(panel, joint_draws(panel))


def test_panels_with_the_same_units_draw_the_same_ones() -> None:
    panel: Panel = planted(np.random.default_rng(9), alphas(3), np.zeros(3), seeds=1)
    np.testing.assert_array_equal(joint_draws(panel)[:2], joint_draws(panel.only([0, 1])))
