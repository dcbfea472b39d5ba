"""The mixture model of a panel, chosen by cross-validation, and the mix it predicts to be best, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cluster.errors import DataError
from retrieval.analysis.observations import Panel
from retrieval.analysis.scheffe import Fit, fits, model_terms
from retrieval.analysis.spread import components
from retrieval.measures.statistics import LEVEL, percentile_intervals

# Steps of the lattice that is searched, by number of kinds: a few thousand points.
_STEPS = {2: 1000, 3: 80, 4: 28}


@dataclass(frozen=True)
class Surface:
    """The chosen model over the region that was studied."""

    shares: np.ndarray
    """(P, K)."""
    values: np.ndarray
    """(P)."""
    low: np.ndarray
    high: np.ndarray
    """(P) each: 95 % interval at each point, over units, seeds and the choice of the model."""


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of the chosen model."""

    term: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MixtureModel:
    """A fitted surface and its best point."""

    kinds: tuple[str, ...]
    model: str
    coefficients: tuple[Coefficient, ...]
    cross_validation_errors: dict[str, float]
    """Model -> root mean square error of predicting a mix from all others; the smallest chooses."""
    model_frequency: dict[str, float]
    """Model -> share of the draws in which it is chosen."""
    r_squared: float
    adjusted_r_squared: float
    lack_of_fit_p: float | None
    """Small: the surface misses the means by more than seeds explain. None without several seeds or spare mixes."""
    best: dict[str, float]
    """Kind -> share of the predicted best mix."""
    best_intervals: dict[str, tuple[float, float]]
    """Kind -> 95 % interval of that share, over units, seeds and the choice of the model."""
    best_value: float
    best_value_interval: tuple[float, float]
    surface: Surface


def mixture_model(panel: Panel, draw_MB: np.ndarray, level: float = LEVEL) -> MixtureModel | None:
    """Fit Scheffé's models to the means of the mixes, choose one, find its best mix.

    Chosen is the model with the least leave-one-mix-out error. The best mix is that of a fine lattice over the region
    studied: the shares between the least and the most that any mix has of each kind; nothing is extrapolated. For the
    intervals every draw (see `spread.joint_draws`) chooses its model and its best mix again, so they hold the doubt
    about units, seeds and model, but not that no such polynomial is right: read `lack_of_fit_p` and the errors first.
    Where the best mix lies on an edge its interval is one-sided, and the percentile interval then covers the truth at
    least as often as it says, if less sharply.

    Args:
        panel: arms with mixes that do not change over training and no varying axis; at least two kinds.
        draw_MB: `joint_draws` of the panel.
        level: of the intervals.

    Returns:
        The model, or None where there are too few mixes for even the linear one to be checked.

    Raises:
        DataError: the panel has arms that differ in something other than a constant mix.
    """
    if any(arm.schedule for arm in panel.arms) or any(len(values) > 1 for values in panel.axes.values()):
        raise DataError("a mixture model needs arms that differ in their constant mix alone; use Panel.where")
    kinds = tuple(dict.fromkeys(kind for arm in panel.arms for kind, _ in arm.mix))
    share_MK = np.array([[arm.share(kind) for kind in kinds] for arm in panel.arms])
    candidates = fits(share_MK, kinds) if 2 <= len(kinds) <= max(_STEPS) else []
    if not candidates:
        return None
    mean_M = panel.means
    error_of = {fit.model: float(fit.cross_validation_error(mean_M)) for fit in candidates}
    chosen = min(candidates, key=lambda fit: error_of[fit.model])
    number_B = np.argmin([fit.cross_validation_error(draw_MB) for fit in candidates], axis=0)
    share_PK = studied_lattice(share_MK)
    value_P, value_BP = _predictions(share_PK, kinds, candidates, chosen, mean_M, draw_MB, number_B)
    sign = 1.0 if panel.higher_is_better else -1.0
    best, best_B = int(np.argmax(sign * value_P)), np.argmax(sign * value_BP, axis=1)
    low_P, high_P = percentile_intervals(value_BP.T, level).T
    intervals_K2 = percentile_intervals(share_PK[best_B].T, level)
    statistics = _goodness(panel, share_MK, kinds, chosen)
    return MixtureModel(
        kinds=kinds,
        model=chosen.model,
        coefficients=_coefficients(chosen, mean_M, draw_MB, level),
        cross_validation_errors=error_of,
        model_frequency={fit.model: float(np.mean(number_B == number)) for number, fit in enumerate(candidates)},
        r_squared=statistics["r_squared"],
        adjusted_r_squared=statistics["adjusted_r_squared"],
        lack_of_fit_p=lack_of_fit(panel, chosen),
        best=dict(zip(kinds, share_PK[best].tolist(), strict=True)),
        best_intervals={kind: (float(low), float(high)) for kind, (low, high) in zip(kinds, intervals_K2, strict=True)},
        best_value=float(value_P[best]),
        # Of the mean at the mix predicted to be best: at the best of each draw it would be biased upwards.
        best_value_interval=(float(low_P[best]), float(high_P[best])),
        surface=Surface(share_PK, value_P, low_P, high_P),
    )


def studied_lattice(share_MK: np.ndarray) -> np.ndarray:
    """A fine lattice over the shares between the least and the most of each kind, (P, K)."""
    num_kinds = share_MK.shape[1]
    steps = _STEPS[num_kinds]
    counts = np.indices((steps + 1,) * (num_kinds - 1)).reshape(num_kinds - 1, -1).T
    counts = counts[counts.sum(axis=1) <= steps]
    share_PK = np.column_stack([counts, steps - counts.sum(axis=1)]) / steps
    inside = (share_PK >= share_MK.min(axis=0) - 1e-9) & (share_PK <= share_MK.max(axis=0) + 1e-9)
    return np.concatenate([share_PK[inside.all(axis=1)], share_MK])


def _predictions(
    share_PK: np.ndarray,
    kinds: tuple[str, ...],
    candidates: list[Fit],
    chosen: Fit,
    mean_M: np.ndarray,
    draw_MB: np.ndarray,
    number_B: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The chosen model's values (P), and those (B, P) of each draw under the model that it chooses."""
    value_P = model_terms(share_PK, kinds, chosen.model)[0] @ (chosen.to_coefficients @ mean_M)
    value_BP = np.empty((draw_MB.shape[1], len(share_PK)))
    for number, fit in enumerate(candidates):
        of_fit = number_B == number
        term_PT = model_terms(share_PK, kinds, fit.model)[0]
        value_BP[of_fit] = (term_PT @ (fit.to_coefficients @ draw_MB[:, of_fit])).T
    return value_P, value_BP


def _coefficients(fit: Fit, mean_M: np.ndarray, draw_MB: np.ndarray, level: float) -> tuple[Coefficient, ...]:
    intervals = percentile_intervals(fit.to_coefficients @ draw_MB, level)
    rows = zip(fit.terms, (fit.to_coefficients @ mean_M).tolist(), intervals.tolist(), strict=True)
    return tuple(Coefficient(term, value, low, high) for term, value, (low, high) in rows)


def _goodness(panel: Panel, share_MK: np.ndarray, kinds: tuple[str, ...], fit: Fit) -> Mapping[str, float]:
    """R squared about the mean, and adjusted for the number of terms; of the means of the mixes."""
    import statsmodels.api as sm

    # The terms add up to a constant (statsmodels sees it), so R squared is about the mean.
    fitted = sm.OLS(panel.means, model_terms(share_MK, kinds, fit.model)[0]).fit()
    return {"r_squared": float(fitted.rsquared), "adjusted_r_squared": float(fitted.rsquared_adj)}


def lack_of_fit(panel: Panel, fit: Fit) -> float | None:
    """p-value of the lack-of-fit test (Draper and Smith, Applied Regression Analysis; Cornell 2002).

    F = S * sum (mean - fitted)^2 / (M - T) over the variance of seeds in arms, with M - T and (M - 1)(S - 1) degrees:
    do the means scatter about the surface by more than seeds explain? Seeds are blocks. It speaks of these units.
    """
    from scipy import stats

    found, num_arms = components(panel), len(panel.arms)
    spare = num_arms - len(fit.terms)
    if not found.arm_seed_degrees or spare < 1 or found.arm_seed == 0.0:
        return None
    residual_M = fit.to_residuals @ panel.means
    ratio = len(panel.seeds) * float(np.sum(residual_M**2)) / spare / found.arm_seed
    return float(stats.f.sf(ratio, spare, found.arm_seed_degrees))
