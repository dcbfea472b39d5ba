"""Scheffé's models recover planted surfaces; fronts and slopes against brute force and by hand."""

import json
from dataclasses import replace
from fractions import Fraction
from math import comb

import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_panels.panels import alphas, arm, lattice, planted

from cluster.errors import DataError
from retrieval.analysis.axis_effect import axis_effects
from retrieval.analysis.observations import Arm
from retrieval.analysis.optimum import lack_of_fit, mixture_model
from retrieval.analysis.pareto import front_frequency, pareto_front
from retrieval.analysis.scheffe import fits, model_terms
from retrieval.analysis.spread import joint_draws
from retrieval.analysis.study import analyse_study, as_json

QUIET = {"seed": 0.0, "arm_seed": 0.0, "unit": 0.1, "arm_unit": 0.0, "noise": 0.0}
KINDS = ("mono", "cross", "multi")


def shares(arms: tuple[Arm, ...], kinds: tuple[str, ...] = KINDS) -> np.ndarray:
    return np.array([[one.share(kind) for kind in kinds] for one in arms])


@given(kinds=st.integers(2, 5))
def test_models_have_as_many_terms_as_their_formulas(kinds: int) -> None:
    names = "abcde"[:kinds]
    point_PK = np.random.default_rng(0).dirichlet(np.ones(kinds), 3)
    number = [
        len(model_terms(point_PK, names, model)[1]) for model in ("linear", "quadratic", "special cubic", "cubic")
    ]
    pairs, triples = comb(kinds, 2), comb(kinds, 3)
    assert number == [kinds, kinds + pairs, kinds + pairs + triples, kinds + 2 * pairs + triples]


def test_coefficients_by_hand() -> None:
    """x^2 on two kinds is x - x y: the value of x alone is 1, and blending half and half loses 1/4."""
    share_MK = shares(alphas(11), KINDS[:2])
    quadratic = fits(share_MK, KINDS[:2])[1]
    np.testing.assert_allclose(quadratic.to_coefficients @ share_MK[:, 0] ** 2, [1, 0, -1], atol=1e-12)


def test_leaving_one_out_is_refitting_without_it() -> None:
    share_MK, rng = shares(lattice(4)), np.random.default_rng(0)
    mean_M = rng.normal(size=15)
    for fit in fits(share_MK, KINDS):
        term_MT = model_terms(share_MK, KINDS, fit.model)[0]
        errors = []
        for out in range(15):
            rest = np.arange(15) != out
            errors.append(mean_M[out] - sm.OLS(mean_M[rest], term_MT[rest]).fit().predict(term_MT[[out]])[0])
        assert fit.cross_validation_error(mean_M) == pytest.approx(np.sqrt(np.mean(np.square(errors))))


def test_models_that_cannot_be_checked_are_not_fitted() -> None:
    centroid = shares((*lattice(2), arm(mono=Fraction(1, 3), cross=Fraction(1, 3), multi=Fraction(1, 3))))
    assert [fit.model for fit in fits(centroid, KINDS)] == ["linear", "quadratic"]  # 7 mixes, 7 special cubic terms
    assert not fits(shares((*alphas(5), arm(multi=Fraction(1)))), KINDS)  # without its corner, multi is not determined
    assert [fit.model for fit in fits(shares(alphas(11), KINDS[:2]), KINDS[:2])] == ["linear", "quadratic", "cubic"]
    panel = planted(np.random.default_rng(0), alphas(2), np.zeros(2))
    assert mixture_model(panel, joint_draws(panel)) is None


def test_a_planted_surface_is_recovered_exactly_without_noise() -> None:
    share_MK = shares(lattice(5))
    truth_M = 0.5 - 0.6 * ((share_MK - [0.3, 0.45, 0.25]) ** 2).sum(axis=1)
    panel = planted(np.random.default_rng(0), lattice(5), truth_M, **QUIET)
    found = mixture_model(panel, joint_draws(panel, 200))
    assert found is not None
    assert found.best == pytest.approx({"mono": 0.3, "cross": 0.45, "multi": 0.25}, abs=1 / 80)
    assert found.r_squared == pytest.approx(1)
    lower = replace(panel, measure="rank_distance")
    worst = mixture_model(lower, joint_draws(lower, 200))
    assert worst is not None and worst.best["cross"] == 0 and max(worst.best.values()) == 1


def test_the_interval_of_the_best_mix_covers_it() -> None:
    """200 studies of 11 alphas and 3 seeds; the truth is quadratic with its top at alpha 0.4375."""
    arms, rng = alphas(11), np.random.default_rng(2)
    x = shares(arms)[:, 0]
    truth_M, covered, covered_value, found = 0.30 * x + 0.35 * (1 - x) + 0.4 * x * (1 - x), 0, 0, None
    top = 0.30 * 0.4375 + 0.35 * 0.5625 + 0.4 * 0.4375 * 0.5625
    for number in range(200):
        panel = planted(rng, arms, truth_M, units=80)
        found = mixture_model(panel, joint_draws(panel, 200, number))
        assert found is not None
        low, high = found.best_intervals["mono"]
        covered += low <= 0.4375 <= high
        covered_value += found.best_value_interval[0] <= top <= found.best_value_interval[1]
    assert 0.91 <= covered / 200 <= 0.995
    assert covered_value / 200 >= 0.91


def test_lack_of_fit_is_seen_and_is_not_seen_where_there_is_none() -> None:
    arms, rng = alphas(11), np.random.default_rng(2)
    x = shares(arms)[:, 0]
    quadratic = fits(shares(arms, KINDS[:2]), KINDS[:2])[1]
    effects = {"arm_unit": 0.0}
    p_values = [lack_of_fit(planted(rng, arms, x - x**2, **effects), quadratic) for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p_values, dtype=float) < 0.05) <= 0.09
    cliff = lack_of_fit(planted(rng, arms, np.where(x > 0.95, 0.02, 0.3), **effects), quadratic)
    assert cliff is not None and cliff < 1e-6


def test_mixtures_need_arms_that_differ_in_their_mix_alone() -> None:
    arms = tuple(replace(one, axes=(("training.steps", n % 2),)) for n, one in enumerate(alphas(6)))
    panel = planted(np.random.default_rng(0), arms, np.zeros(6))
    with pytest.raises(DataError, match="constant mix alone"):
        mixture_model(panel, joint_draws(panel))


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=12),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_front_by_brute_force(rows: list[list[int]], higher: list[bool]) -> None:
    def beats(one: list[int], other: list[int]) -> bool:
        gains = [(a - b) if up else (b - a) for a, b, up in zip(one, other, higher, strict=True)]
        return min(gains) >= 0 and max(gains) > 0

    expected = [not any(beats(other, one) for other in rows) for one in rows]
    assert pareto_front(np.array(rows, dtype=float), higher).tolist() == expected


def test_an_unknown_value_is_on_no_front_and_frequencies_count_fronts() -> None:
    assert pareto_front(np.array([[1.0, np.nan], [0.5, 0.5]]), [True, True]).tolist() == [False, True]
    draw_OMB = np.array([[[1.0, 1.0], [0.0, 2.0]], [[1.0, 1.0], [0.0, 2.0]]])
    np.testing.assert_allclose(front_frequency(draw_OMB, [True, True]), [0.5, 0.5])


def sized(levels: tuple[int, ...]) -> tuple[Arm, ...]:
    mixes = (arm(mono=Fraction(1)), arm(mono=Fraction(1, 2), cross=Fraction(1, 2)))
    return tuple(replace(mix, axes=(("data.groups", level),)) for mix in mixes for level in levels)


def test_slopes_per_doubling_by_hand_and_against_least_squares() -> None:
    truth_M = np.array([0.1, 0.2, 0.3, 0.3, 0.33, 0.36])  # X-X gains 0.1 per doubling, the hybrid 0.03
    panel = planted(np.random.default_rng(0), sized((100, 200, 400)), truth_M)
    effects = {(one.mix, one.reference): one for one in axis_effects(panel, "data.groups")}
    assert set(effects) == {("mono 1", None), ("mono 1/2, cross 1/2", None), ("mono 1/2, cross 1/2", "mono 1")}
    for (mix, reference), effect in effects.items():
        fitted = sm.OLS(effect.mean_by_level, sm.add_constant(np.log2([100, 200, 400]))).fit()
        assert effect.slope.estimate == pytest.approx(fitted.params[1])
        truth = -0.07 if reference else 0.1 if mix == "mono 1" else 0.03
        assert effect.slope.low - 0.01 <= truth <= effect.slope.high + 0.01
    assert effects["mono 1/2, cross 1/2", "mono 1"].p_holm < 0.05
    with pytest.raises(DataError, match="two positive numbers"):
        axis_effects(planted(np.random.default_rng(0), alphas(3), np.zeros(3)), "training.steps")
    with pytest.raises(DataError, match="data.groups varies too"):
        axis_effects(panel, "training.steps")


def test_a_whole_study_is_plain_and_repeats_byte_for_byte() -> None:
    arms = [replace(one, axes=(("data.groups", level),)) for level in (100, 200) for one in alphas(5)]
    panels = {
        (setting, measure): planted(np.random.default_rng(n), arms, np.linspace(0.2, 0.3, 10), seeds=2, units=30)
        for n, (setting, measure) in enumerate([("mono", "mAP"), ("bias", "rank_distance")])
    }
    trials, values = [], []
    for number, one in enumerate(arms):
        for seed in range(2):
            row = {"trial": f"{number}-{seed}", "seed": seed, "cost:queries_per_second": 100.0 + number}
            row |= {f"mix:{kind}": str(dict(one.mix).get(kind, 0)) for kind in KINDS}
            trials.append(row | {"axis:data.groups": json.dumps(dict(one.axes)["data.groups"])})
            for (setting, measure), panel in panels.items():
                values += [
                    {"trial": row["trial"], "setting": setting, "measure": measure, "unit": unit, "value": value}
                    for unit, value in zip(panel.units, panel.values[number, seed].tolist(), strict=True)
                ]
    tables = pa.Table.from_pylist(trials), pa.Table.from_pylist(values)
    keys = list(panels)
    done = analyse_study(*tables, keys, keys, {"queries_per_second": True}, resamples=100)
    assert as_json(done) == as_json(analyse_study(*tables, keys, keys, {"queries_per_second": True}, resamples=100))
    plain = json.loads(as_json(done))
    assert len(plain["measures"]) == 4
    assert [one.with_costs for one in done.fronts] == [False, False, True, True], "at both levels, without costs first"
    assert done.fronts[:2] == analyse_study(*tables, keys, keys, resamples=100).fronts
    np.testing.assert_allclose([one["mean"] for one in plain["measures"][0]["arms"]], panels[keys[0]].means[:5])
    assert plain["measures"][0]["arms"][1]["arm"]["mix"] == {"mono": "3/4", "cross": "1/4"}
    family = [one for measure in done.measures for one in measure.compared]
    assert min(one.p_holm / one.result.p_value for one in family) >= 1 and len(family) == 4 * 3 * 4
    assert {one.axis for one in done.axis_effects} == {"data.groups"}
