"""Analyses as JSON and back; what more seeds would bring; two studies side by side."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from planted_panels.panels import alphas, arm, lattice, planted
from planted_panels.studies import planted_study
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from cluster.errors import DataError
from retrieval.analysis.contrasts import compare_with, corrected
from retrieval.analysis.observations import Arm, schedule_text
from retrieval.analysis.planning import seed_plan
from retrieval.analysis.spread import ArmMean, arm_means, joint_draws
from retrieval.analysis.stored import from_json
from retrieval.analysis.study import MeasureAnalysis, StudyAnalysis, as_json
from retrieval.analysis.two_studies import compare_studies, mix_key


def test_an_analysis_comes_back_from_its_json() -> None:
    found = planted_study(lattice(2), seeds=2, axes={"training.steps": [100, 200]}, units=12).analysis(resamples=50)
    back = from_json(as_json(found))
    assert as_json(back) == as_json(found)
    assert back.measures[0].arms == found.measures[0].arms and back.axis_effects == found.axis_effects
    mixture = back.measures[0].mixture
    assert mixture is not None and found.measures[0].mixture is not None
    np.testing.assert_array_equal(mixture.surface.shares, found.measures[0].mixture.surface.shares)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "Expecting"), ("[]", "list"), ('{"measures": [], "fronts": []}', "no 'axis_effects'")]
)
def test_what_is_no_analysis_is_refused(text: str, said: str) -> None:
    with pytest.raises(DataError, match=f"^studies/a/analysis.json: not the analysis of a study .*{said}"):
        from_json(text, "studies/a/analysis.json")


def test_a_schedule_in_words_tells_mixes_with_the_same_shares_apart() -> None:
    ramp = json.dumps([{"step": 0, "mono": "1"}, {"step": 500, "mono": "1/2", "cross": "1/2", "multi": "0"}])
    assert schedule_text(ramp) == "step 0 mono 1, step 500 mono 1/2 cross 1/2"
    half = arm(mono=Fraction(1, 2), cross=Fraction(1, 2))
    other = json.dumps([{"step": 0, "cross": "1"}, {"step": 500, "mono": "1"}])
    labels = {replace(half, schedule=schedule).label for schedule in ("", ramp, other)}
    assert len(labels) == 3


def test_more_seeds_bring_what_a_study_with_more_seeds_finds() -> None:
    """Predicted from studies of 3 seeds, the smallest effect with 6 is that of studies of 6; with one seed nothing is."""
    rng, effects = np.random.default_rng(0), {"units": 100, "arm_seed": 0.02, "arm_unit": 0.05, "noise": 0.0}
    predicted, actual = [], []
    for _ in range(40):
        few, many = (planted(rng, alphas(5), np.full(5, 0.3), seeds=seeds, **effects) for seeds in (3, 6))  # type: ignore[arg-type]
        plan = seed_plan(few, 4, (6,))
        assert plan is not None and plan.at_most <= plan.with_seeds[6] <= plan.now
        predicted.append(plan.with_seeds[6])
        family = corrected(compare_with(many, {"best": many.best}))
        actual.append(np.median([one.detectable for one in family if one.detectable is not None]))
    assert np.mean(predicted) == pytest.approx(np.mean(actual), rel=0.1)
    assert seed_plan(planted(rng, alphas(5), np.zeros(5), seeds=1), 4, (3,)) is None


def test_the_plan_of_the_seeds_there_are_is_the_analysis() -> None:
    panel = planted(np.random.default_rng(1), alphas(2), np.array([0.3, 0.35]), arm_seed=0.02)
    plan = seed_plan(panel, 1, ())
    (only,) = corrected(compare_with(panel, {"best": panel.best}))
    assert plan is not None and plan.now == pytest.approx(only.detectable, rel=1e-6)


def analysis(means: list[ArmMean], **more: object) -> StudyAnalysis:
    fields = {
        "setting": "multi", "measure": "mAP", "higher_is_better": True, "axes": {}, "seeds": (0, 1), "num_units": 10,
        "left_out": (), "arms": tuple(means), "best": means[0].arm.label, "flat_region": (means[0].arm.label,),
        "compared": (), "mixture": None,
    }  # fmt: skip
    return StudyAnalysis((MeasureAnalysis(**{**fields, **more}),), (), ())  # type: ignore[arg-type]


def mean(one: Arm, value: float, low: float, high: float) -> ArmMean:
    return ArmMean(one, value, low, high, None, (value,))


def test_intervals_of_differences_by_hand() -> None:
    """.50 (.46 to .56) against .60 (.57 to .68): .10 - sqrt(.03^2 + .06^2), .10 + sqrt(.08^2 + .04^2)."""
    xx, xy = arm(mono=Fraction(1)), arm(cross=Fraction(1))
    turned = Arm((("cross", Fraction(1, 2)), ("mono", Fraction(1, 2))))
    half = arm(mono=Fraction(1, 2), cross=Fraction(1, 2))
    first = analysis([mean(xx, 0.50, 0.46, 0.56), mean(half, 0.4, 0.3, 0.5)])
    second = analysis([mean(turned, 0.4, 0.3, 0.5), mean(xx, 0.60, 0.57, 0.68), mean(xy, 0.1, 0.0, 0.2)])
    ((pair,), alone) = (found := compare_studies(first, second)).measures, found.without_counterpart
    assert [mix_key(one.arm) for one in pair.mixes] == [mix_key(xx), mix_key(half)] and alone == ()
    assert pair.mixes[0].estimate == pytest.approx(0.10)
    assert pair.mixes[0].low == pytest.approx(0.10 - np.hypot(0.03, 0.06))
    assert pair.mixes[0].high == pytest.approx(0.10 + np.hypot(0.08, 0.04))
    assert pair.mixes[0].differs and not pair.mixes[1].differs


def test_with_normal_intervals_it_is_the_interval_of_two_independent_samples() -> None:
    rng = np.random.default_rng(2)
    samples = [DescrStatsW(rng.normal(size=size)) for size in (40_000, 90_000)]
    one = arm(mono=Fraction(1))
    studies = [analysis([mean(one, float(of.mean), *map(float, of.tconfint_mean()))]) for of in samples]
    (mix,) = compare_studies(*studies).measures[0].mixes
    low, high = CompareMeans(samples[1], samples[0]).tconfint_diff(usevar="unequal")
    assert (mix.low, mix.high) == (pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))


def test_intervals_of_differences_of_studies_cover() -> None:
    rng, arms, covered = np.random.default_rng(3), alphas(3), 0.0
    for number in range(150):
        studies = []
        for truth in (0.30, 0.34):
            panel = planted(rng, arms, np.full(3, truth), units=60)
            studies.append(analysis(arm_means(panel, joint_draws(panel, 400, number))))
        mixes = compare_studies(*studies).measures[0].mixes
        covered += np.mean([mix.low <= 0.04 <= mix.high for mix in mixes])
    assert 0.92 <= covered / 150 <= 0.995


def test_measures_are_paired_by_their_axes_or_where_there_is_no_choice() -> None:
    one = [mean(arm(mono=Fraction(1)), 0.5, 0.4, 0.6)]
    plain, small, large = (analysis(one, axes=axes) for axes in ({}, {"data": 1}, {"data": 2}))
    assert len(compare_studies(plain, small).measures) == 1
    both = StudyAnalysis((*small.measures, *large.measures), (), ())
    assert len(compare_studies(both, large).measures) == 1
    found = compare_studies(plain, both)
    assert not found.measures
    assert found.without_counterpart == ("multi mAP", "multi mAP; data 1", "multi mAP; data 2")
