"""What more seeds would bring: the smallest difference between mixes that a larger study would find."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.analysis.contrasts import smallest_effect
from retrieval.analysis.observations import Panel
from retrieval.analysis.spread import components
from retrieval.measures.statistics import LEVEL


@dataclass(frozen=True)
class SeedPlan:
    """Smallest detectable differences of a mix to the best, in the middle over mixes, by number of seeds."""

    seeds: int
    """That the study has."""
    now: float
    with_seeds: dict[int, float]
    """Number of seeds -> smallest difference found in 4 of 5 studies, after the correction."""
    at_most: float
    """What no number of seeds goes below: the part that queries alone leave."""
    share_of_seeds: float
    """Share of seeds in the variance of a difference, in the middle over mixes."""


def seed_plan(panel: Panel, family: int, numbers: Sequence[int], level: float = 1 - LEVEL) -> SeedPlan | None:
    """Predict the smallest detectable difference for other numbers of seeds.

    As in `contrast`, a difference has the variance u + 2 a / S over S seeds, u what units leave and a the variance of
    seeds in arms, with Satterthwaite's degrees of freedom; a is kept and S varied. u also falls a little with more
    seeds, which average over what they add to each unit; that is left out, so the figures are cautious.

    Args:
        panel: the values.
        family: comparisons that are corrected for.
        numbers: of seeds to predict for.
        level: of the tests.

    Returns:
        None with one seed, which shows nothing of the spread of seeds, and with one arm.
    """
    found, (num_arms, num_seeds, num_units) = components(panel), panel.values.shape
    if not found.arm_seed_degrees or num_units < 2:
        return None
    mean_MI = panel.values.mean(axis=1)
    apart_MI = np.delete(mean_MI, panel.best, axis=0) - mean_MI[panel.best]
    unit_M = apart_MI.var(axis=1, ddof=1) / num_units
    unit, corrected = float(np.median(unit_M)), level / max(family, 1)

    def detectable(seeds: float) -> float:
        alone, observed = 2 * found.arm_seed_alone / seeds, 2 * found.arm_seed / seeds
        seed_degrees = (num_arms - 1) * (seeds - 1)
        uncertainty = unit**2 / (num_units - 1) + (observed**2 / seed_degrees if np.isfinite(seeds) else 0.0)
        degrees = (unit + alone) ** 2 / uncertainty if uncertainty else np.inf
        return smallest_effect(float(np.sqrt(unit + alone)), float(degrees), corrected)

    of_seeds = 2 * found.arm_seed_alone / num_seeds
    return SeedPlan(
        seeds=num_seeds,
        now=detectable(num_seeds),
        with_seeds={number: detectable(number) for number in numbers},
        at_most=detectable(np.inf),
        share_of_seeds=of_seeds / (of_seeds + unit) if of_seeds + unit else 0.0,
    )
