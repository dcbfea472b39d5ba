"""Several measures at once: which arms no other arm beats."""

from collections.abc import Sequence

import numpy as np


def pareto_front(value_MO: np.ndarray, higher_is_better: Sequence[bool]) -> np.ndarray:
    """Which arms are on the Pareto front of O objectives, (M) bool.

    An arm is off the front if another is at least as good in every objective and better in one; equal arms stay
    together. An arm without a value (NaN) in some objective is not on the front and beats nothing.
    """
    known_M = ~np.isnan(value_MO).any(axis=1)
    gain_MO = np.where(higher_is_better, value_MO, -value_MO)[known_M]
    at_least = (gain_MO[:, None] >= gain_MO[None]).all(axis=2)
    better = (gain_MO[:, None] > gain_MO[None]).any(axis=2)
    front_M = known_M.copy()
    front_M[known_M] = ~(at_least & better).any(axis=0)
    return front_M


def front_frequency(draw_OMB: np.ndarray, higher_is_better: Sequence[bool]) -> np.ndarray:
    """Share of joint draws in which each arm is on the front, (M): how firmly it stands there.

    With many objectives most arms are on most fronts; read it beside the front, not for it.

    Args:
        draw_OMB: for each objective the `joint_draws` of a panel of the same arms; an objective that is known exactly
            is the same in all draws.
        higher_is_better: for each objective.
    """
    fronts = [pareto_front(value_OM.T, higher_is_better) for value_OM in np.moveaxis(draw_OMB, 2, 0)]
    return np.mean(fronts, axis=0)
