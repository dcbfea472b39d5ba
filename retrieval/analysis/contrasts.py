"""Differences of arms, paired by unit and seed: interval, test, effect size, and what the study could have detected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from retrieval.analysis.observations import XX, XY, Panel
from retrieval.analysis.spread import Components, components
from retrieval.measures.statistics import LEVEL, cohens_d, holm, randomisation_p_value

POWER = 0.8


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arm means whose weights add up to 0."""

    estimate: float
    low: float
    high: float
    """95 % interval over units and seeds."""
    standard_error: float
    degrees: float
    """Degrees of freedom of the standard error (Satterthwaite 1946)."""
    p_value: float
    """Two-sided t test over units and seeds; with one seed a randomisation test over units."""
    effect_size: float
    """Cohen's d over units, of values averaged over seeds."""


def contrast(panel: Panel, weight_M: np.ndarray, found: Components | None = None, level: float = LEVEL) -> Contrast:
    """Estimate and test a contrast.

    With c the weights, its variance is the sum of two mean squares less what both hold, each over its sample size:

        V = sum(c^2) * (arm-and-seed variance) / S  +  (variance over units of the contrast, averaged over seeds) / I
            - sum(c^2) * (what units add to the first) / S,

    the first pooled over arms with (M - 1)(S - 1) degrees of freedom (see `spread`), and the degrees of V are
    Satterthwaite's (Biometrics Bulletin 2, 1946). Seeds common to all arms cancel. With one seed the first term is not
    known and taken as 0: the result then speaks of these trainings alone, and the test is the randomisation test of
    `retrieval.measures.statistics` (Smucker et al. 2007), as in a comparison of two runs.

    Args:
        panel: the values.
        weight_M: weights of the arms.
        found: `components` of the panel, where they are at hand.
        level: of the interval.
    """
    from scipy import stats

    assert abs(weight_M.sum()) < 1e-9 * max(np.abs(weight_M).max(), 1e-300), "the weights of a contrast add up to 0"
    num_seeds, num_units = panel.values.shape[1:]
    value_I = np.tensordot(weight_M, panel.values.mean(axis=1), 1)
    estimate = float(value_I.mean())
    over_units = float(value_I.var(ddof=1)) / num_units if num_units > 1 else 0.0
    found = found or components(panel)
    factor = float(np.sum(weight_M**2)) / num_seeds
    over_seeds, alone = factor * found.arm_seed, factor * found.arm_seed_alone
    variance = over_units + alone
    parts = [(over_units, num_units - 1), (over_seeds, found.arm_seed_degrees)]
    uncertainty = sum(part**2 / degrees for part, degrees in parts if degrees)
    degrees = variance**2 / uncertainty if uncertainty else float("inf")
    error = float(np.sqrt(variance))
    if num_seeds == 1:
        p_value = randomisation_p_value(value_I)
    elif error:
        p_value = float(2 * stats.t.sf(abs(estimate) / error, degrees))
    else:
        p_value = 1.0 if estimate == 0 else 0.0
    reach = error * float(stats.t.ppf((1 + level) / 2, degrees))
    return Contrast(
        estimate=estimate,
        low=estimate - reach,
        high=estimate + reach,
        standard_error=error,
        degrees=degrees,
        p_value=p_value,
        effect_size=cohens_d(value_I),
    )


def difference(panel: Panel, first: int, second: int, found: Components | None = None) -> Contrast:
    """The first arm minus the second."""
    weight_M = np.zeros(len(panel.arms))
    weight_M[first], weight_M[second] = 1.0, -1.0
    return contrast(panel, weight_M, found)


@dataclass(frozen=True)
class Compared:
    """An arm against a reference."""

    setting: str
    measure: str
    arm: str
    reference: str
    role: str
    """What the reference is: "X-X", "X-Y" or "best"."""
    result: Contrast
    """Arm minus reference."""
    p_holm: float
    """Corrected for all comparisons of its family (Holm 1979)."""
    detectable: float | None = None
    """The smallest true difference that this comparison finds with 80 % power, at the level that Holm's correction asks
    of the first test of the family; None before the correction."""


def references_of(panel: Panel) -> dict[str, int]:
    """Role -> number of the arm: monolingual batches alone, cross-lingual batches alone, and the best by its mean."""
    roles = {"X-X": XX, "X-Y": XY}
    found = {role: number for role, mix in roles.items() for number, arm in enumerate(panel.arms) if arm.mix == mix}
    return found | {"best": panel.best}


def compare_with(panel: Panel, references: Mapping[str, int]) -> list[Compared]:
    """Every arm against every reference but itself. Correct a family of them with `corrected`.

    The best arm is chosen by the same values, so that p-values against it are somewhat too small where several arms are
    about as good; which arms can be the best is for `flat_region` to say.
    """
    found = components(panel)
    return [
        Compared(
            setting=panel.setting,
            measure=panel.measure,
            arm=arm.label,
            reference=panel.arms[reference].label,
            role=role,
            result=(result := difference(panel, number, reference, found)),
            p_holm=result.p_value,
        )
        for role, reference in references.items()
        for number, arm in enumerate(panel.arms)
        if number != reference
    ]


def corrected(family: Sequence[Compared], level: float = 1 - LEVEL) -> list[Compared]:
    """The comparisons with Holm's correction over all of them.

    A difference that is looked at from both sides (X-X against X-Y, and X-Y against X-X) counts twice: cautious.
    """
    adjusted = holm([one.result.p_value for one in family])
    return [
        replace(
            one,
            p_holm=float(p),
            detectable=smallest_effect(one.result.standard_error, one.result.degrees, level / len(family)),
        )
        for one, p in zip(family, adjusted, strict=True)
    ]


def smallest_effect(standard_error: float, degrees: float, level: float = 1 - LEVEL, power: float = POWER) -> float:
    """The true difference at which a two-sided t test at this level rejects with this power.

    Found is the noncentrality d / standard_error at which P(|T'| > t) = power, with T' noncentral t (Cohen 1988,
    chapter 2): the mean of Phi(d / error - t w) + Phi(-d / error - t w) over w^2 = chi^2 / degrees, taken at the nodes
    of a quadrature, for scipy's noncentral t is not a number far out. The standard error counts as known, so this is
    about a study like the one at hand.
    """
    from scipy import optimize, stats

    if standard_error == 0.0:
        return 0.0
    node, weight = _quadrature()
    # Beyond this the distributions are normal to six digits.
    spread = np.sqrt(stats.chi2.ppf((1 + node) / 2, degrees) / degrees) if degrees < 1e6 else np.ones(len(node))
    limit = spread * stats.t.ppf(1 - level / 2, min(degrees, 1e6))

    def missing(shift: float) -> float:
        found = stats.norm.cdf(shift - limit) + stats.norm.cdf(-shift - limit)
        return float(found @ weight) / 2 - power

    most = 10.0
    while missing(most) < 0:
        most *= 2
    return standard_error * float(optimize.brentq(missing, 0.0, most))


@cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre on -1 to 1."""
    return np.polynomial.legendre.leggauss(100)
